"""Run the readers of risky formats in another process, and pass on what they find.

Why: what a stranger's file does to a parser must not happen to the app. The process gets the bytes
through a pipe, has a time limit here and limits of its own (`mlx_toy/formats/__main__.py`), and is
killed when it is late, when the caller gives up, or when nobody listens any more.
"""

import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

POLL_S = 0.1  # between two looks at whether the caller gave up
MAX_WAITING = 64  # records read ahead of whoever uses them

_ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Limits:
    """How much one file may cost.

    Attributes:
        max_bytes: size of the file.
        max_pages: pages of a PDF.
        max_characters: characters of its text; five million are about ten thick books.
        max_unpacked_bytes: what the parts of an archive that are read may unpack to.
        timeout_s: seconds of wall-clock time that a page may take, or a file without pages.
        total_s: seconds that all of it may take: a thousand pages on a busy laptop take minutes.
        memory_bytes: address space of the process that parses it, where the system enforces it.
    """

    max_bytes: int = 20 * 2**20
    max_pages: int = 3_000
    max_characters: int = 5_000_000
    max_unpacked_bytes: int = 100 * 2**20
    timeout_s: float = 60.0
    total_s: float = 900.0
    memory_bytes: int = 2**30


class ReaderError(Exception):
    """A file that was not read; `code` is a key of `mlx_toy.refusals.SENTENCES`."""

    def __init__(self, code: str, value: Any = None) -> None:
        super().__init__(code)
        self.code, self.value = code, value


def run_reader(
    data: bytes, kind: str, limits: Limits, poll: Callable[[], None] | None = None
) -> Iterator[dict[str, Any]]:
    """The records that a reader writes about a file; see `mlx_toy/formats/output.py`.

    Args:
        data: the file.
        kind: "pdf", "zip", "html", "csv" or "tsv".
        limits: what it may cost.
        poll: called several times a second; what it raises stops the reader and is passed on.

    Raises:
        ReaderError: it could not be read to its end.
    """
    command = [sys.executable, "-P", "-m", "mlx_toy.formats", kind, json.dumps(asdict(limits))]
    paths = [str(_ROOT), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    worker = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
    )
    assert worker.stdin and worker.stdout
    end = time.monotonic() + limits.total_s
    lines: queue.Queue[bytes] = queue.Queue(MAX_WAITING)
    threading.Thread(target=_feed, args=(worker.stdin, data), daemon=True).start()
    reader = threading.Thread(target=_collect, args=(worker.stdout, lines), daemon=True)
    reader.start()
    try:
        while line := _next(lines, end, limits.timeout_s, poll):
            record = json.loads(line)
            if "error" in record:
                raise ReaderError(record["error"], record.get("value"))
            if "done" in record:
                return
            yield record
    except ValueError:
        pass  # killed in the middle of a line
    finally:
        worker.kill()
        while reader.is_alive():  # it may wait for room for a line
            with suppress(queue.Empty):
                lines.get(timeout=POLL_S)
        worker.stdout.close()
        worker.wait()
    raise ReaderError("crashed")


def _next(
    lines: "queue.Queue[bytes]", end: float, timeout_s: float, poll: Callable[[], None] | None
) -> bytes:
    """The next line, b"" at the end; meanwhile, look at the clock and at whether to go on."""
    began = time.monotonic()
    while True:
        if poll:
            poll()
        with suppress(queue.Empty):
            return lines.get(timeout=POLL_S)
        now = time.monotonic()
        if now > end or now > began + timeout_s:
            raise ReaderError("late")


def _collect(pipe: IO[bytes], lines: "queue.Queue[bytes]") -> None:
    """Pass on the lines that a process writes, and b"" when it has ended."""
    for line in pipe:
        lines.put(line)
    lines.put(b"")


def _feed(pipe: IO[bytes], data: bytes) -> None:
    """Write the file; a process that is killed meanwhile reads no more."""
    with suppress(OSError, ValueError), pipe:
        pipe.write(data)
