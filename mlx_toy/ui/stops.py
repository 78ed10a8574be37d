"""Stop buttons: a flag for each browser page, raised by one request and seen by another.

Why not Gradio's own cancelling: it drops the answering request in mid-air, and with it the figures
and the last words. Here the request ends by itself and says how far it came.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

LEAVING_S = 5.0  # how long a visitor who leaves a conversation waits for its answer to end


class Stop(threading.Event):
    """The flag of a request.

    Attributes:
        left: whether the visitor has gone on to another conversation.
    """

    left = False


class Stops:
    """The flags of all pages, by the name that Gradio gives a page's session."""

    def __init__(self) -> None:
        self._lock = threading.Condition()
        self._running: dict[str, list[Stop]] = {}

    @contextmanager
    def watch(self, session: str) -> Iterator[Stop]:
        """The flag of a request, for as long as it runs."""
        flag = Stop()
        with self._lock:
            self._running.setdefault(session, []).append(flag)
        try:
            yield flag
        finally:
            with self._lock:
                self._running[session].remove(flag)
                if not self._running[session]:
                    del self._running[session]
                self._lock.notify_all()

    def stop(self, session: str) -> None:
        """Stop what runs for a page."""
        with self._lock:
            for flag in self._running.get(session, []):
                flag.set()

    def busy(self, session: str) -> bool:
        """Whether a page waits for an answer."""
        with self._lock:
            return session in self._running

    def leave(self, session: str) -> None:
        """Stop what runs for a page, because it shows something else now; wait until it ended."""
        until = time.monotonic() + LEAVING_S
        with self._lock:
            for flag in self._running.get(session, []):
                flag.left = True
                flag.set()
            while self._running.get(session) and (left_s := until - time.monotonic()) > 0:
                self._lock.wait(left_s)
