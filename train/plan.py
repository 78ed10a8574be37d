"""What can be trained here in so many hours, and how good it may get.

    python -m train plan --preset small --hours 8 --price-per-hour 1.2

It trains a preset for a few real steps, then says for every preset what the hours buy: tokens,
operations, bits per byte by the scaling law (`train/scaling_law.py`), memory; and what the preset's
own tokens would take. A preset that is too large to be timed here is estimated from the operations
a second of the one that was timed, and marked.
"""

import argparse
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mlx_toy.backend import info

import numpy as np

from mlx_toy.errors import UserError
from mlx_toy.output import note, show, show_json
from train import scaling_law, timing
from train.presets import PRESETS, Preset, preset
from train.scaling_law import Prediction, ScalingLaw
from train.timing import Timing

ALL = "all"
LONGEST_TIMING_S = 90.0
FAR = 10.0  # times the sweep's largest model or longest text: from here on it is said
# UTF-8 bytes of text a token: what the runs of `bench/results/ablations.jsonl` read.
BYTES_PER_TOKEN = {2048: 2.86, 4096: 3.24, 8192: 3.55, 16_384: 3.79}
HOUR_S = 3600
GIGABYTE = 1e9


@dataclass(frozen=True)
class Outcome:
    """A preset trained on some tokens.

    Attributes:
        tokens: that it reads.
        hours: that it takes here.
        cost: of these, in the currency of the price; None without one.
        flops: floating-point operations.
        bytes_read: of text, about.
        prediction: bits per byte that the scaling law expects.
        times_model: its parameters over those of the largest model of the sweep.
        times_text: its bytes over those of the longest run of the sweep.
        epochs: times that the text at hand is read; None when none was named.
    """

    tokens: float
    hours: float
    cost: float | None
    flops: float
    bytes_read: float
    prediction: Prediction
    times_model: float
    times_text: float
    epochs: float | None

    @property
    def far(self) -> bool:
        """Whether this lies far beyond what the law was fitted to."""
        return max(self.times_model, self.times_text) > FAR


@dataclass(frozen=True)
class Row:
    """What is planned for a preset.

    Attributes:
        preset: its name.
        chosen: whether it was asked for.
        timed: whether speed and memory were measured with it, or are estimated.
        parameters: all of them.
        tokens_per_s: of training.
        memory_bytes: at the peak.
        fits: whether that is there.
        in_hours: what the hours buy.
        own: the preset's own tokens.
    """

    preset: str
    chosen: bool
    timed: bool
    parameters: int
    tokens_per_s: float
    memory_bytes: float
    fits: bool
    in_hours: Outcome
    own: Outcome


def bytes_per_token(vocab_size: int) -> float:
    """UTF-8 bytes that a token stands for, by the logarithm of the vocabulary's size."""
    sizes = np.log2(list(BYTES_PER_TOKEN))
    return float(np.interp(math.log2(vocab_size), sizes, list(BYTES_PER_TOKEN.values())))


def plan_row(
    size: Preset,
    timed: Timing,
    law: ScalingLaw,
    hours: float,
    *,
    memory_bytes: float,
    room_bytes: float,
    price_per_hour: float | None = None,
    text_bytes: int | None = None,
    chosen: bool = False,
) -> Row:
    """The plan for one preset; arithmetic only.

    Args:
        size: the preset.
        timed: the steps that were timed, of this preset or another one.
        law: predicts bits per byte.
        hours: of training.
        memory_bytes: that this preset needs.
        room_bytes: that there are.
        price_per_hour: of the machine.
        text_bytes: of the text at hand.
        chosen: whether it was asked for.
    """
    is_timed = timed.preset == size.name
    per_token = timing.flops_per_token(size)
    speed = timed.tokens_per_s if is_timed else timed.flops_per_s / per_token

    def outcome(tokens: float) -> Outcome:
        read = tokens * bytes_per_token(size.vocab_size)
        taken = tokens / speed / HOUR_S
        return Outcome(
            tokens,
            taken,
            None if price_per_hour is None else taken * price_per_hour,
            tokens * per_token,
            read,
            law.predict(size.parameters, read),
            *law.beyond(size.parameters, read),
            None if text_bytes is None else read / text_bytes,
        )

    return Row(
        size.name,
        chosen,
        is_timed,
        size.parameters,
        speed,
        memory_bytes,
        memory_bytes <= room_bytes,
        outcome(speed * hours * HOUR_S),
        outcome(size.pretrain_tokens),
    )


