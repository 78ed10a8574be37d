"""A model directory as the checkpoint that another training begins with.

What is published is enough to go on from: anyone can fine-tune the bundled base model on other
conversations without training it first. The weights are those of the directory, bfloat16, and the
optimizer begins anew. The parts and sources of its mixture stay with the checkpoint's facts: the
shards that the training goes on with may have others.
"""

import json
from functools import reduce
from pathlib import Path
from typing import Any

from mlx_toy.backend import mx

from mlx_toy import model_directory
from mlx_toy.errors import UserError
from train.checkpoints import Checkpoint
from train.optimizer import initial_state

LINEAGE_FILE = "lineage.json"


def is_model(path: Path) -> bool:
    """Whether a directory holds a model and not a checkpoint."""
    return (path / model_directory.WEIGHTS).is_file()


def load(path: Path) -> Checkpoint:
    """Read a model directory of ours as a checkpoint at its last step.

    Raises:
        UserError: it is broken, or does not say how it was made.
    """
    model_directory.validate(path)
    try:
        lineage = json.loads((path / LINEAGE_FILE).read_text(encoding="utf-8"))
        facts = reduce(_after, lineage["stages"], {})
        facts |= {"model": lineage["architecture"]}
        facts |= {"tokenizer_sha256": lineage["tokenizer_sha256"]}
        facts |= {name: lineage[name] for name in ("mixture", "sources")}
        step = facts.pop("step")
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise UserError(
            f"{path / LINEAGE_FILE} does not say how the model was made ({error}): "
            "export it again, or begin with a run"
        ) from error
    loaded = mx.load(str(path / model_directory.WEIGHTS))
    assert isinstance(loaded, dict)
    weights = {name: array.astype(mx.float32) for name, array in loaded.items()}
    mx.eval(weights)
    return Checkpoint(step, weights, initial_state(weights), facts)


def _after(before: dict[str, Any], stage: dict[str, Any]) -> dict[str, Any]:
    """A stage of a lineage as the facts of its last checkpoint."""
    facts = {name: stage[name] for name in ("stage", "preset", "seed", "tokens", "seconds")}
    return facts | {"step": stage["steps"]} | ({"before": before} if before else {})
