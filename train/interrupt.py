"""Ctrl-C as a wish and not as a blow: the step ends, the run is saved, and then it stops."""

import signal
import sys


class Interrupt:
    """Turns the first Ctrl-C (or a polite kill) into a request to stop after the current step.

    Attributes:
        asked: whether somebody did.
    """

    asked = False

    def __enter__(self) -> "Interrupt":
        self._before = {}
        try:
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._ask)
        except ValueError:
            pass  # not the main thread: nobody can press Ctrl-C for us
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _ask(self, *_: object) -> None:
        self.asked = True
        print("stopping after this step …", file=sys.stderr, flush=True)
