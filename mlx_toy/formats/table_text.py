"""A table as lines of text, one a row, each understandable without the others.

Why: a passage may hold two rows of a table of thousands; "1889; 324" answers nothing, while "Built:
1889; Height in metres: 324" does.
"""

import re
from collections.abc import Iterable, Iterator, Sequence

MAX_HEADER = 60  # characters of a column's name
_NUMBER = re.compile(r"[\W_]*\d[\d\W_]*[%\w]{0,3}\W*")


def row_lines(rows: Iterable[Sequence[str]], header: bool | None = None) -> Iterator[str]:
    """The rows as "column: value; column: value"; of two columns without names "left: right".

    Args:
        rows: the cells of each row; rows may differ in length.
        header: whether the first row names the columns; None to judge by the first three rows.
    """
    cells = ([" ".join(cell.split()) for cell in row] for row in rows)
    filled = (row for row in cells if any(row))
    first: list[list[str]] = []
    for row in filled:
        first.append(row)
        if len(first) == 3:
            break
    names: list[str] = []
    if first and len(first) > 1 and (looks_like_header(first) if header is None else header):
        names = first.pop(0)
    for row in first:
        yield _line(row, names)
    for row in filled:
        yield _line(row, names)


def looks_like_header(rows: Sequence[Sequence[str]]) -> bool:
    """Whether the first of some rows has short, different words, and the others other things.

    Two columns of words may as well be names and values; those need a number below a word.
    """
    head, *body = rows
    if not all(head) or len(set(head)) < len(head) or any(len(name) > MAX_HEADER for name in head):
        return False
    if any(map(is_number, head)):
        return False
    return len(head) > 2 or any(is_number(cell) for row in body for cell in row)


def is_number(cell: str) -> bool:
    """Whether a cell holds a number, perhaps with a unit, rather than words."""
    return len(cell) <= MAX_HEADER and _NUMBER.fullmatch(cell.strip()) is not None


def _line(row: Sequence[str], names: Sequence[str]) -> str:
    """One row; cells that are empty are left out, and so is a value that repeats its name."""
    if not names and len(row) == 2 and all(row):
        return f"{row[0].rstrip(':')}: {row[1]}"
    parts = []
    for column, cell in enumerate(row):
        name = names[column].rstrip(":") if column < len(names) else ""
        if cell:
            parts.append(f"{name}: {cell}" if name and name != cell else cell)
    return "; ".join(parts)
