"""Train tiny models of several sizes on several lengths of text, and fit the scaling law to them.

    python -m bench.scaling --text out/text.jsonl --work work    (the sweep)
    python -m bench.scaling --report    (write the law, report and plot again from the results)

Three seeds each. Batch and rates follow the rules of `train/presets.py`. One run that is larger
and longer than all others is kept out of the fit, and the report says how far off its prediction
was. The law goes to `train/scaling_law.json`, from which `python -m train plan` predicts; the
report to `scaling.md` and `scaling.png`; all of it is made from `results/scaling.jsonl` alone.
"""

import argparse
import math
import statistics
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.experiment import ROOT, Experiment, add_arguments, sweep
from train import records, scaling_law
from train.presets import HEAD_DIM, PRESETS, best_batch, matrix_rate, other_rate
from train.progress import say
from train.scaling_law import Run, ScalingLaw

RESULTS = ROOT / "bench" / "results" / "scaling.jsonl"
REPORT, PLOT = ROOT / "bench" / "scaling.md", ROOT / "bench" / "scaling.png"
SEEDS = (0, 1, 2)
BATCH_MULTIPLE = 512  # tokens: two windows; a power of two would make too coarse a ladder
CELLS = {  # (width, layers): tokens; the larger the model, the shorter the longest run
    (64, 2): (300_000, 600_000, 1_200_000, 2_400_000),
    (128, 2): (300_000, 600_000, 1_200_000),
    (128, 4): (300_000, 600_000),
    (192, 4): (300_000,),
}
HELD_OUT = "held out"
HELD_OUT_CELL = (192, 6, 4_000_000)
Record = dict[str, Any]


def experiment(width: int, layers: int, tokens: int, seed: int = 0) -> Experiment:
    """One run, with the batch and the rates of the presets' rules."""
    step = BATCH_MULTIPLE * math.ceil(best_batch(tokens) / BATCH_MULTIPLE)
    return Experiment(
        name=f"{width}x{layers}, {tokens / 1e6:g}M tokens",
        hidden_size=width,
        layers=layers,
        kv_heads=width // HEAD_DIM,
        steps=round(tokens / step),
        tokens_per_step=step,
        matrix_rate=round(matrix_rate(step), 6),
        other_rate=round(other_rate(width), 6),
        seed=seed,
    )


def experiments() -> list[Experiment]:
    """All runs: the one that is held out, because it is the longest, then the cheapest first."""
    cells = [experiment(*size, tokens) for size, lengths in CELLS.items() for tokens in lengths]
    cells.sort(key=lambda cell: cell.flops_per_step() * cell.steps)
    held_out = replace(experiment(*HELD_OUT_CELL), name=HELD_OUT)
    return [held_out] + [replace(cell, seed=seed) for cell in cells for seed in SEEDS]


def fit(found: list[Record]) -> ScalingLaw:
    """The law of all runs but the one that is held out."""
    fitted = scaling_law.fit([_run(record) for record in found if record["name"] != HELD_OUT])
    held_out = tuple(_run(record) for record in found if record["name"] == HELD_OUT)
    return replace(fitted, held_out=held_out)


def _run(record: Record) -> Run:
    return Run(record["parameters"], record["bytes_read"], record["bits_per_byte"])


def _cells(found: list[Record]) -> list[list[Record]]:
    """The records of the fit, the seeds of a run together, the smallest models first."""
    cells: dict[str, list[Record]] = {}
    ordered = sorted(found, key=lambda r: (r["parameters"], r["tokens"], r["seed"]))
    for record in ordered:
        if record["name"] != HELD_OUT:
            cells.setdefault(record["name"], []).append(record)
    return list(cells.values())


