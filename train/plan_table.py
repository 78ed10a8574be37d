"""A plan as a table for people, and as JSON for programs."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from mlx_toy.backend import info

from train.scaling_law import ScalingLaw
from train.timing import Timing

if TYPE_CHECKING:
    from train.plan import Outcome, Row

GIGABYTE = 1e9


def as_text(
    timed: Timing, rows: Sequence["Row"], law: ScalingLaw, hours: float, price: float | None
) -> str:
    """The plan for people."""
    cost = "" if price is None else f", which cost {hours * price:,.2f},"
    unit = "hour" if hours == 1 else "hours"
    lines = [
        f"Timed here: {timed.preset}, {timed.tokens_per_s:,.0f} tokens/s, "
        f"{timed.flops_per_s / 1e9:,.0f} GFLOP/s, {_device()}.",
        "",
        f"In {hours:g} {unit}{cost} here (* chosen, ~ estimated from the FLOP/s of "
        f"{timed.preset}):",
        *_table(rows, "in_hours"),
        "",
        "Each preset's own tokens:",
        *_table(rows, "own"),
    ]
    return "\n".join(lines + _remarks(rows, law))


def _device() -> str:
    return f"{info().device_name} ({info().device})"


def _table(rows: Sequence["Row"], which: str) -> list[str]:
    heads = ["preset", "parameters", "tokens", "a parameter", "FLOPs", "bits per byte (90%)"]
    heads += ["hours", "cost", "text read"] if which == "own" else ["memory", "text read"]
    table = [heads]
    for row in rows:
        outcome: Outcome = getattr(row, which)
        likely = outcome.prediction
        cells = [
            f"{'*' if row.chosen else ' '} {row.preset}",
            f"{row.parameters / 1e6:,.1f}M",
            f"{'' if row.timed or which == 'own' else '~'}{_short(outcome.tokens)}",
            f"{outcome.tokens / row.parameters:,.1f}",
            f"{outcome.flops:.1e}",
            f"{likely.bits_per_byte:.2f} ({likely.low:.2f} to {likely.high:.2f})"
            + (" far" if outcome.far else ""),
        ]
        estimated = "" if row.timed else "~"
        if which == "own":
            cells.append(f"{estimated}{outcome.hours:,.1f}")
            cells.append("" if outcome.cost is None else f"{estimated}{outcome.cost:,.2f}")
        else:
            size = f"{estimated}{row.memory_bytes / GIGABYTE:,.1f} GB"
            cells.append(size if row.fits else f"{size}, does not fit")
        cells.append("" if outcome.epochs is None else f"{outcome.epochs:,.1f} times")
        table.append(cells)
    kept = [i for i in range(len(heads)) if any(line[i] for line in table[1:])]
    width = {i: max(len(line[i]) for line in table) for i in kept}
    return [
        "  ".join(
            line[i].ljust(width[i]) if i in (0, 5) else line[i].rjust(width[i]) for i in kept
        ).rstrip()
        for line in table
    ]


def _remarks(rows: Sequence["Row"], law: ScalingLaw) -> list[str]:
    """What one has to know about the figures."""
    far = [row.in_hours for row in rows if row.in_hours.far] + [r.own for r in rows if r.own.far]
    if not far:
        return []
    model, text = max(o.times_model for o in far), max(o.times_text for o in far)
    lines = [
        "",
        f"far: up to {model:,.0f} times the parameters and {text:,.0f} times the text of the runs",
        "that the law was fitted to; the interval cannot know whether it still holds there.",
    ]
    for run in law.held_out:
        off = run.bits_per_byte / law.law(run.parameters, run.bytes_read) - 1
        larger, longer = law.beyond(run.parameters, run.bytes_read)
        lines.append(
            f"A run of {larger:.1f} times the parameters and {longer:.1f} times the text came out "
            f"{abs(off):.1%} {'better' if off < 0 else 'worse'} than the law says."
        )
    return lines


def _short(count: float) -> str:
    for unit, name in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if count >= unit:
            return f"{count / unit:,.1f}{name}"
    return f"{count:,.0f}"


def as_json(timed: Timing, rows: Sequence["Row"], hours: float, price: float | None) -> Any:
    """The plan for programs."""
    return {
        "device": _device(),
        "hours": hours,
        "price_per_hour": price,
        "timed": asdict(timed),
        "presets": [asdict(row) for row in rows],
    }
