"""Run the readers of risky formats in another process, and pass on what they find.

Why: what a stranger's file does to a parser must not happen to the app. The process gets the bytes
through a pipe, has a time limit here and limits of its own (`mlx_toy/readers/__main__.py`), and is
killed when it is late or nobody listens any more.
"""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

_ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Limits:
    """How much one file may cost.

    Attributes:
        max_bytes: size of the file.
        max_pages: pages of a PDF.
        max_characters: characters of its text; five million are about ten thick books.
        max_unpacked_bytes: what the parts of an archive that are read may unpack to.
        timeout_s: seconds of wall-clock time that parsing it may take.
        memory_bytes: address space of the process that parses it, where the system enforces it.
    """

    max_bytes: int = 20 * 2**20
    max_pages: int = 3_000
    max_characters: int = 5_000_000
    max_unpacked_bytes: int = 100 * 2**20
    timeout_s: float = 60.0
    memory_bytes: int = 2**30


class ReaderError(Exception):
    """A file that was not read; `code` is a key of `mlx_toy.refusals.SENTENCES`."""

    def __init__(self, code: str, value: Any = None) -> None:
        super().__init__(code)
        self.code, self.value = code, value


def run_reader(data: bytes, kind: str, limits: Limits) -> Iterator[dict[str, Any]]:
    """The records that a reader writes about a file; see `mlx_toy/readers/output.py`.

    Args:
        data: the file.
        kind: "pdf", "zip", "html", "csv" or "tsv".
        limits: what it may cost.

    Raises:
        ReaderError: it could not be read to its end.
    """
    command = [sys.executable, "-P", "-m", "mlx_toy.readers", kind, json.dumps(asdict(limits))]
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
    late = threading.Event()

    def stop() -> None:
        late.set()
        worker.kill()

    timer = threading.Timer(limits.timeout_s, stop)
    timer.daemon = True
    timer.start()
    threading.Thread(target=_feed, args=(worker.stdin, data), daemon=True).start()
    try:
        for line in worker.stdout:
            record = json.loads(line)
            if "error" in record:
                raise ReaderError(record["error"], record.get("value"))
            if "done" in record:
                return
            yield record
    except ValueError:
        pass  # killed in the middle of a line
    finally:
        timer.cancel()
        worker.kill()
        worker.stdout.close()
        worker.wait()
    raise ReaderError("late" if late.is_set() else "crashed")


def _feed(pipe: IO[bytes], data: bytes) -> None:
    """Write the file; a process that is killed meanwhile reads no more."""
    with suppress(OSError, ValueError), pipe:
        pipe.write(data)
