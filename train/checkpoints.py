"""Checkpoints: everything a run needs to go on, written so that no crash can spoil one.

A checkpoint is a directory `checkpoints/step-00001234` with weights, optimizer state and a JSON
file. It is written under a temporary name and renamed when complete; a directory with the final
name is whole. The newest ones are kept, older ones go.
"""

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlx_toy.backend import mx

from mlx_toy.errors import UserError

KEEP = 2


@dataclass(frozen=True)
class Checkpoint:
    """The state of a run after `step` optimizer steps.

    Attributes:
        step: optimizer steps done.
        weights: by parameter name, float32.
        optimizer: the optimizer's state.
        facts: what else to remember: the configuration of the run, tokens seen, seconds spent.
    """

    step: int
    weights: dict[str, mx.array]
    optimizer: dict[str, mx.array]
    facts: dict[str, Any]


def save(folder: Path, checkpoint: Checkpoint, keep: int = KEEP) -> Path:
    """Write a checkpoint and drop all but the newest `keep`.

    Raises:
        UserError: it cannot be written; what was there before is still there.
    """
    final = folder / f"step-{checkpoint.step:08d}"
    partial = folder / f".{final.name}.partial"
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        mx.save_safetensors(str(partial / "weights.safetensors"), checkpoint.weights)
        mx.save_safetensors(str(partial / "optimizer.safetensors"), checkpoint.optimizer)
        state = {"step": checkpoint.step, **checkpoint.facts}
        (partial / "state.json").write_text(json.dumps(state, indent=1))
        for path in partial.iterdir():
            with open(path, "rb") as file:
                os.fsync(file.fileno())
        shutil.rmtree(final, ignore_errors=True)
        os.rename(partial, final)
    except (OSError, RuntimeError) as error:
        shutil.rmtree(partial, ignore_errors=True)
        last = latest(folder)
        raise UserError(
            f"the checkpoint of step {checkpoint.step} could not be written ({error}): make room, "
            f"then run the same command again; it goes on from {last or 'the start'}"
        ) from error
    for old in _finished(folder)[:-keep]:
        shutil.rmtree(old, ignore_errors=True)
    return final


def latest(folder: Path) -> Path | None:
    """The newest whole checkpoint; None when there is none."""
    finished = _finished(folder)
    return finished[-1] if finished else None


def load(path: Path) -> Checkpoint:
    """Read a checkpoint.

    Raises:
        UserError: there is none at `path`, or a file of it is broken.
    """
    try:
        facts = json.loads((path / "state.json").read_text())
        weights = mx.load(str(path / "weights.safetensors"))
        optimizer = mx.load(str(path / "optimizer.safetensors"))
        mx.eval(weights, optimizer)
    except (OSError, ValueError, RuntimeError) as error:
        raise UserError(
            f"no whole checkpoint at {path} ({error}): name another, "
            "or delete it to use the one before"
        ) from error
    return Checkpoint(facts.pop("step"), weights, optimizer, facts)


def _finished(folder: Path) -> list[Path]:
    return sorted(folder.glob("step-*")) if folder.is_dir() else []