def plan(
    chosen: str,
    hours: float,
    price_per_hour: float | None = None,
    texts: Sequence[Path] = (),
    law: ScalingLaw | None = None,
) -> tuple[Timing, list[Row], ScalingLaw]:
    """Time a preset here and plan all of them.

    Args:
        chosen: name of a preset, or "all".
        hours: of training.
        price_per_hour: of the machine.
        texts: files that would be read.
        law: to predict with; the stored one when None.

    Raises:
        UserError: no such preset, or a number or file that cannot be.
    """
    if not 0 < hours < math.inf:
        raise UserError(f"--hours {hours:g}: must be a number above 0")
    if price_per_hour is not None and not 0 <= price_per_hour < math.inf:
        raise UserError(f"--price-per-hour {price_per_hour:g}: must be 0 or a number above")
    largest = list(PRESETS.values())[-1] if chosen == ALL else preset(chosen)
    text_bytes = _text_bytes(texts) if texts else None
    law = law or scaling_law.load()
    room = timing.device_memory_bytes()
    size = _timeable(largest, room)
    note(f"training {timing.STEPS + 1} steps of {size.tokens_per_step:,} tokens of {size.name} …")
    timed = timing.time_steps(size)
    # What counting arrays misses, here: buffers that are kept for the next operation, the runtime.
    missed = timed.peak_memory_bytes / timing.memory(size).total
    rows = [
        plan_row(
            one,
            timed,
            law,
            hours,
            memory_bytes=missed * timing.memory(one).total,
            room_bytes=room,
            price_per_hour=price_per_hour,
            text_bytes=text_bytes,
            chosen=chosen in (ALL, one.name),
        )
        for one in PRESETS.values()
    ]
    return timed, rows, law


def _text_bytes(texts: Sequence[Path]) -> int:
    try:
        size = sum(file.stat().st_size for file in texts)
    except OSError as error:
        raise UserError(f"cannot read {error.filename} ({error.strerror})") from error
    if not size:
        raise UserError(f"{texts[0]} is empty: name a file with text")
    return size


def _timeable(largest: Preset, room_bytes: int) -> Preset:
    """The largest preset, up to `largest`, that fits the memory and is not too slow to time."""
    peak = timing.peak_flops()
    sizes = [size for size in PRESETS.values() if size.parameters <= largest.parameters]
    for size in reversed(sizes):
        fits = timing.memory(size).total <= room_bytes
        if fits and timing.likely_seconds(size, peak) <= LONGEST_TIMING_S:
            return size
    return sizes[0]


def as_text(
    timed: Timing, rows: Sequence[Row], law: ScalingLaw, hours: float, price: float | None
) -> str:
    """The plan for people."""
    cost = "" if price is None else f", which cost {hours * price:,.2f},"
    lines = [
        f"Timed here: {timed.preset}, {timed.tokens_per_s:,.0f} tokens/s, "
        f"{timed.flops_per_s / 1e9:,.0f} GFLOP/s, {_device()}.",
        "",
        f"In {hours:g} hours{cost} here (* chosen, ~ estimated from the FLOP/s of {timed.preset}):",
        *_table(rows, "in_hours"),
        "",
        "Each preset's own tokens:",
        *_table(rows, "own"),
    ]
    return "\n".join(lines + _remarks(rows, law))


def _device() -> str:
    return f"{info().device_name} ({info().device})"


def _table(rows: Sequence[Row], which: str) -> list[str]:
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


def _remarks(rows: Sequence[Row], law: ScalingLaw) -> list[str]:
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


def as_json(timed: Timing, rows: Sequence[Row], hours: float, price: float | None) -> Any:
    """The plan for programs."""
    return {
        "device": _device(),
        "hours": hours,
        "price_per_hour": price,
        "timed": asdict(timed),
        "presets": [asdict(row) for row in rows],
    }


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add the command's flags."""
    names = ", ".join(PRESETS)
    command.add_argument("--preset", default=ALL, help=f"to time: {names} or all (default: all)")
    command.add_argument("--hours", type=float, required=True, help="of training")
    command.add_argument("--price-per-hour", type=float, help="of the machine, in any currency")
    command.add_argument(
        "--seed-text", type=Path, nargs="+", default=(), metavar="FILE", help="text to be read"
    )
    command.add_argument("--json", action="store_true", help="print JSON")


def run(options: argparse.Namespace) -> None:
    """Plan and print."""
    hours, price = options.hours, options.price_per_hour
    timed, rows, law = plan(options.preset, hours, price, options.seed_text)
    if options.json:
        show_json(as_json(timed, rows, hours, price))
    else:
        show(as_text(timed, rows, law, hours, price))
