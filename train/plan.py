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
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mlx_toy.errors import UserError
from mlx_toy.output import note, show, show_json
from train import scaling_law, timing
from train.plan_table import as_json, as_text
from train.presets import PRESETS, Preset, preset
from train.scaling_law import Prediction, ScalingLaw
from train.timing import Timing

ALL = "all"
LONGEST_TIMING_S = 90.0
# UTF-8 bytes of text a token: what the runs of `bench/results/ablations.jsonl` read.
BYTES_PER_TOKEN = {2048: 2.86, 4096: 3.24, 8192: 3.55, 16_384: 3.79}
HOUR_S = 3600
FAR = 10.0  # times the sweep's largest model or longest text: from here on it is said


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
