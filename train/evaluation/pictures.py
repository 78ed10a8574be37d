"""The figures of a report: what can be drawn of what is at hand.

Loss curve and samples come from `training.json` (written by export), the calibration of abstention
from `calibration.json` (written by `python -m train calibrate`); a directory may lack them.
"""

import json
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot
from matplotlib.figure import Figure

from train.evaluation.grammar import ACCURACY

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
    history = _read(model / "training.json").get("stages", [])
    made = {
        "Training loss and held-out bits per byte": ("loss.png", loss_curve(history)),
        "Samples through training": ("samples.png", samples(history)),
        "BLiMP accuracy by phenomenon": ("phenomena.png", phenomena(report)),
        "Calibration of abstention": (
            "calibration.png",
            calibration(_read(model / "calibration.json")),
        ),
    }
    drawn = {}
    for title, (name, figure) in made.items():
        if figure is None:
            continue
        path = out / FOLDER / name
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(name + ".partial")
        figure.savefig(partial, dpi=_DPI, format="png", metadata={"Title": title})
        pyplot.close(figure)
        partial.replace(path)
        drawn[title] = f"{FOLDER}/{name}"
    return drawn


def loss_curve(stages: list[dict[str, Any]]) -> Figure | None:
    """Loss, and bits per byte of validation texts, over the tokens read in all stages."""
    if not any(stage["metrics"] for stage in stages):
        return None
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(11, 4), constrained_layout=True)
    before = 0.0
    for stage in stages:
        metrics = stage["metrics"]
        losses = [(before + m["tokens"] / 1e6, m["loss"]) for m in metrics if m.get("loss")]
        if losses:
            left.plot(*zip(*losses, strict=True), linewidth=1, label=stage["stage"])
        points: dict[str, list[tuple[float, float]]] = {}
        for metric in metrics:
            for name, value in (metric.get("bits_per_byte") or {}).items():
                points.setdefault(name, []).append((before + metric["tokens"] / 1e6, value))
        for name, line in points.items():
            right.plot(*zip(*line, strict=True), marker=".", label=name)
        before += max((metric["tokens"] for metric in metrics), default=0) / 1e6
    left.set(xlabel="million tokens", ylabel="nats a target", title="training loss")
    right.set(xlabel="million tokens", ylabel="bits per byte", title="held out during training")
    for axes in (left, right):
        axes.grid(alpha=0.3)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(fontsize=7)
    return figure


def samples(stages: list[dict[str, Any]]) -> Figure | None:
    """What the model wrote from the same beginnings at a few checkpoints."""
    found = [
        (f"{stage['stage']}, step {sample['step']:,}", sample["texts"])
        for stage in stages
        for sample in stage["samples"]
        if sample["texts"]
    ]
    if not found:
        return None
    last = len(found) - 1
    chosen = sorted({round(i * last / (_CHECKPOINTS - 1)) for i in range(_CHECKPOINTS)})
    blocks = []
    for label, texts in (found[index] for index in chosen):
        lines = [
            textwrap.fill(
                f"{sample['prompt']}|{sample['text']}".replace("\n", " "),
                _SAMPLE_WIDTH,
                initial_indent="  ",
                subsequent_indent="    ",
            )
            for sample in texts[:2]
        ]
        blocks.append("\n".join([label, *lines]))
    text = "\n\n".join(blocks)
    height = 0.3 + 0.17 * (text.count("\n") + 1)
    figure = pyplot.figure(figsize=(9, height))
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


def calibration(content: Mapping[str, Any]) -> Figure | None:
    """Reliability: of answers given a confidence, the share that was right."""
    points = content.get("reliability") or []
    if not points:
        return None
    figure, axes = pyplot.subplots(figsize=(5, 4.5), constrained_layout=True)
    axes.plot([0, 1], [0, 1], color="black", linestyle=":", linewidth=1)
    axes.plot(
        [point["predicted"] for point in points],
        [point["observed"] for point in points],
        marker="o",
        color="#4878a8",
    )
    axes.set(xlabel="predicted", ylabel="observed", xlim=(0, 1), ylim=(0, 1))
    axes.grid(alpha=0.3)
    return figure


def _read(path: Path) -> dict[str, Any]:
    """A JSON object, empty where there is none."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
