"""The loss curve of a run, drawn from its metrics."""

import json
from pathlib import Path

from mlx_toy.errors import UserError
from train.loop import METRICS_FILE


def draw(run: Path) -> Path:
    """Draw training loss and validation bits per byte over tokens to `loss.png` in the run.

    Raises:
        UserError: the run has no metrics yet.
    """
    try:
        records = [json.loads(line) for line in (run / METRICS_FILE).read_text().splitlines()]
    except OSError as error:
        raise UserError(f"no metrics at {run}: train first") from error
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(11, 4), constrained_layout=True)
    losses = [(r["tokens"] / 1e6, r["loss"]) for r in records if "loss" in r]
    left.plot(*zip(*losses, strict=True), linewidth=1) if losses else None
    left.set(xlabel="million tokens", ylabel="nats per target", title="training loss")
    names = {key for record in records for key in record if key.startswith("bits per byte")}
    for name in sorted(names):
        points = [(r["tokens"] / 1e6, r[name]) for r in records if name in r]
        right.plot(
            *zip(*points, strict=True), marker=".", label=name.removeprefix("bits per byte ")
        )
    right.set(xlabel="million tokens", ylabel="bits per byte", title="validation")
    if names:
        right.legend(fontsize=7)
    for axes in (left, right):
        axes.grid(alpha=0.3)
    out = run / "loss.png"
    figure.savefig(out, dpi=110)
    pyplot.close(figure)
    return out
