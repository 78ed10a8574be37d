"""One thread that does all jobs, a step of each in turn.

Why: MLX's streams belong to the thread that made them, so arrays that are not yet computed must not
cross threads, and two threads in one matrix product are slower than one. Here a single thread owns
the model. Anybody submits a job, a generator that pauses wherever another job may go on; the
thread takes one step of each job in turn. A job is started, advanced and closed in that thread
only. It can be cancelled between two steps, and an error ends the job that raised it, no other.
"""

import queue
import threading
from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import Future
from typing import Any, Generic, TypeVar

Result = TypeVar("Result")
Steps = Generator[Any, None, Result]


class JobCancelled(Exception):
    """The job was cancelled before it had a result."""


class Job(Generic[Result]):
    """A piece of work in the owner thread.

    Args:
        start: called in the owner thread; returns the generator to advance.
    """

    def __init__(self, start: Callable[[], Steps[Result]]):
        self._start = start
        self._steps: Steps[Result] | None = None
        self._outcome: Future[Result] = Future()
        self._cancelled = threading.Event()

    def cancel(self) -> None:
        """Stop before the next step; does nothing to a job that is done."""
        self._cancelled.set()

    def result(self) -> Result:
        """Wait for the result; an interrupted wait cancels the job.

        Raises:
            JobCancelled: the job was cancelled.
            Exception: whatever the job raised.
        """
        try:
            return self._outcome.result()
        finally:
            self.cancel()

    def error(self) -> BaseException | None:
        """Wait for the end; what the job raised, `JobCancelled` included."""
        return self._outcome.exception()

    def when_done(self, callback: Callable[[], None]) -> None:
        """Call back, in the owner thread, once the job has ended in any way."""
        self._outcome.add_done_callback(lambda _: callback())

    def advance(self) -> bool:
        """Take one step; False once the job has ended. For the owner thread."""
        try:
            if self._cancelled.is_set():
                if self._steps is not None:
                    self._steps.close()
                raise JobCancelled
            if self._steps is None:
                self._steps = self._start()
            next(self._steps)
            return True
        except StopIteration as end:
            self._outcome.set_result(end.value)
        except BaseException as error:  # it belongs to whoever waits for the job
            self._outcome.set_exception(error)
        self._steps = None
        return False


class Worker:
    """The owner thread and the jobs that wait for it.

    Args:
        name: of the thread, for people who look at a list of threads.
        at_end: called in the thread as the last thing it does.
    """

    def __init__(self, name: str, at_end: Callable[[], None] = lambda: None):
        self._at_end = at_end
        self._inbox: queue.SimpleQueue[Job[Any] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()  # nothing is submitted after the end mark
        self._closed = False
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    def submit(self, job: Job[Result]) -> Job[Result]:
        """Queue a job; callable from any thread.

        Raises:
            RuntimeError: the worker is closed.
        """
        with self._lock:
            if self._closed:
                raise RuntimeError("the engine is closed")
            self._inbox.put(job)
        return job

    def close(self) -> None:
        """Cancel every job and end the thread; returns once it has ended."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._inbox.put(None)
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def _work(self) -> None:
        active: deque[Job[Any]] = deque()
        is_open = True
        while is_open or active:
            while is_open and (not active or not self._inbox.empty()):
                job = self._inbox.get()
                if job is None:
                    is_open = False
                    for waiting in active:
                        waiting.cancel()
                else:
                    active.append(job)
            if active and active[0].advance():
                active.rotate(-1)
            elif active:
                active.popleft()
        self._at_end()
