"""Lines on stderr that say how far a long command is."""

import time

from mlx_toy.output import note

INTERVAL_S = 5.0  # between two lines


class Progress:
    """Counts what is done.

    Args:
        name: of what is being done.
        total: how many there are; None if that is not known.
    """

    def __init__(self, name: str, total: int | None):
        self._name, self._total = name, total
        self._done = 0
        self._began = self._said = time.monotonic()

    def add(self, count: int) -> None:
        """So many more are done."""
        self._done += count
        if time.monotonic() - self._said >= INTERVAL_S:
            self._say()

    def end(self) -> None:
        """Say how it went."""
        self._say(at_end=True)

    def _say(self, at_end: bool = False) -> None:
        self._said = time.monotonic()
        speed = self._done / max(self._said - self._began, 1e-9)
        of_all, left = "", ""
        if self._total is not None:
            of_all = f"/{self._total}"
            left = f", {(self._total - self._done) / speed:.0f} s left" if speed else ""
        note(f"{self._name}: {self._done}{of_all}, {speed:.1f} a second{'' if at_end else left}")
