"""Put the pieces that a reader found together: one text, and the blocks that it consists of."""

from collections.abc import Iterable
from typing import Any

from mlx_toy.page_text import clean_text
from mlx_toy.structure import MAX_HEADING, Block


def assemble(pieces: Iterable[dict[str, Any]]) -> tuple[str, tuple[Block, ...]]:
    """Join pieces, and note where each of them stands.

    Args:
        pieces: records with "text", as in `mlx_toy/formats/output.py`, in reading order.

    Returns:
        The text, and its headings, paragraphs and runs of lines in order.
    """
    out: list[str] = []
    blocks: list[Block] = []
    length = 0
    for piece in pieces:
        line, code = bool(piece.get("line")), bool(piece.get("code"))
        text = _clean(piece["text"], keep_indent=line or code)
        if not text:
            continue
        level = int(piece.get("heading", 0)) if len(text) <= MAX_HEADING else 0
        goes_on = line and bool(blocks) and blocks[-1].form == "lines"
        separator = "" if not out else "\n" if goes_on else "\n\n"
        start = length + len(separator)
        length = start + len(text)
        out += [separator, text]
        if goes_on:
            blocks[-1] = Block(blocks[-1].start, length, form="lines")
        else:
            title = " ".join(text.split()) if level else ""
            form = "lines" if line else "code" if code else "prose"
            blocks.append(Block(start, length, level, title, form))
    return "".join(out), tuple(blocks)


def _clean(text: str, keep_indent: bool) -> str:
    """Normalised text, with the indent of its first line if that means something."""
    if not keep_indent:
        return clean_text(text)
    return clean_text("|\n" + text.strip("\r\n"))[2:]
