"""The stages: pretraining on plain text, fine-tuning on conversations; both by the one loop."""

import hashlib
import math
from collections.abc import Callable
from pathlib import Path

from mlx_toy.backend import mx

import numpy as np

from mlx_toy.errors import UserError
from mlx_toy.tokenizer import Tokenizer
from train.batches import ConversationBatches, MicroBatch, WindowBatches
from train.checkpoints import Checkpoint
from train.lanes import Lanes
from train.loop import RunSettings, start, train
from train.optimizer import OptimizerSettings
from train.presets import Preset
from train.schedule import WarmupStableDecay
from train.shards import Mixture, open_mixture, open_shard, read_mixture_file

VALIDATION_ROWS = 24  # windows of each validation shard; the same ones every time


def pretrain(
    preset: Preset,
    shards: Path,
    tokenizer: Tokenizer,
    run: Path,
    *,
    steps: int | None = None,
    decay_steps: int | None = None,
    branch: Path | None = None,
    seed: int = 0,
    checkpoint_every: int = 100,
) -> Checkpoint:
    """Train the base model on windows of plain text.

    Args:
        preset: sizes and rates.
        shards: directory that `python -m corpus build` wrote.
        tokenizer: the one that made the shards.
        run: directory of the run; a run that is there goes on.
        steps: of the whole schedule; the preset's when None.
        decay_steps: at its end; 30% when None.
        branch: a checkpoint of another run to go on from, so that one trunk serves many decays.
        seed: of weights and data.
        checkpoint_every: steps.

    Raises:
        UserError: no shards, another tokenizer, or a run of another architecture.
    """
    steps = steps or preset.pretrain_steps
    decay_steps = round(0.3 * steps) if decay_steps is None else decay_steps
    schedule = WarmupStableDecay(steps, warmup_steps=min(100, steps // 10), decay_steps=decay_steps)
    trunk, decay = open_mixture(shards, "pretrain"), open_mixture(shards, "decay")
    _same_tokenizer(tokenizer, trunk)
    batches = WindowBatches(
        trunk,
        decay,
        schedule,
        window=preset.window,
        rows=max(1, preset.tokens_per_step // preset.window),
        micro_rows=max(1, preset.micro_tokens // preset.window),
        seed=seed,
    )
    settings = RunSettings(
        run=run,
        model=preset.model_args(tokenizer.vocab_size),
        schedule=schedule,
        optimizer=OptimizerSettings(preset.matrix_rate, preset.other_rate),
        seed=seed,
        checkpoint_every=checkpoint_every,
        facts={"stage": "pretrain", "preset": preset.name, "seed": seed, "steps": steps},
    )
    begin = start(settings, branch=branch)
    return train(settings, batches, begin, _validator(shards, preset.window))


def finetune(
    preset: Preset,
    shards: Path,
    tokenizer: Tokenizer,
    run: Path,
    init: Path,
    *,
    steps: int | None = None,
    seed: int = 0,
    checkpoint_every: int = 100,
) -> Checkpoint:
    """Teach a base model to chat and to answer from passages; only the assistant's words count.

    Args:
        preset: sizes and rates.
        shards: directory that `python -m corpus build` wrote.
        tokenizer: the one that made the shards.
        run: directory of the run; a run that is there goes on.
        init: checkpoint of the base model.
        steps: of the whole schedule; the preset's when None.
        seed: of the data.
        checkpoint_every: steps.

    Raises:
        UserError: as `pretrain`.
    """
    steps = steps or preset.finetune_steps
    mixture = open_mixture(shards, "finetune")
    _same_tokenizer(tokenizer, mixture)
    batches = ConversationBatches(
        mixture,
        context=preset.context,
        window=preset.window,
        tokens_per_step=preset.tokens_per_step,
        micro_tokens=preset.micro_tokens,
        seed=seed,
    )
    rates = OptimizerSettings(
        preset.matrix_rate * preset.finetune_scale,
        preset.other_rate * preset.finetune_scale,
        weight_decay=0.0,
    )
    settings = RunSettings(
        run=run,
        model=preset.model_args(tokenizer.vocab_size),
        schedule=WarmupStableDecay(steps, warmup_steps=min(20, steps // 10), decay_steps=steps),
        optimizer=rates,
        seed=seed,
        checkpoint_every=checkpoint_every,
        facts={"stage": "finetune", "preset": preset.name, "seed": seed, "steps": steps},
    )
    begin = start(settings, init=init)
    return train(settings, batches, begin, _validator(shards, preset.window))


def _same_tokenizer(tokenizer: Tokenizer, mixture: Mixture) -> None:
    checksum = hashlib.sha256(tokenizer.model_proto).hexdigest()
    if mixture.shards[0].tokenizer_sha256 != checksum:
        raise UserError(
            "the shards were made with another tokenizer: build them again with this one"
        )


def _validator(
    shards: Path, window: int
) -> Callable[[Lanes, dict[str, mx.array]], dict[str, float]]:
    """A function that measures bits per byte of each plain-text validation shard."""
    names = read_mixture_file(shards)["stages"]["pretrain"]
    found = [open_shard(shards, name, "valid") for name in names]
    sets = [
        s for s in found if s is not None and s.loss_mask is None and len(s.tokens) > 4 * window
    ]
    batches = {}
    for shard in sets:
        rows = min(VALIDATION_ROWS, (len(shard.tokens) - 1) // window)
        starts = np.linspace(0, len(shard.tokens) - window - 1, rows).astype(int)
        tokens = np.stack([shard.tokens[s : s + window + 1] for s in starts]).astype(np.int32)
        ones = np.ones((4, window), dtype=np.float32)
        batches[shard.name] = [
            MicroBatch(part, ones[: len(part)]) for part in np.split(tokens, range(4, rows, 4))
        ]

    def validate(lanes: Lanes, weights: dict[str, mx.array]) -> dict[str, float]:
        return {
            f"bits per byte {shard.name}": lanes.loss(weights, batches[shard.name])
            / math.log(2)
            / shard.bytes_per_token
            for shard in sets
        }

    return validate
