"""The figures of a report: what can be drawn of what is at hand.

Loss curve and samples come from `training.json` (written by export), the calibration of abstention
from `calibration.json` (written by `python -m train calibrate`); a directory may lack them.
"""

import json
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot
from matplotlib.figure import Figure

from mlx_toy.confidence import CALIBRATION_FILE
from mlx_toy.training_history import Stage, read_history
from mlx_toy.whole_files import written_at_once
from train.evaluation.grammar import ACCURACY
from train.evaluation.questions import CALIBRATION

FOLDER = "figures"
_DPI = 110
_CHECKPOINTS = 6  # of which samples are shown
_SAMPLE_WIDTH = 100  # characters of a line


def draw(out: Path, model: Path, report: Mapping[str, Any]) -> dict[str, str]:
    """Draw all figures that there is data for.

    Args:
        out: directory of the report; the figures go into a folder below it.
        model: directory of the model.
        report: the content of `report.json`.

    Returns:
        Title and file, relative to `out`, of each.
    """
    history = read_history(model)
    made = {
        "Training loss and held-out bits per byte": ("loss.png", loss_curve(history)),
        "Samples through training": ("samples.png", samples(history)),
        "BLiMP accuracy by phenomenon": ("phenomena.png", phenomena(report)),
        "Calibration of abstention": (
            "calibration.png",
            calibration(report, _read(model / CALIBRATION_FILE)),
        ),
    }
    drawn = {}
    for title, (name, figure) in made.items():
        if figure is None:
            continue
        path = out / FOLDER / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with written_at_once(path) as partial:
            figure.savefig(partial, dpi=_DPI, format="png", metadata={"Title": title})
        pyplot.close(figure)
        drawn[title] = f"{FOLDER}/{name}"
    return drawn


def loss_curve(stages: Sequence[Stage]) -> Figure | None:
    """Loss, and bits per byte of validation texts, over the tokens read in all stages."""
    if not any(stage.metrics for stage in stages):
        return None
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(11, 4), constrained_layout=True)
    colours: dict[str, str] = {}  # a set has one, in all stages
    before = 0.0
    for stage in stages:
        at = [before + metric.tokens / 1e6 for metric in stage.metrics]
        losses = [(x, m.loss) for x, m in zip(at, stage.metrics, strict=True) if m.loss is not None]
        if losses:
            left.plot(*zip(*losses, strict=True), linewidth=1, label=stage.name)
        lines: dict[str, list[tuple[float, float]]] = {}
        for x, metric in zip(at, stage.metrics, strict=True):
            for name, value in metric.bits_per_byte.items():
                lines.setdefault(name, []).append((x, value))
        for name, line in lines.items():
            label = None if name in colours else name
            colour = colours.setdefault(name, f"C{len(colours) % 10}")
            right.plot(*zip(*line, strict=True), marker=".", color=colour, label=label)
        before = max(at, default=before)
    left.set(xlabel="million tokens", ylabel="nats a target", title="training loss")
    right.set(xlabel="million tokens", ylabel="bits per byte", title="held out during training")
    left.grid(alpha=0.3)
    right.grid(alpha=0.3)
    left.legend(fontsize=7)
    if colours:
        right.legend(fontsize=7, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def samples(stages: Sequence[Stage]) -> Figure | None:
    """What the model wrote from the same beginnings at a few checkpoints."""
    found = [
        (f"{stage.name}, step {sample.step:,}", sample.texts)
        for stage in stages
        for sample in stage.samples
        if sample.texts
    ]
    if not found:
        return None
    last = len(found) - 1
    chosen = sorted({round(i * last / (_CHECKPOINTS - 1)) for i in range(_CHECKPOINTS)})
    blocks = []
    for label, texts in (found[index] for index in chosen):
        lines = [
            textwrap.fill(
                f"[{prompt}]{text}".replace("\n", " "),
                _SAMPLE_WIDTH,
                initial_indent="  ",
                subsequent_indent="    ",
            )
            for prompt, text in texts[:2]
        ]
        blocks.append("\n".join([label, *lines]))
    text = "\n\n".join(blocks)
    height = 0.3 + 0.136 * (text.count("\n") + 1)
    figure = pyplot.figure(figsize=(7.5, height))
    figure.text(
        0.02, 1 - 0.15 / height, text, va="top", family="monospace", fontsize=8, parse_math=False
    )
    return figure


def phenomena(report: Mapping[str, Any]) -> Figure | None:
    """BLiMP accuracy of each phenomenon, with standard errors; chance is 50 %."""
    parts = report.get("details", {}).get(ACCURACY, {}).get("parts", {})
    if not parts:
        return None
    ordered = sorted(parts.items(), key=lambda item: item[1]["value"])
    names = [f"{term.replace('_', ' ')} ({part['n']:,})" for term, part in ordered]
    values = [part["value"] for _, part in ordered]
    errors = [part["standard_error"] for _, part in ordered]
    figure, axes = pyplot.subplots(figsize=(8, 1 + 0.3 * len(names)), constrained_layout=True)
    axes.barh(names, values, xerr=errors, color="#4878a8", error_kw={"linewidth": 1})
    axes.axvline(50, color="black", linestyle=":", linewidth=1)
    axes.axvline(report[ACCURACY], color="#c04040", linewidth=1)
    axes.set(xlim=(0, 100), xlabel="accuracy in % (dotted: chance, red: all pairs)")
    return figure


def calibration(report: Mapping[str, Any], fitted: Mapping[str, Any]) -> Figure | None:
    """Reliability: of questions given a confidence, the share that is so.

    Args:
        report: may say how it was on the questions of the report.
        fitted: the content of `calibration.json`, which says how it was where it was fitted.
    """
    parts = report.get("details", {}).get(CALIBRATION, {}).get("parts", {})
    curves = {name: [(p["predicted"], p["observed"]) for p in c] for name, c in _curves(fitted)}
    if not parts and not curves:
        return None
    figure, axes = pyplot.subplots(figsize=(5.5, 5), constrained_layout=True)
    axes.plot([0, 1], [0, 1], color="black", linestyle=":", linewidth=1)
    for name, points in curves.items():
        axes.plot(*zip(*points, strict=True), marker=".", linewidth=1, label=name)
    if parts:
        axes.errorbar(
            [float(predicted) / 100 for predicted in parts],
            [part["value"] / 100 for part in parts.values()],
            yerr=[part["standard_error"] / 100 for part in parts.values()],
            marker="o",
            capsize=2,
            label="held-out questions: the passage answers",
        )
    axes.set(xlabel="predicted probability", ylabel="observed share", xlim=(0, 1), ylim=(0, 1))
    axes.legend(fontsize=7)
    axes.grid(alpha=0.3)
    return figure


def _curves(content: Mapping[str, Any], name: str = "") -> Iterator[tuple[str, Any]]:
    """Each reliability curve in a calibration, with the name of what it is of."""
    for key, value in content.items():
        if key == "reliability" and isinstance(value, list) and value:
            yield f"calibration: {name or 'the passages answer'}", value
            continue
        best = value[0] if isinstance(value, list) and value else value  # of several, what counts
        if isinstance(best, dict):
            yield from _curves(best, key.replace("_", " "))


def _read(path: Path) -> dict[str, Any]:
    """A JSON object, empty where there is none."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
