"""How results look on the command line: for people, and as JSON."""

import json
import sys
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any, TextIO

from mlx_toy.replies import Source, Update
from mlx_toy.rows import Hit

SHOWN_PASSAGE = 240  # characters of a passage that people see
_CONTROL = dict.fromkeys((*range(32), *range(127, 160)), "�") | {
    code: chr(code) for code in (9, 10)
}


def note(text: str) -> None:
    """A line for people that is no result."""
    print(text.translate(_CONTROL), file=sys.stderr, flush=True)


def show(text: str, end: str = "\n") -> None:
    """A result for people; what would steer a terminal is made visible instead."""
    print(text.translate(_CONTROL), end=end, flush=True)


def counted(number: int, word: str) -> str:
    """A number of things: "1 page", "2 pages"."""
    return f"{number} {word}{'' if number == 1 else 's'}"


def show_json(value: Any, file: TextIO | None = None) -> None:
    """A result for programs, on one line."""
    file = file or sys.stdout
    is_utf8 = (file.encoding or "").lower().replace("-", "") == "utf8"
    print(json.dumps(value, ensure_ascii=not is_utf8), file=file, flush=True)


def stream_text(updates: Iterable[Update], before: str = "") -> Update:
    """Show a reply as it grows; returns its last update.

    Args:
        updates: at least one.
        before: to show first, once there is anything to show.
    """
    shown = ""
    for update in updates:
        if not shown and update.text:
            show(before, end="")
        if not update.text.startswith(shown):  # the end decides what an answer is
            show("\n", end="")
            shown = ""
        show(update.text[len(shown) :], end="")
        shown = update.text
    show("")
    return update


def place(hit: Hit) -> str:
    """Where a passage stands: "report.pdf, page 3", "staff.md, Holidays > Who decides"."""
    page = f", page {hit.page}" if hit.page else ""
    return hit.document + page + (f", {hit.heading}" if hit.heading else "")


def show_sources(update: Update) -> None:
    """The passages below an answer: the cited ones with their quotes, and what else was found."""
    cited = [source for source in update.sources if source.quote is not None]
    others = [source for source in update.sources if source.quote is None]
    for title, some in (
        ("Sources", cited),
        ("Nearest passages" if update.abstained or not cited else "Also found", others),
    ):
        if some:
            show(f"\n{title}:")
        for source in some:
            text = _shortened(source.quote or source.hit.text)
            show(f"[{source.number}] {place(source.hit)}: {text}")


def reply_as_json(update: Update) -> dict[str, Any]:
    """A finished reply for programs."""
    return {
        "answer": update.text,
        "abstained": update.abstained,
        "sources": [_source_as_json(source) for source in update.sources],
        "dropped": update.dropped,
        "written_for": update.exchange.message if update.exchange else None,
        "stats": asdict(update.stats) if update.stats else None,
    }


def _source_as_json(source: Source) -> dict[str, Any]:
    span = None if source.start is None else source.hit.text[source.start : source.end]
    return {"number": source.number, **asdict(source.hit), "quote": source.quote, "span": span}


def _shortened(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= SHOWN_PASSAGE else line[: SHOWN_PASSAGE - 1].rstrip() + "…"
