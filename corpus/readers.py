"""Records from JSON-lines files, plain or compressed with xz or gzip."""

import gzip
import json
import lzma
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from corpus.catalog import Source
from corpus.clean import normalize
from mlx_toy.errors import UserError

REQUIRED = {
    "text": ("text",),
    "chat": ("messages",),
    "question": ("context", "question", "answers"),
    "pair": ("query", "passage"),
}
_OPENERS: dict[str, Callable[..., IO[Any]]] = {".xz": lzma.open, ".gz": gzip.open}


_BATCH_CHARACTERS = 1 << 18


@dataclass(frozen=True)
class Line:
    """A line of a source that is not parsed yet, so that another process can do it.

    Attributes:
        file: where it stands.
        number: from 1.
        text: what it says.
        group: neighbours of one group stay together; 0 for none.
    """

    file: str
    number: int
    text: str
    group: int = 0


def source_files(source: Source, data: Path) -> list[Path]:
    """The files of a source, in order."""
    path = source.path(data)
    return sorted(path.glob("*.jsonl")) if path.is_dir() else [path]


def read_lines(path: Path) -> Iterator[Line]:
    """Yield the lines of a JSON-lines file.

    Raises:
        UserError: the file is missing, or broken off.
    """
    opener: Callable[..., IO[Any]] = _OPENERS.get(path.suffix, open)
    number = 0  # of the last line that was read
    try:
        with opener(path, "rt", encoding="utf-8") as lines:
            for text in lines:
                number += 1
                yield Line(str(path), number, text)
    except FileNotFoundError as error:
        raise UserError(f"no file {path}: check --data, or take the source out") from error
    except (OSError, EOFError, lzma.LZMAError, zlib.error, UnicodeDecodeError) as error:
        raise UserError(f"{path} breaks off after line {number}: fetch the file again") from error


def parse(line: Line) -> dict[str, Any]:
    """The JSON object of a line.

    Raises:
        UserError: it holds none.
    """
    try:
        record = json.loads(line.text)
        if not isinstance(record, dict):
            raise ValueError("not an object")
    except ValueError as error:
        raise UserError(
            f"{line.file}, line {line.number}: {error}: each line must be a JSON object"
        ) from error
    return record


def parse_record(kind: str, line: Line) -> dict[str, Any]:
    """The clean record of a line, with the keys that its kind needs.

    Raises:
        UserError: as `parse`, or the record lacks a key.
    """
    record = parse(line)
    missing = [key for key in REQUIRED[kind] if key not in record]
    if missing:
        raise UserError(f"{line.file}, line {line.number} lacks {missing[0]!r}: it is no {kind}")
    return normalize(record)


def read_json_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the objects of a JSON-lines file, one a line.

    Raises:
        UserError: the file is missing, broken off, or a line is no JSON object.
    """
    yield from map(parse, read_lines(path))


def read_source(source: Source, data: Path) -> Iterator[dict[str, Any]]:
    """Yield the records of a source, cleaned, each with the keys that its kind needs.

    Raises:
        UserError: as `read_json_lines`, or a record lacks a key.
    """
    for line in source_lines(source, data):
        yield parse_record(source.kind, line)


def source_lines(source: Source, data: Path) -> Iterator[Line]:
    """Yield the lines of all files of a source.

    Raises:
        UserError: as `read_lines`.
    """
    for file in source_files(source, data):
        yield from read_lines(file)


def batches(lines: Iterable[Line]) -> Iterator[list[Line]]:
    """Lines in batches that are worth sending to another process; groups stay whole."""
    batch: list[Line] = []
    size = 0
    for line in lines:
        apart = not line.group or not batch or line.group != batch[-1].group
        if size >= _BATCH_CHARACTERS and (apart or size >= 32 * _BATCH_CHARACTERS):
            yield batch
            batch, size = [], 0
        batch.append(line)
        size += len(line.text)
    if batch:
        yield batch
