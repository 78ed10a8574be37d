"""What a reader may say: pieces of text in reading order, within a limit.

Each piece is one JSON line, and its keys say what it is: {"text", "heading": LEVEL} a heading,
{"text"} a paragraph, {"text", "line": true} an item of a list or a row of a table, {"text", "code":
true} lines to be kept as they are, and {"page": TEXT} a page of a PDF, null for one that cannot be
read. {"kind"} names the format that a file turned out to have and {"pages"} how many there will be.
"""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mlx_toy.formats.table_text import row_lines

MAX_INDENT = 8  # levels of a list within a list that are shown


class Refused(Exception):
    """A file that is not read; `code` is a key of `mlx_toy.refusals.SENTENCES`."""

    def __init__(self, code: str, value: object = None) -> None:
        super().__init__(code)
        self.code, self.value = code, value


class Output:
    """Writes pieces to standard output and stops when there are too many characters.

    Args:
        limits: the fields of `mlx_toy.format_process.Limits`.
    """

    def __init__(self, limits: Mapping[str, Any]) -> None:
        self.limits = limits
        self.characters = 0

    def send(self, **record: object) -> None:
        """Write one JSON line, at once: the reader of it shows progress."""
        self._write(record)
        sys.stdout.flush()

    def heading(self, level: int, text: str) -> None:
        """A heading; level 1 is the outermost."""
        self._piece(text, heading=level)

    def paragraph(self, text: str) -> None:
        """A paragraph; "\\u2028" breaks its lines."""
        self._piece(text)

    def item(self, text: str, mark: str = "-", depth: int = 1) -> None:
        """An item of a list, or a further paragraph of it if its mark is empty."""
        if text.strip():
            indent = "  " * min(MAX_INDENT, depth - 1)
            self._piece(f"{indent}{mark or ' '} {text}", line=True)

    def table(self, rows: Iterable[Sequence[str]], header: bool | None = None) -> None:
        """Rows of a table, each of which becomes a line that is understandable alone."""
        for line in row_lines(rows, header):
            self.item(line)

    def code(self, text: str) -> None:
        """Lines whose breaks and indents mean something."""
        self._piece(text, code=True)

    def page(self, text: str | None) -> None:
        """A page of a PDF."""
        self._count(text or "")
        self.send(page=text)

    def _piece(self, text: str, **what: object) -> None:
        if text.strip():
            self._count(text)
            self._write({"text": text, **what})

    def _count(self, text: str) -> None:
        self.characters += len(text) + 1
        if self.characters > self.limits["max_characters"]:
            raise Refused("characters")

    @staticmethod
    def _write(record: Mapping[str, object]) -> None:
        sys.stdout.write(json.dumps(record) + "\n")
