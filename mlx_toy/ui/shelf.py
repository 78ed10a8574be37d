"""Several tabs of one browser: what one of them kept or deleted, the others learn.

Why: a tab reads the browser's storage when it is opened and writes all of it when something
changes, so that of two open tabs the one that writes last would undo what the other did. The server
therefore remembers, while it runs, the conversations of the browsers seen last. A browser is named
by a number that the server made and the browser keeps with its conversations.
"""

import threading
from collections import OrderedDict

from mlx_toy.ui.conversation_store import from_browser
from mlx_toy.ui.conversations import Conversation, Conversations, new_browser

MAX_BROWSERS = 32  # each may have a million characters
MAX_DELETED = 1_000  # conversations of a browser whose end is remembered


class Shelf:
    """What the browsers seen last have kept; safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # Of each browser: conversations by their ids, None for those that were deleted.
        self._known: OrderedDict[str, dict[str, Conversation | None]] = OrderedDict()

    def read(self, kept: object) -> Conversations:
        """What a tab sent, and what other tabs of its browser have kept since it was opened."""
        sent = from_browser(kept)
        with self._lock:
            known = self._of(sent.browser)
            for item in sent.items:
                old = known.setdefault(item.id, item)
                if old is not None and old.revision < item.revision:
                    known[item.id] = item
            merged = sent.merged([item for item in known.values() if item is not None])
            _trim(known, merged)
            return merged

    def write(self, conversations: Conversations) -> Conversations:
        """Remember what a tab has now; the rest of what it had was deleted."""
        if not conversations.browser:
            conversations = conversations.of_browser(new_browser())
        with self._lock:
            known = self._of(conversations.browser)
            present = {item.id: item for item in conversations.items}
            for id in [*known, *present]:
                known[id] = present.get(id)
            _trim(known, conversations)
        return conversations

    def _of(self, browser: str) -> dict[str, Conversation | None]:
        if not browser:  # of a tab that has kept nothing yet
            return {}
        known = self._known.setdefault(browser, {})
        self._known.move_to_end(browser)
        while len(self._known) > MAX_BROWSERS:
            self._known.popitem(last=False)
        return known


def _trim(known: dict[str, Conversation | None], kept: Conversations) -> None:
    """Forget what no longer fits into the browser, so that no request can fill the memory."""
    ids = {item.id for item in kept.items}
    for id in [id for id, item in known.items() if item is not None and id not in ids]:
        del known[id]
    deleted = [id for id, item in known.items() if item is None]
    for id in deleted[:-MAX_DELETED]:
        del known[id]
