"""Map a function over a stream with all cores: results in order, and little of it in memory."""

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.process import BaseProcess
from typing import TypeVar

from mlx_toy.errors import UserError

Item = TypeVar("Item")
Result = TypeVar("Result")
AHEAD = 3  # items in flight for each worker
MOST = 8  # workers unless more are asked for: each takes 100 MB, and one process feeds them all


def core_count() -> int:
    """Cores that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)  # not on macOS
    return len(affinity(0)) if affinity else os.cpu_count() or 1


class Workers:
    """Processes that map functions; none are started for a single one.

    Args:
        count: of them; with one, all is done in this process.
    """

    def __init__(self, count: int):
        self._count = count
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> "Workers":
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool:
            self._pool.shutdown(wait=True, cancel_futures=True)

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """Yield `function(item)` for each item, in order.

        Raises:
            UserError: a worker was killed, most likely for want of memory.
        """
        if self._count == 1:
            yield from map(function, items)
            return
        if self._pool is None:  # spawned, because a fork copies the threads' locks
            context = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(
                self._count, mp_context=context, initializer=_end_with_parent
            )
        pending: deque[Future[Result]] = deque()
        try:
            for item in items:
                pending.append(self._pool.submit(function, item))
                if len(pending) >= AHEAD * self._count:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        except BrokenProcessPool as error:
            raise UserError(
                "a worker was killed, most likely for want of memory: "
                "run the same command again with --workers 1; it goes on from here"
            ) from error
        finally:
            for future in pending:
                future.cancel()


def _end_with_parent() -> None:
    """What a worker does first: nothing shall be left of a command that was killed or interrupted.

    A worker waits for its next item on a pipe that it holds open itself, so it would wait for ever
    for a parent that was killed. An interrupt reaches the parent, which says what it means.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_after, args=(parent,), daemon=True).start()


def _end_after(parent: BaseProcess) -> None:
    parent.join()
    os._exit(1)
