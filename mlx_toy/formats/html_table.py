"""The rows of an HTML table, unless the table only serves the layout of its page."""

from collections.abc import Callable
from typing import Any

MAX_SPAN = 100  # columns or rows that one cell may cover
MAX_CELL = 1_000  # characters on average; a table of longer cells is a layout
_LAYOUT = frozenset(("table", "h1", "h2", "h3", "h4", "h5", "h6"))


def table_rows(
    table: Any, dropped: Callable[[Any], bool]
) -> tuple[str, list[list[str]], bool | None] | None:
    """A table's caption, its rows, and whether the first of them names the columns.

    Cells that cover several rows are repeated in each. None if the table has one column, or holds
    tables, headings or long texts.
    """
    grid = _Grid()
    node = table
    depth = 0
    while True:
        child = None
        if not depth or not dropped(node):
            if depth and node.tag in _LAYOUT:
                return None
            grid.enter(node)
            child = node.child
        if child is not None:
            node = child
            depth += 1
            continue
        while depth and (after := node.next) is None:
            node = node.parent
            depth -= 1
        if not depth:
            break
        node = after
    rows = grid.rows
    cells = [cell for row in rows for cell in row if cell]
    if max(map(len, rows), default=0) < 2 or sum(map(len, cells)) > MAX_CELL * len(cells):
        return None
    all_names = grid.first_row_names and bool(rows) and len(rows[0]) > 1
    return grid.caption, rows, True if all_names else None


class _Grid:
    """Rows of cells as they are met."""

    def __init__(self) -> None:
        self._rows: list[list[list[str]]] = []
        self._words: list[str] = []  # where text goes: a cell, the caption, or nowhere
        self._caption: list[str] = []
        self._below: dict[int, tuple[int, list[str]]] = {}  # column -> rows still covered, by what
        self.first_row_names = True

    @property
    def rows(self) -> list[list[str]]:
        """The text of all cells."""
        return [[_join(cell) for cell in row] for row in self._rows if row]

    @property
    def caption(self) -> str:
        """What stands above the table."""
        return _join(self._caption)

    def enter(self, node: Any) -> None:
        """Take in an element of the table."""
        tag = node.tag
        if tag == "-text":
            self._words.append(node.text_content or "")
        elif tag == "tr":
            self._rows.append([])
            self._words = []
        elif tag == "caption":
            self._words = self._caption
        elif tag in ("td", "th"):
            self._cell(node)
        elif tag in ("br", "p", "div", "li"):
            self._words.append(" ")

    def _cell(self, node: Any) -> None:
        if not self._rows:
            self._rows.append([])
        row = self._rows[-1]
        self._cover(row)
        if len(self._rows) == 1 and node.tag == "td":
            self.first_row_names = False
        attributes = node.attributes
        self._words = []
        rows = _span(attributes.get("rowspan"))
        for _ in range(_span(attributes.get("colspan"))):
            if rows > 1:
                self._below[len(row)] = (rows - 1, self._words)
            row.append(self._words)

    def _cover(self, row: list[list[str]]) -> None:
        """Repeat in a row the cells above that reach down into it."""
        while (column := len(row)) in self._below:
            left, words = self._below.pop(column)
            row.append(words)
            if left > 1:
                self._below[column] = (left - 1, words)


def _join(words: list[str]) -> str:
    return " ".join("".join(words).split())


def _span(value: str | None) -> int:
    return min(MAX_SPAN, int(value)) if value and value.isascii() and value.isdigit() else 1
