"""Files of JSON lines: read from a stranger, written whole or not at all."""

import json
import os
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TextIO

from mlx_toy.errors import UserError
from mlx_toy.output import note

MAX_LINE = 2**26  # bytes
_BLOCK = 2**20


@dataclass(frozen=True)
class Record:
    """A good line.

    Attributes:
        number: of the line, from 1.
        value: what was made of it.
    """

    number: int
    value: Any


class Reader:
    """Reads the good lines of a file, in order, and reports the others on stderr.

    Args:
        path: of the file; "-" for standard input.
        convert: makes of a JSON object what is wanted; a ValueError or a UserError says what it
            lacks.

    Attributes:
        skipped: malformed lines so far.
        total: lines in all; None if they cannot be counted.

    Raises:
        UserError: the file cannot be opened.
    """

    def __init__(self, path: str, convert: Callable[[dict[str, Any]], Any]):
        self.skipped = 0
        self.total: int | None = None
        self._convert = convert
        try:
            self._file: BinaryIO = sys.stdin.buffer if path == "-" else open(path, "rb")  # noqa: SIM115
            if path != "-" and stat.S_ISREG(os.fstat(self._file.fileno()).st_mode):
                self.total = _count_lines(self._file)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "its path is not valid"
            raise UserError(f"{path} cannot be read ({reason}): check its path") from error

    def __enter__(self) -> "Reader":
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not getattr(sys.stdin, "buffer", None):
            self._file.close()

    def __iter__(self) -> Iterator[Record]:
        number, blank = 0, []
        while line := self._file.readline(MAX_LINE + 1):
            number += 1
            if len(line) > MAX_LINE:
                while line and not line.endswith(b"\n"):
                    line = self._file.readline(MAX_LINE)
                self.report(number, f"it is longer than {MAX_LINE >> 20} MB")
                continue
            if not line.strip():
                blank.append(number)  # no error at the end of a file
                continue
            for empty in blank:
                self.report(empty, "it is empty")
            blank = []
            try:
                record = Record(number, self._convert(_parse(line, first=number == 1)))
            except (ValueError, UserError) as error:
                self.report(number, str(error))
                continue
            yield record

    def report(self, number: int, reason: str) -> None:
        """Count a line as malformed and say so."""
        self.skipped += 1
        note(f"line {number} skipped: {' '.join(reason.split())}")


@contextmanager
def open_output(path: str | None) -> Iterator[TextIO]:
    """A file to write: standard output, or one that appears under its name once it is complete.

    Raises:
        UserError: it cannot be written.
    """
    if path is None or path == "-":
        yield sys.stdout
        return
    target = Path(path).resolve()  # where a link points to: the link stays
    is_special = target.exists() and not target.is_file()  # such as /dev/null
    partial = target if is_special else target.with_name(f".{target.name}.partial-{os.getpid()}")
    try:
        try:
            with partial.open("w", encoding="utf-8", newline="\n") as file:
                yield file
            if not is_special:
                partial.replace(target)
        finally:
            if not is_special:
                partial.unlink(missing_ok=True)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise UserError(f"{path} cannot be written ({reason}): choose another --out") from error


def _parse(line: bytes, first: bool) -> dict[str, Any]:
    """A line's JSON object.

    Raises:
        ValueError: it has none.
    """
    try:
        text = line.decode("utf-8-sig" if first else "utf-8")
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8 text") from None
    try:
        value = json.loads(text)
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise ValueError("it has half a surrogate pair, which is no character") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"it is not JSON ({error.msg} at column {error.colno})") from None
    except (ValueError, RecursionError):
        raise ValueError("it is not JSON that can be read") from None
    if not isinstance(value, dict):
        raise ValueError("it is not a JSON object")
    return value


def _count_lines(file: BinaryIO) -> int:
    count, last = 0, b"\n"
    while block := file.read(_BLOCK):
        count, last = count + block.count(b"\n"), block[-1:]
    file.seek(0)
    return count + (last != b"\n")
