"""The loss curve of a run, drawn from its metrics."""

from pathlib import Path

from mlx_toy.errors import UserError
from mlx_toy.whole_files import written_at_once
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
    out = run / "loss.png"
    with written_at_once(out) as partial:  # whoever looks at it meanwhile sees a whole one
        figure.savefig(partial, dpi=110, format="png")
    pyplot.close(figure)
    return out
