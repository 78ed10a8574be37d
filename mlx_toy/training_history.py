"""How a model was trained, as its directory tells it: `training.json`.

Written by `python -m train export` from the records of the runs, read by the page "How it learned":

    {"stages": [{"stage": "pretrain",
                 "metrics": [{"step", "tokens", "seconds", "loss", "bits_per_byte": {set: value}}],
                 "samples": [{"step", "tokens", "texts": [{"prompt", "text"}]}]}]}

A metric has a loss, figures of validation, or both. `loss` is in nats a target, `seconds` is the
time spent on steps since the stage began.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlx_toy.errors import UserError

FILE = "training.json"


@dataclass(frozen=True)
class Metric:
    """What was measured at a step; see the module."""

    step: int
    tokens: int
    seconds: float | None
    loss: float | None
    bits_per_byte: dict[str, float]


@dataclass(frozen=True)
class Sample:
    """What the model wrote at a step: (prompt, continuation) each."""

    step: int
    tokens: int
    texts: list[tuple[str, str]]


@dataclass(frozen=True)
class Stage:
    """A stage of training, such as "pretrain", in the order of time."""

    name: str
    metrics: list[Metric]
    samples: list[Sample]


def read_history(directory: Path) -> list[Stage]:
    """The stages that a model directory tells of; none if it has no such file.

    Raises:
        UserError: the file cannot be read.
    """
    path = directory / FILE
    if not path.is_file():
        return []
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return [_stage(stage) for stage in content["stages"]]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path} is damaged: export the model again") from error


def _stage(content: dict[str, Any]) -> Stage:
    metrics = [
        Metric(
            int(record["step"]),
            int(record["tokens"]),
            _number(record.get("seconds")),
            _number(record.get("loss")),
            {name: float(value) for name, value in (record.get("bits_per_byte") or {}).items()},
        )
        for record in content["metrics"]
    ]
    samples = [
        Sample(
            int(record["step"]),
            int(record["tokens"]),
            [(str(sample["prompt"]), str(sample["text"])) for sample in record["texts"]],
        )
        for record in content["samples"]
    ]
    return Stage(str(content["stage"]), metrics, samples)


def _number(value: Any) -> float | None:
    return None if value is None else float(value)
