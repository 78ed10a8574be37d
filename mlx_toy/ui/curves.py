"""Curves of a training as SVG, in the page's own colours so that light and dark both fit.

Why not a plot component: a picture drawn here needs no script, prints, and has a legend that names
each line with its last value, which is what one wants to know of many lines.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from mlx_toy.training_history import Stage
from mlx_toy.ui.markup import as_attribute, as_text
from mlx_toy.ui.source_names import source_title

WIDTH, HEIGHT = 560, 300  # of the drawing, in its own units
LEFT, RIGHT, TOP, BOTTOM = 56, 12, 12, 48  # room around the axes
TICKS = 5
COLOURS = 12  # of lines, in turn; see `style.py`

Point = tuple[float, float]


@dataclass(frozen=True)
class Line:
    """A curve: its name and its points, in the order of x."""

    name: str
    points: list[Point]


@dataclass(frozen=True)
class Frame:
    """Where the axes begin and end, in the units of the data."""

    x_end: float
    y_start: float
    y_end: float

    def place(self, point: Point) -> Point:
        """A point of the data in units of the drawing."""
        x = LEFT + point[0] / (self.x_end or 1) * (WIDTH - LEFT - RIGHT)
        part = (point[1] - self.y_start) / ((self.y_end - self.y_start) or 1)
        return x, HEIGHT - BOTTOM - part * (HEIGHT - TOP - BOTTOM)


def loss_lines(stages: Sequence[Stage], names: dict[str, str]) -> list[Line]:
    """The training loss of each stage over the million tokens that were read by then."""
    return [
        Line(
            names.get(stage.name, stage.name),
            [
                ((before + metric.tokens) / 1e6, metric.loss)
                for metric in stage.metrics
                if metric.loss is not None
            ],
        )
        for before, stage in _after_each_other(stages)
    ]


def validation_lines(stages: Sequence[Stage]) -> list[Line]:
    """Bits per byte of each held-out text over the million tokens that were read by then."""
    found: dict[str, list[Point]] = {}
    for before, stage in _after_each_other(stages):
        for metric in stage.metrics:
            for name, bits in metric.bits_per_byte.items():
                found.setdefault(source_title(name), []).append(
                    ((before + metric.tokens) / 1e6, bits)
                )
    return [Line(name, points) for name, points in found.items()]


def curves_html(lines: Sequence[Line], title: str, y_title: str) -> str:
    """A chart with its legend; "" if there is nothing to draw."""
    lines = [line for line in lines if line.points]
    if not lines:
        return ""
    frame = _frame([point for line in lines for point in line.points])
    drawn = "".join(_line_svg(line, place, frame) for place, line in enumerate(lines))
    ranked = sorted(enumerate(lines), key=lambda item: -item[1].points[-1][1])
    legend = "".join(
        f'<span class="line-{place % COLOURS}">{as_text(line.name)} '
        f"<b>{line.points[-1][1]:.2f}</b></span>"
        for place, line in ranked
    )
    return (
        f'<figure class="curves"><figcaption>{as_text(title)}</figcaption>'
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{as_attribute(title)}">'
        f"{_axes(frame, y_title)}{drawn}</svg>"
        f'<div class="legend">{legend}</div></figure>'
    )


def _after_each_other(stages: Sequence[Stage]) -> Iterator[tuple[int, Stage]]:
    """Each stage with the tokens of those before it."""
    before = 0
    for stage in stages:
        yield before, stage
        before += max((metric.tokens for metric in stage.metrics), default=0)


def _frame(points: Sequence[Point]) -> Frame:
    values = [y for _, y in points]
    low, high = min(values), max(values)
    margin = (high - low) * 0.05 or 0.5
    return Frame(max(x for x, _ in points), max(0.0, low - margin), high + margin)


def _line_svg(line: Line, place: int, frame: Frame) -> str:
    at = [frame.place(point) for point in line.points]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in at)
    tip = as_text(f"{line.name}: {line.points[-1][1]:.3f} at the end")
    x, y = at[-1]
    return (
        f'<g class="line-{place % COLOURS}"><title>{tip}</title><polyline points="{path}"/>'
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3"/></g>'
    )


def _axes(frame: Frame, y_title: str) -> str:
    left, right, base = LEFT, WIDTH - RIGHT, HEIGHT - BOTTOM
    parts = [f'<line x1="{left}" y1="{base}" x2="{right}" y2="{base}"/>']
    for value in _ticks(frame.y_start, frame.y_end):
        y = frame.place((0, value))[1]
        parts.append(
            f'<line class="grid" x1="{left}" y1="{y:.1f}" x2="{right}" y2="{y:.1f}"/>'
            f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{value:g}</text>'
        )
    for value in _ticks(0, frame.x_end):
        x = frame.place((value, 0))[0]
        parts.append(f'<text x="{x:.1f}" y="{base + 20}" text-anchor="middle">{value:g}</text>')
    middle = (left + right) / 2
    parts.append(
        f'<text x="{middle}" y="{HEIGHT - 4}" text-anchor="middle">million tokens read</text>'
        f'<text transform="translate(14 {(TOP + base) / 2}) rotate(-90)" text-anchor="middle">'
        f"{as_text(y_title)}</text>"
    )
    return f'<g class="axes">{"".join(parts)}</g>'


def _ticks(start: float, end: float) -> Iterable[float]:
    """Some round numbers from `start` to `end`."""
    span = end - start
    if span <= 0:
        return [start]
    rough = span / TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough)
    first = math.ceil(start / step)
    return [round(number * step, 10) for number in range(first, math.floor(end / step) + 1)]
