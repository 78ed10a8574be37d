"""Conversations as a browser keeps them, and read back from there.

Why in the browser: on a Space nobody's words stay on the server, and a restart loses nothing. What
comes back may be forged, or written by another version, so it is read field by field, and whatever
does not fit is left out.
"""

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import asdict, fields
from datetime import datetime
from typing import Any, TypeVar

from mlx_toy.ui.conversation import Passage, Turn
from mlx_toy.ui.conversations import (
    MAX_TURNS,
    UNTITLED,
    Conversation,
    Conversations,
    fitting,
    shortened,
)

STORAGE_KEY = "mlx-toy-conversations"  # in the browser's storage, which only this page can read
# Gradio encrypts that storage. A key of the server's own making would change with every start, and
# lose all; the storage is the visitor's own, so that nothing depends on its secrecy.
STORAGE_SECRET = "mlx-toy"
VERSION = 1
MAX_TURN = 40_000  # characters
MAX_PASSAGES = 10  # of an answer
MAX_SPANS = 50  # of a passage
_ID = re.compile(r"[A-Za-z0-9_-]{8,32}")
_BROWSER = re.compile(r"[A-Za-z0-9_-]{24}")
_DOCUMENT_ID = re.compile(r"[0-9a-f]{32}")
_T = TypeVar("_T")


def to_browser(conversations: Conversations) -> dict[str, Any]:
    """As JSON takes it; fields that have their default are left out."""
    items = [
        {
            "id": item.id,
            "title": item.title,
            "changed": item.changed,
            "revision": item.revision,
            "turns": [turn_fields(turn) for turn in item.turns],
        }
        for item in conversations.items
    ]
    kept = {"version": VERSION, "open": conversations.open, "items": items}
    return {**kept, "browser": conversations.browser}


def turn_fields(turn: Turn) -> dict[str, Any]:
    """What a turn holds, without the fields that have their default."""
    shown = asdict(turn)
    return {f.name: shown[f.name] for f in fields(turn) if getattr(turn, f.name) != f.default}


def from_browser(value: object) -> Conversations:
    """What a browser sent, as far as it can be trusted."""
    if not isinstance(value, dict) or value.get("version") != VERSION:
        return Conversations()
    items = {item.id: item for item in _all(value.get("items"), _conversation)}
    browser = _text(value.get("browser"))
    conversations = Conversations(fitting(list(items.values())), "", browser)
    if not _BROWSER.fullmatch(browser):
        conversations = conversations.of_browser("")
    return conversations.opened(_text(value.get("open")))


def _conversation(value: dict[str, Any]) -> Conversation | None:
    id, changed = _text(value.get("id")), _text(value.get("changed"))
    turns = tuple(_all(value.get("turns"), _turn))[-MAX_TURNS:]
    if not _ID.fullmatch(id) or not turns:
        return None
    title = shortened(_text(value.get("title"))) or UNTITLED
    return Conversation(id, title, _date(changed), turns, _count(value.get("revision")) or 0)


def _turn(value: dict[str, Any]) -> Turn | None:
    role, liked = value.get("role"), value.get("liked")
    if role not in ("user", "assistant"):
        return None
    return Turn(
        role,
        _text(value.get("text"))[:MAX_TURN],
        _text(value.get("figures"))[:MAX_TURN],
        value.get("note") is True,
        liked if isinstance(liked, bool) and role == "assistant" else None,
        value.get("offers_model") is True,
        tuple(_all(value.get("passages"), _passage))[:MAX_PASSAGES],
    )


def _passage(value: dict[str, Any]) -> Passage | None:
    document_id, similarity = _text(value.get("document_id")), value.get("similarity")
    passage, range_ = _count(value.get("passage")), _span([value.get("start"), value.get("end")])
    if not _DOCUMENT_ID.fullmatch(document_id) or passage is None or range_ is None:
        return None
    if not isinstance(similarity, float) or not math.isfinite(similarity):
        similarity = 0.0
    spans = value.get("spans")
    read = map(_span, spans[:MAX_SPANS] if isinstance(spans, list) else [])
    return Passage(document_id, passage, similarity, *range_, tuple(filter(None, read)))


def _span(value: object) -> tuple[int, int] | None:
    """Two offsets of which the first is smaller."""
    if not isinstance(value, list) or len(value) != 2:
        return None
    start, end = map(_count, value)
    return (start, end) if start is not None and end is not None and start < end else None


def _all(values: object, read: Callable[[dict[str, Any]], _T | None]) -> Iterator[_T]:
    """What could be read of a list of objects."""
    for value in values if isinstance(values, list) else []:
        if isinstance(value, dict) and (item := read(value)) is not None:
            yield item


def _text(value: object) -> str:
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else ""


def _count(value: object) -> int | None:
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 31:
        return value
    return None


def _date(value: str) -> str:
    try:
        return datetime.fromisoformat(value).isoformat(timespec="seconds")
    except ValueError:
        return ""
