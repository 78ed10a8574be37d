"""Put a PDF's page of two columns into reading order.

Why: most programs write a page column by column, and then its text comes in order. Some write it
row by row, across both columns; then every line of the text is half of one sentence and half of
another. Such a page is known by where its pieces of text begin: most rows have one at the same
place near the middle, and both halves are full of words, which those of a table are not.
"""

from collections import Counter
from dataclasses import dataclass, field
from statistics import median

SAME_LINE = 4.0  # points up or down within which the middles of pieces stand on one line
GRID = 4.0  # points left or right within which they begin at one place
MIDDLE = (0.3, 0.7)  # of the page's width, where a second column may begin
MIN_ROWS = 6
MIN_SHARE = 0.6  # of the rows that have a second column
MIN_CHARACTERS = 15  # in the middle one of the rows' halves, on either side
MIN_FILL = 0.6  # of the longest rows' halves: prose fills its lines


@dataclass
class Pieces:
    """The pieces of text of a page with their places."""

    rows: list[list[tuple[float, str]]] = field(default_factory=list)
    _height: float | None = None

    def add(self, text: str, x: float, y: float) -> None:
        """Take in a piece; `x` is where it begins and `y` its middle, in points from below."""
        if not text.strip():
            return
        if self._height is None or abs(y - self._height) > SAME_LINE:
            self.rows.append([])
            self._height = y
        self.rows[-1].append((x, text))


def in_columns(pieces: Pieces, width: float) -> str | None:
    """The text of a page column by column; None if it is not written across two columns.

    Args:
        pieces: of the page.
        width: of the page, in points.
    """
    start = _second_column(pieces.rows, width)
    if start is None:
        return None
    halves = [_halves(row, start) for row in pieces.rows]
    both = [(left, right) for left, right in halves if left and right]
    if not all(_is_prose([half[side] for half in both]) for side in (0, 1)):
        return None
    out: list[str] = []
    waiting: list[str] = []  # lines of the second column, until the first one ends
    longest = max(len(left) for left, _ in both)
    for left, right in halves:
        if not right and len(left) > 1.2 * longest:  # a line across the page
            out += [*waiting, left]
            waiting = []
            continue
        out += [left] if left else []
        waiting += [right] if right else []
    return "\n".join(out + waiting)


def _second_column(rows: list[list[tuple[float, str]]], width: float) -> float | None:
    """Where most rows have a piece that begins near the middle and is not their first."""
    starts: Counter[int] = Counter()
    for row in rows:
        inner = {round(x / GRID) for x, _ in row[1:] if MIDDLE[0] < x / width < MIDDLE[1]}
        starts.update(inner)
    if not starts:
        return None
    place, count = starts.most_common(1)[0]
    if count < max(MIN_ROWS, MIN_SHARE * len(rows)):
        return None
    return (place - 0.75) * GRID


def _halves(row: list[tuple[float, str]], start: float) -> tuple[str, str]:
    left = "".join(text for x, text in row if x < start)
    right = "".join(text for x, text in row if x >= start)
    return " ".join(left.split()), " ".join(right.split())


def _is_prose(lines: list[str]) -> bool:
    lengths = [len(line) for line in lines]
    typical = median(lengths) if lengths else 0
    return typical >= max(MIN_CHARACTERS, MIN_FILL * max(lengths))
