"""Figures: the loss curve of a run, and how well a calibration's probabilities hold."""

import json
import os
from pathlib import Path
from typing import Any

from mlx_toy.confidence import CALIBRATION_FILE
from mlx_toy.errors import UserError
from train import records


def draw(run: Path) -> Path:
    """Draw training loss and validation bits per byte over tokens to `loss.png` in the run.

    Raises:
        UserError: the run has no metrics yet.
    """
    metrics = records.read(run / records.METRICS_FILE)
    if not metrics:
        raise UserError(f"no metrics at {run}: train first")
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(11, 4), constrained_layout=True)
    losses = [(r["tokens"] / 1e6, r["loss"]) for r in metrics if "loss" in r]
    left.plot(*zip(*losses, strict=True), linewidth=1) if losses else None
    left.set(xlabel="million tokens", ylabel="nats per target", title="training loss")
    names = {key for record in metrics for key in record if key.startswith("bits per byte")}
    for name in sorted(names):
        points = [(r["tokens"] / 1e6, r[name]) for r in metrics if name in r]
        right.plot(
            *zip(*points, strict=True), marker=".", label=name.removeprefix("bits per byte ")
        )
    right.set(xlabel="million tokens", ylabel="bits per byte", title="validation")
    if names:
        right.legend(fontsize=7)
    for axes in (left, right):
        axes.grid(alpha=0.3)
    return _save(figure, run / "loss.png")


def draw_reliability(directory: Path) -> Path:
    """Draw `reliability.png` beside a `calibration.json`: predicted against observed shares."""
    calibration = json.loads((directory / CALIBRATION_FILE).read_text(encoding="utf-8"))
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(5, 4.5), constrained_layout=True)
    axes.plot([0, 1], [0, 1], color="grey", linewidth=0.8, linestyle="--")
    for kind, label in (("answerable", "the passages answer"), ("correct", "the words are right")):
        for one in calibration[kind][:1]:
            points = [(part["predicted"], part["observed"]) for part in one["reliability"]]
            axes.plot(*zip(*points, strict=True), marker="o", label=label)
    axes.set(xlabel="predicted probability", ylabel="share that was so", title="reliability")
    axes.grid(alpha=0.3)
    axes.legend()
    return _save(figure, directory / "reliability.png")


def _save(figure: Any, out: Path) -> Path:
    """Write a figure; whoever looks at it while it is drawn sees a whole one."""
    from matplotlib import pyplot

    partial = out.with_name(f".{out.stem}.partial")
    figure.savefig(partial, dpi=110, format="png")
    pyplot.close(figure)
    os.replace(partial, out)
    return out