def report(found: list[Record], fitted: ScalingLaw) -> str:
    """The whole of `scaling.md`, from the records."""
    cells = _cells(found)
    values = [[record["bits_per_byte"] for record in cell] for cell in cells]
    spread = math.sqrt(statistics.mean(statistics.variance(v) for v in values if len(v) > 1))
    rows = []
    for cell, value in zip(cells, values, strict=True):
        first, read = cell[0], statistics.mean(r["bytes_read"] for r in cell)
        rows.append(
            f"| {first['hidden_size']}x{first['layers']} | {first['parameters'] / 1e6:.2f}M "
            f"| {first['tokens'] / 1e6:.2f}M | {read / 1e6:.2f} MB "
            f"| {first['tokens_per_step']:,} | {statistics.mean(value):.4f} "
            f"({min(value):.4f} to {max(value):.4f}) "
            f"| {fitted.law(first['parameters'], read):.4f} |"
        )
    law, seconds = fitted.law, sum(record["seconds"] for record in found)
    return TEMPLATE.format(
        runs=sum(len(cell) for cell in cells),
        seeds=len(SEEDS),
        pieces=cells[0][0]["vocab_size"],
        law=f"{law.E:.3f} + {law.A:.4g} / N^{law.alpha:.3f} + {law.B:.4g} / D^{law.beta:.3f}",
        ranges=_ranges(fitted),
        rows="\n".join(rows),
        spread=spread,
        error=statistics.mean(abs(error) for error in fitted.errors) * 100,
        held_out="\n".join(_held_out_line(r, fitted) for r in found if r["name"] == HELD_OUT),
        presets="\n".join(_preset_row(name, found, fitted) for name in PRESETS),
        hours=seconds / 3600,
    )


