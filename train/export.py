"""From a run to a model directory that mlx-lm, transformers and others load unchanged.

Beside the weights it carries `lineage.json`: which data, code, preset, seed and machine made them,
so that anyone can make them again, and `training.json`: how it learned, step by step.
`python -m train evaluate` adds the figures and the model card.
"""

import hashlib
import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mlx_toy.backend import info

from mlx_toy import model_directory, training_history
from mlx_toy.errors import UserError
from mlx_toy.model import ModelArgs
from mlx_toy.tokenizer import Tokenizer
from train import checkpoints
from train.from_model import LINEAGE_FILE
from train.history import history
from train.loop import CHECKPOINTS
from train.shards import read_mixture_file

PARTS_OF = {"pretrain": ("pretrain", "decay"), "finetune": ("finetune",)}  # of a mixture, by stage


def training_flops(parameters: int, tokens: int) -> int:
    """Six operations a parameter and token, forward and backward (Kaplan et al. 2020)."""
    return 6 * parameters * tokens


def export(
    run: Path,
    tokenizer_dir: Path,
    shards: Path,
    out: Path,
    preset: str | None = None,
    before: Sequence[Path] = (),
) -> None:
    """Write the newest checkpoint of a run as a model directory.

    Args:
        run: directory of the run.
        tokenizer_dir: the tokenizer that made its shards.
        shards: where `mixture.json` names the sources.
        out: the model directory; one that exists is replaced.
        preset: the one that the run must have been trained with; any if None.
        before: directories of the runs or the model that it began from, in the order of time; what
            they recorded is told too.

    Raises:
        UserError: the run has no checkpoint, or does not fit the tokenizer or the preset.
    """
    newest = checkpoints.latest(run / CHECKPOINTS)
    if newest is None:
        raise UserError(f"no checkpoint at {run}: train first")
    checkpoint = checkpoints.load(newest)
    trained = checkpoint.facts["preset"]
    if preset not in (None, trained):
        raise UserError(f"{run} was trained with the preset {trained}, not {preset}: name that one")
    args = ModelArgs.from_dict(checkpoint.facts["model"])
    tokenizer = Tokenizer.load(tokenizer_dir)
    if tokenizer.vocab_size != args.vocab_size:
        raise UserError(
            f"the run has {args.vocab_size} tokens and {tokenizer_dir} has {tokenizer.vocab_size}: "
            "name the tokenizer that the run was trained with"
        )
    parameters = sum(array.size for array in checkpoint.weights.values())
    model_directory.write(
        out,
        args,
        checkpoint.weights,
        tokenizer,
        args.max_position_embeddings,
        extra_files={
            LINEAGE_FILE: json.dumps(
                _lineage(checkpoint, parameters, tokenizer, shards), indent=1, ensure_ascii=False
            ),
            training_history.FILE: json.dumps(history([*before, run]), ensure_ascii=False),
        },
    )


def _lineage(
    checkpoint: checkpoints.Checkpoint, parameters: int, tokenizer: Tokenizer, shards: Path
) -> dict[str, Any]:
    mixture = read_mixture_file(shards)
    facts = checkpoint.facts
    stages = [_stage({**facts, "step": checkpoint.step}, parameters)]
    before, sources = facts, mixture["sources"]
    # Stages by the mixture that they read: those of a model directory, the oldest, by its own.
    read = [(mixture["stages"], stages[:])]
    while before := before.get("before"):
        stage = _stage(before, parameters)
        stages.insert(0, stage)
        if "mixture" in before and "mixture" not in before.get("before", {}):
            read.append((before["mixture"], []))
        read[-1][1].append(stage)
        sources = {**before.get("sources", {}), **sources}
    return {
        "parameters": parameters,
        "architecture": facts["model"],
        "tokenizer_sha256": hashlib.sha256(tokenizer.model_proto).hexdigest(),
        "stages": stages,
        "mixture": _parts_read(read),
        "sources": sources,
        "commit": _commit(),
        "hardware": f"{info().device}: {info().device_name}",
    }


def _parts_read(
    read: Sequence[tuple[dict[str, dict[str, float]], Sequence[dict[str, Any]]]],
) -> dict[str, dict[str, float]]:
    """What each part of the training read: the mean of the mixtures, by the tokens of each.

    Args:
        read: mixtures, the newest first, each with the stages that read it.
    """
    found: dict[str, dict[str, float]] = {}
    for stage, names in PARTS_OF.items():
        tokens = [sum(s["tokens"] for s in of if s["stage"] == stage) for _, of in read]
        for name in names:
            mixtures = [
                (mixture[name], count)
                for (mixture, _), count in zip(read, tokens, strict=True)
                if count and mixture.get(name)
            ]
            if len(mixtures) == 1:
                found[name] = mixtures[0][0]
            elif mixtures:
                found[name] = _mean(mixtures)
    newest = read[0][0]
    return {name: found.get(name, parts) for name, parts in newest.items()}


def _mean(mixtures: Sequence[tuple[dict[str, float], int]]) -> dict[str, float]:
    """Percent of each source in mixtures that so many tokens were read of."""
    whole = sum(count for _, count in mixtures)
    shares: dict[str, float] = {}
    for mixture, count in mixtures:
        total = sum(mixture.values())
        for name, part in mixture.items():
            shares[name] = shares.get(name, 0.0) + 100 * part / total * count / whole
    return {name: round(share, 2) for name, share in shares.items()}


def _stage(facts: dict[str, Any], parameters: int) -> dict[str, Any]:
    return {
        "stage": facts.get("stage"),
        "preset": facts.get("preset"),
        "seed": facts.get("seed"),
        "steps": facts.get("step", facts.get("steps")),
        "tokens": facts["tokens"],
        "seconds": round(facts["seconds"]),
        "flops": training_flops(parameters, facts["tokens"]),
    }


def _commit() -> str | None:
    """The commit of the code, None outside a checkout."""
    done = subprocess.run(
        ["git", "rev-parse", "HEAD"],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parent,
        check=False,
    )
    return done.stdout.strip() or None
