"""The story of a training for people: the records of its runs, thinned to what a page can show.

`mlx_toy/training_history.py` describes the file. A stage may have several runs, such as a trunk and
the decay that branched off it: then the later run's records replace those from its first step on.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from mlx_toy import training_history
from train import checkpoints, records
from train.from_model import is_model
from train.loop import CHECKPOINTS

LOSSES = 200  # points of a stage's loss curve; each is the mean of the reports that it stands for
CHECKPOINTS_SHOWN = 40  # of a stage, of which samples are kept
VALIDATION = "bits per byte "

Record = dict[str, Any]


def history(runs: Sequence[Path]) -> dict[str, Any]:
    """What `training.json` holds.

    Args:
        runs: directories of the runs, in the order of time, the last one that of the model; a model
            directory tells what it was exported with.
    """
    told: list[Record] = []
    stages: list[Record] = []
    for run in runs:
        if is_model(run):
            told = json.loads((run / training_history.FILE).read_text(encoding="utf-8"))["stages"]
            stages = []
            continue
        stage = _stage(run)
        if stages and stages[-1]["stage"] == stage["stage"] and _goes_on(stages[-1], stage):
            stage = _joined(stages.pop(), stage)
        stages.append(stage)
    return {
        "stages": told
        + [
            {
                "stage": stage["stage"],
                "metrics": _thinned(list(_metrics(stage["metrics"]))),
                "samples": _samples(stage["samples"]),
            }
            for stage in stages
        ]
    }


def _stage(run: Path) -> Record:
    """The records of a run as they are, and the stage that its checkpoints name."""
    newest = checkpoints.latest(run / CHECKPOINTS)
    state = json.loads((newest / "state.json").read_text()) if newest else {}
    return {
        "stage": state.get("stage") or run.name,
        "metrics": records.read(run / records.METRICS_FILE),
        "samples": records.read(run / records.SAMPLES_FILE),
    }


def _goes_on(trunk: Record, branch: Record) -> bool:
    """Whether a run counts on the steps of the other; one that began with its weights does not."""
    firsts = [min((r["step"] for r in run["metrics"]), default=0) for run in (trunk, branch)]
    return firsts[0] < firsts[1]


def _joined(trunk: Record, branch: Record) -> Record:
    """The records of a run, and before them those of the run that it branched off."""
    first = min((record["step"] for record in branch["metrics"]), default=None)
    kept: Record = {"stage": trunk["stage"]}
    for kind in ("metrics", "samples"):
        before = [r for r in trunk[kind] if first is None or r["step"] < first]
        kept[kind] = before + branch[kind]
    return kept


def _metrics(found: Iterable[Record]) -> Iterator[Record]:
    """Records in the layout of the file, with the time that the steps took."""
    seconds, tokens = 0.0, 0
    for record in found:
        figures = {
            name.removeprefix(VALIDATION): round(value, 4)
            for name, value in record.items()
            if name.startswith(VALIDATION)
        }
        if record.get("tokens_per_s"):
            seconds += (record["tokens"] - tokens) / record["tokens_per_s"]
            tokens = record["tokens"]
        metric = {"step": record["step"], "tokens": record["tokens"], "seconds": round(seconds)}
        if "loss" in record:
            metric["loss"] = record["loss"]
        if figures:
            metric["bits_per_byte"] = figures
        if len(metric) > 3:
            yield metric


def _thinned(metrics: list[Record]) -> list[Record]:
    """At most `LOSSES` losses; every validation stays."""
    losses = [record for record in metrics if "loss" in record]
    size = -(-len(losses) // LOSSES) or 1
    means = []
    for start in range(0, len(losses), size):
        part = losses[start : start + size]
        mean = sum(record["loss"] for record in part) / len(part)
        means.append({**part[-1], "loss": round(mean, 4)})
    others = [record for record in metrics if "loss" not in record]
    return sorted([*means, *others], key=lambda record: record["step"])


def _samples(found: Iterable[Record]) -> list[Record]:
    """What was written at each checkpoint; of many checkpoints some, the first and last among."""
    taken = []
    for (step, tokens), group in groupby(found, key=lambda r: (r["step"], r["tokens"])):
        texts = [{"prompt": record["prompt"], "text": record["text"]} for record in group]
        taken.append({"step": step, "tokens": tokens, "texts": texts})
    if len(taken) <= CHECKPOINTS_SHOWN:
        return taken
    last = CHECKPOINTS_SHOWN - 1
    return [taken[round(place * (len(taken) - 1) / last)] for place in range(CHECKPOINTS_SHOWN)]
