"""Load the assistant in a thread of its own, so that the page is there before the model.

The page asks for `status` until it is settled. A request that comes too early waits in `get`.
"""

import sys
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from mlx_toy.assistant import Assistant
from mlx_toy.errors import UserError
from mlx_toy.ui.markup import sentence

WAIT_S = 0.2  # how often a waiting request looks whether it was stopped


@dataclass(frozen=True)
class Status:
    """How far loading has come, with a line for people."""

    state: Literal["loading", "ready", "failed"]
    line: str


class Loading:
    """An assistant on its way.

    Args:
        load: makes the assistant; called once, in a thread of its own.
    """

    def __init__(self, load: Callable[[], Assistant]) -> None:
        self._load = load
        self._assistant: Assistant | None = None
        self._status = Status("loading", "Loading the model…")
        self._settled = threading.Event()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="mlx-toy loading", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def status(self) -> Status:
        """How far it is."""
        return self._status

    def get(self, stopped: Callable[[], bool] = lambda: False) -> Assistant:
        """The assistant, as soon as it is ready.

        Args:
            stopped: asked from time to time whether to give up.

        Raises:
            UserError: it could not be loaded, or waiting for it was stopped.
        """
        while not self._settled.wait(WAIT_S):
            if stopped():
                raise UserError("the model was still loading when you stopped")
        if self._assistant is None:
            raise UserError(self._status.line)
        return self._assistant

    def close(self, timeout_s: float = 10.0) -> None:
        """Close the assistant, or let it be closed as soon as it is loaded."""
        self._closed.set()
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        if self._assistant is not None:
            self._assistant.close()

    def _run(self) -> None:
        try:
            if self._closed.is_set():
                return
            self._assistant = self._load()
            self._status = Status("ready", _ready_line(self._assistant))
        except UserError as error:
            self._status = Status("failed", sentence(error))
            print(f"mlx-toy: {self._status.line}", file=sys.stderr, flush=True)
        except Exception as error:  # a bug, or no memory: the page must say so and not wait forever
            traceback.print_exc()
            reason = f"The model could not be loaded: {type(error).__name__}: {error}"
            self._status = Status("failed", sentence(reason))
        finally:
            self._settled.set()


def _ready_line(assistant: Assistant) -> str:
    from mlx_toy import backend

    parameters = assistant.engine.parameters / 1e6
    device = backend.info().device
    return f"Ready: {assistant.engine.name}, {parameters:.1f}M parameters, on {device}"
