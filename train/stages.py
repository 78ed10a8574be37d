"""The stages: pretraining on plain text, fine-tuning on conversations; both by the one loop."""

import hashlib
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from mlx_toy.errors import UserError
from mlx_toy.tokenizer import Tokenizer
from train import samples
from train.batches import Batches, ConversationBatches, WindowBatches
from train.checkpoints import Checkpoint
from train.loop import RunSettings, start, train
from train.optimizer import OptimizerSettings
from train.presets import Preset
from train.processes import Processes
from train.progress import say
from train.run_lock import only_run
from train.schedule import WarmupStableDecay
from train.shards import Mixture, open_mixture
from train.tracking import check_installed
from train.validation import validator

REPORT_EVERY = 10  # steps between progress lines, or more often with frequent checkpoints
MANY_EPOCHS = 20  # a text read more often than this is learned by heart


def pretrain(
    preset: Preset,
    shards: Path,
    tokenizer: Tokenizer,
    run: Path,
    *,
    steps: int | None = None,
    decay_steps: int | None = None,
    branch: Path | None = None,
    init: Path | None = None,
    seed: int = 0,
    checkpoint_every: int = 100,
    track: str = "",
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
        init: a checkpoint or a model directory whose weights to begin with, at step 0.
        seed: of weights and data.
        checkpoint_every: steps.
        track: name of a trackio project that gets the metrics too; empty for none.

    Raises:
        UserError: no or too short shards, another tokenizer, a run of another architecture, or a
            run in this directory that goes on at this moment.
    """
    steps = steps or preset.pretrain_steps
    decay_steps = round(0.3 * steps) if decay_steps is None else decay_steps
    schedule = WarmupStableDecay(steps, warmup_steps=min(100, steps // 10), decay_steps=decay_steps)
    trunk, decay = open_mixture(shards, "pretrain"), open_mixture(shards, "decay")
    _same_tokenizer(tokenizer, trunk, decay)
    batches = WindowBatches(
        trunk,
        decay,
        schedule,
        window=preset.window,
        rows=max(1, preset.tokens_per_step // preset.window),
        micro_rows=max(1, preset.micro_tokens // preset.window),
        seed=seed,
    )
    _warn_of_epochs(trunk, steps * preset.tokens_per_step)
    settings = RunSettings(
        run=run,
        model=preset.model_args(tokenizer.vocab_size),
        schedule=schedule,
        optimizer=OptimizerSettings(preset.matrix_rate, preset.other_rate),
        seed=seed,
        checkpoint_every=checkpoint_every,
        report_every=min(REPORT_EVERY, checkpoint_every),
        facts=_facts("pretrain", preset, tokenizer, seed=seed, steps=steps),
        track=track,
    )
    prompts = samples.text_prompts(shards, tokenizer)
    return _run(settings, batches, shards, preset, tokenizer, prompts, branch=branch, init=init)


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
    track: str = "",
) -> Checkpoint:
    """Teach a base model to chat and to answer from passages; only the assistant's words count.

    Args:
        preset: sizes and rates.
        shards: directory that `python -m corpus build` wrote.
        tokenizer: the one that made the shards.
        run: directory of the run; a run that is there goes on.
        init: checkpoint or directory of the base model.
        steps: of the whole schedule; the preset's when None.
        seed: of the data.
        checkpoint_every: steps.
        track: name of a trackio project that gets the metrics too; empty for none.

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
        report_every=min(REPORT_EVERY, checkpoint_every),
        facts=_facts("finetune", preset, tokenizer, seed=seed, steps=steps),
        track=track,
    )
    prompts = samples.chat_prompts(tokenizer)
    return _run(settings, batches, shards, preset, tokenizer, prompts, init=init)


def _run(
    settings: RunSettings,
    batches: Batches,
    shards: Path,
    preset: Preset,
    tokenizer: Tokenizer,
    prompts: list[samples.Prompt],
    **source: Path | None,
) -> Checkpoint:
    """Train alone or with other processes; the first of them holds the run's directory."""
    if settings.track:
        check_installed()
    processes = Processes()
    with only_run(settings.run) if processes.first else nullcontext():
        begin = processes.begin(lambda: start(settings, **source), settings.model)
        return train(
            settings,
            batches,
            begin,
            validator(shards, preset.window),
            sample=samples.sampler(prompts, tokenizer),
            processes=processes,
        )


def _facts(stage: str, preset: Preset, tokenizer: Tokenizer, **more: int) -> dict[str, Any]:
    """What every checkpoint of a run remembers."""
    names = {"stage": stage, "preset": preset.name, "tokenizer_sha256": _checksum(tokenizer)}
    return {**names, **more}


def _checksum(tokenizer: Tokenizer) -> str:
    return hashlib.sha256(tokenizer.model_proto).hexdigest()


def _same_tokenizer(tokenizer: Tokenizer, *mixtures: Mixture) -> None:
    checksum = _checksum(tokenizer)
    if any(mixture.shards[0].tokenizer_sha256 != checksum for mixture in mixtures):
        raise UserError(
            "the shards were made with another tokenizer: build them again with this one"
        )


def _warn_of_epochs(mixture: Mixture, tokens: int) -> None:
    """Say it when a text will be read so often that the model can only learn it by heart."""
    for shard, part in zip(mixture.shards, mixture.parts, strict=True):
        epochs = tokens * part / sum(mixture.parts) / len(shard.tokens)
        if epochs > MANY_EPOCHS:
            say(
                f"{shard.name} holds {len(shard.tokens):,} tokens, which this run reads "
                f"{epochs:,.0f} times and learns by heart: give more text or fewer --steps"
            )