def _ranges(fitted: ScalingLaw) -> str:
    """The 5 to 95 percent range of each number over the draws."""
    parts = []
    for name in ("E", "alpha", "beta"):
        values = sorted(getattr(draw, name) for draw in fitted.draws)
        low, high = values[len(values) // 20], values[-1 - len(values) // 20]
        parts.append(f"{name} {low:.2f} to {high:.2f}")
    return ", ".join(parts)


def _held_out_line(record: Record, fitted: ScalingLaw) -> str:
    run = _run(record)
    predicted = replace(fitted, held_out=()).predict(run.parameters, run.bytes_read)
    larger, longer = fitted.beyond(run.parameters, run.bytes_read)
    off = predicted.bits_per_byte / run.bits_per_byte - 1
    inside = predicted.low <= run.bits_per_byte <= predicted.high
    return (
        f"{record['hidden_size']}x{record['layers']}, {run.parameters / 1e6:.2f}M parameters "
        f"({larger:.1f} times the largest of the fit), {record['tokens'] / 1e6:.2f}M tokens "
        f"({longer:.1f} times the longest): predicted {predicted.bits_per_byte:.4f} "
        f"({predicted.low:.4f} to {predicted.high:.4f}), measured {run.bits_per_byte:.4f}: "
        f"off by {off:+.1%}, {'inside' if inside else 'outside'} the interval."
    )


def _preset_row(name: str, found: list[Record], fitted: ScalingLaw) -> str:
    from train.plan import bytes_per_token

    size = PRESETS[name]
    read = size.pretrain_tokens * bytes_per_token(size.vocab_size)
    predicted = fitted.predict(size.parameters, read)
    larger, longer = fitted.beyond(size.parameters, read)
    return (
        f"| {name} | {size.parameters / 1e6:.1f}M | {size.pretrain_tokens / 1e6:,.0f}M "
        f"| {predicted.bits_per_byte:.2f} ({predicted.low:.2f} to {predicted.high:.2f}) "
        f"| {larger:,.1f} | {longer:,.0f} |"
    )


TEMPLATE = """\
# Scaling law: bits per byte from parameters and text

Made by `python -m bench.scaling --report` from `results/scaling.jsonl`: do not edit.

**L(N, D) = {law}** bits per byte, for N parameters (all of them) and D bytes of text read. The \
form and the fit are those of Hoffmann et al. 2022 (arXiv:2203.15556, approach 3); see \
`train/scaling_law.py`. 90% ranges over fits to runs drawn with replacement: {ranges}.

![bits per byte over bytes read](scaling.png)

## What it was fitted to

{runs} runs, {seeds} seeds each, {pieces:,} pieces, batch and rates by the rules of \
`train/presets.py` but no QK-norm, bits per byte of the same held-out documents. Standard \
deviation between seeds: {spread:.4f} bits per byte. The law misses a run by {error:.2f}% on \
average.

| model | parameters | tokens | text read | tokens a step | bits per byte (range) | law |
|---|---|---|---|---|---|---|
{rows}

## A run that the fit has not seen

{held_out}

## What it says about the presets

After each one's own tokens. The last two columns say how far this lies beyond the runs: how many \
times their largest model, and their longest text. The interval is widened by as much as the law \
missed the run above, which is all it knows about larger ones: in runs so short a larger model \
hardly shows what it can do, so the law is likely too pessimistic for long ones. Read these as an \
order, not as promises. All text counts as new; text read more than about four times is worth less \
(Muennighoff et al. 2023, arXiv:2305.16264).

| preset | parameters | tokens | bits per byte | times the model | times the text |
|---|---|---|---|---|---|
{presets}

{hours:.1f} hours of one core in all.
"""


def draw(found: list[Record], fitted: ScalingLaw, out: Path) -> None:
    """Draw bits per byte over text, a curve a size, with the run that was held out."""
    import matplotlib

    matplotlib.use("Agg")
    import numpy as np
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4.5), constrained_layout=True)
    shapes = sorted({(r["parameters"], r["hidden_size"], r["layers"]) for r in found})
    read = np.geomspace(*(f([r["bytes_read"] for r in found]) for f in (min, max)), 60)
    for index, (parameters, width, layers) in enumerate(shapes):
        colour, label = f"C{index}", f"{width}x{layers}, {parameters / 1e6:.2f}M parameters"
        runs = [r for r in found if r["parameters"] == parameters and r["name"] != HELD_OUT]
        axes.plot(
            read / 1e6,
            [fitted.law(parameters, d) for d in read],
            color=colour,
            linewidth=1,
            linestyle="-" if runs else "--",
            label=label if runs else f"{label} (not in the fit)",
        )
        points = [(r["bytes_read"] / 1e6, r["bits_per_byte"]) for r in runs]
        axes.plot(*zip(*points, strict=True), ".", color=colour) if runs else None
        for record in (r for r in found if r["parameters"] == parameters and not runs):
            likely = replace(fitted, held_out=()).predict(parameters, record["bytes_read"])
            x, y = record["bytes_read"] / 1e6, likely.bits_per_byte
            bars = [[max(0.0, y - likely.low)], [max(0.0, likely.high - y)]]
            axes.errorbar([x], [y], yerr=bars, color=colour, capsize=4)
            axes.plot([x], [record["bits_per_byte"]], "*", color=colour, markersize=11)
    axes.set(xscale="log", xlabel="megabytes of text read", ylabel="bits per byte, held-out text")
    axes.grid(alpha=0.3, which="both")
    axes.legend(fontsize=8)
    figure.savefig(out, dpi=100, format="png")
    pyplot.close(figure)


def write_report(results: Path) -> None:
    """Write law, report and plot from the recorded results."""
    found = records.read(results)
    scaling_law.FILE.write_text(scaling_law.to_json(fit(found)), encoding="utf-8")
    fitted = scaling_law.load(scaling_law.FILE)  # as `plan` will
    REPORT.write_text(report(found, fitted), encoding="utf-8")
    draw(found, fitted, PLOT)
    say(f"wrote {scaling_law.FILE}, {REPORT} and {PLOT}")


def main() -> None:
    """Run what is missing, then write law, report and plot."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add_arguments(parser, RESULTS)
    options = parser.parse_args()
    if not options.report:
        if not options.text or not options.work:
            parser.error("--text and --work are needed, or --report")
        sweep(experiments(), options.text, options.work, options.results, options.jobs)
    write_report(options.results)


if __name__ == "__main__":
    main()
