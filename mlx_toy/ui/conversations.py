"""The conversations of a browser: which there are, which is open, and what is done with them.

A value of `Conversations` never changes; each change makes another. `conversation_store.py` writes
them for the browser, which keeps them. Storage there is small: when it is full, the conversations
that were untouched for longest leave.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from mlx_toy.ui.conversation import Turn

MAX_CONVERSATIONS = 100
MAX_CHARACTERS = 1_000_000  # of all; browsers keep 5 million, and encryption adds a third
MAX_TURNS = 400  # of one conversation
MAX_TITLE = 60  # characters
UNTITLED = "New chat"
_TURN_OVERHEAD = 400  # characters of a turn beside its text: its fields, its passages


@dataclass(frozen=True)
class Conversation:
    """A conversation with a name.

    Attributes:
        id: made by the server; names it in the list.
        title: shown in the list.
        changed: when a turn was last added, in UTC, ISO 8601.
        turns: what was said.
        revision: counts the changes, so that of two versions the later one is known.
    """

    id: str
    title: str
    changed: str
    turns: tuple[Turn, ...] = ()
    revision: int = 0


@dataclass(frozen=True)
class Conversations:
    """All of a browser's, the latest first.

    Attributes:
        items: the conversations.
        open: the id of the one on the page; "" for a new one that is not kept yet.
        browser: names the browser; "" until it keeps something.
    """

    items: tuple[Conversation, ...] = ()
    open: str = ""
    browser: str = ""
    _by_id: dict[str, Conversation] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_by_id", {item.id: item for item in self.items})

    def current(self) -> Conversation | None:
        """The one on the page, if it is kept."""
        return self._by_id.get(self.open)

    def turns(self) -> list[Turn]:
        """What the page shows."""
        current = self.current()
        return list(current.turns) if current else []

    def opened(self, id: str) -> "Conversations":
        """With another one on the page; "" for a new one."""
        return replace(self, open=id if id in self._by_id else "")

    def kept(self, id: str, turns: Sequence[Turn]) -> "Conversations":
        """With these turns in the conversation of that id, which is new if there is none."""
        old = self._by_id.get(id)
        if old and old.turns == tuple(turns):
            return self
        named = old is not None and old.title != title_of(old.turns)
        title = old.title if old and named else title_of(turns)
        revision = old.revision + 1 if old else 0
        item = Conversation(id, title, _now(), tuple(turns[-MAX_TURNS:]), revision)
        others = (other for other in self.items if other.id != id)
        return replace(self, items=fitting([item, *others]))

    def with_turns(self, turns: Sequence[Turn]) -> "Conversations":
        """With other turns in the open conversation, which stays in its place; deleted if none."""
        if not turns:
            return self.without_open()
        return self._changed(turns=tuple(turns))

    def renamed(self, title: str) -> "Conversations":
        """With another title of the open one; a blank one changes nothing."""
        title = shortened(title)
        return self._changed(title=title) if title else self

    def without_open(self) -> "Conversations":
        """With the open one deleted, and a new one on the page."""
        items = tuple(item for item in self.items if item.id != self.open)
        return replace(self, items=items, open="")

    def of_browser(self, name: str) -> "Conversations":
        """The same, of a browser with that name."""
        return replace(self, browser=name)

    def merged(self, known: Sequence[Conversation]) -> "Conversations":
        """As another tab of the same browser left them; the open one stays open if it is there."""
        if {item.id: item for item in known} == self._by_id:
            return self
        latest_first = sorted(known, key=lambda item: item.changed, reverse=True)
        return replace(self, items=fitting(latest_first)).opened(self.open)

    def _changed(self, **fields: Any) -> "Conversations":
        items = (
            replace(item, revision=item.revision + 1, **fields) if item.id == self.open else item
            for item in self.items
        )
        return replace(self, items=tuple(items))


def new_id() -> str:
    """A name for a new conversation."""
    return secrets.token_urlsafe(9)


def new_browser() -> str:
    """A name for a browser, which nobody can guess."""
    return secrets.token_urlsafe(18)


def title_of(turns: Sequence[Turn]) -> str:
    """The first question, or what fits of it."""
    said = [turn.text for turn in turns if turn.role == "user" and not turn.note]
    shown = [turn.text for turn in turns]
    return shortened((said or shown or [""])[0]) or UNTITLED


def shortened(title: str) -> str:
    """A title on one line, cut at a word where it is too long."""
    title = " ".join(title.split())
    if len(title) <= MAX_TITLE:
        return title
    cut = title[:MAX_TITLE]
    return (cut.rsplit(" ", 1)[0] if " " in cut[MAX_TITLE // 2 :] else cut) + "…"


def fitting(items: Sequence[Conversation]) -> tuple[Conversation, ...]:
    """The first conversations, as many as a browser keeps; always the first one."""
    kept: list[Conversation] = []
    room = MAX_CHARACTERS
    for item in items[:MAX_CONVERSATIONS]:
        room -= sum(len(turn.text) + len(turn.figures) + _TURN_OVERHEAD for turn in item.turns)
        if room < 0 and kept:
            break
        kept.append(item)
    return tuple(kept)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
