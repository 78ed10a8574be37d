"""Stop buttons: a flag for each browser page, raised by one request and seen by another.

Why not Gradio's own cancelling: it drops the answering request in mid-air, and with it the figures
and the last words. Here the request ends by itself and says how far it came.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Stops:
    """The flags of all pages, by the name that Gradio gives a page's session."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: dict[str, list[threading.Event]] = {}

    @contextmanager
    def watch(self, session: str) -> Iterator[threading.Event]:
        """The flag of a request, for as long as it runs."""
        flag = threading.Event()
        with self._lock:
            self._running.setdefault(session, []).append(flag)
        try:
            yield flag
        finally:
            with self._lock:
                self._running[session].remove(flag)
                if not self._running[session]:
                    del self._running[session]

    def stop(self, session: str) -> None:
        """Stop what runs for a page."""
        with self._lock:
            for flag in self._running.get(session, []):
                flag.set()
