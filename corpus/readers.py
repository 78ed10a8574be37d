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

MAX_LINE = 10_000_000  # characters; a line is held in memory, several times over


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_list_of_texts(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_text, value))


def _is_list_of_turns(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(turn, dict) and _is_text(turn.get("role")) and _is_text(turn.get("content"))
        for turn in value
    )


REQUIRED: dict[str, dict[str, Callable[[Any], bool]]] = {
    "text": {"text": _is_text},
    "chat": {"messages": _is_list_of_turns},
    "question": {"context": _is_text, "question": _is_text, "answers": _is_list_of_texts},
    "pair": {"query": _is_text, "passage": _is_text},
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
        UserError: the file is missing or broken off, no UTF-8, or has a line of many megabytes.
    """
    opener: Callable[..., IO[Any]] = _OPENERS.get(path.suffix, open)
    number = 0  # of the last line that was read
    try:
        with opener(path, "rt", encoding="utf-8") as lines:
            while text := lines.readline(MAX_LINE + 1):
                number += 1
                if len(text) > MAX_LINE:
                    raise UserError(
                        f"{path}, line {number} is longer than {MAX_LINE:,} characters: "
                        "write one record a line, and cut a long text into several records"
                    )
                yield Line(str(path), number, text)
    except FileNotFoundError as error:
        raise UserError(f"no file {path}: check --data, or take the source out") from error
    except UnicodeDecodeError as error:
        raise UserError(
            f"{path} is no UTF-8 text after line {number}: save it as UTF-8, or fetch it again"
        ) from error
    except (OSError, EOFError, lzma.LZMAError, zlib.error) as error:
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
    except (ValueError, RecursionError) as error:
        raise UserError(
            f"{line.file}, line {line.number}: {error}: each line must be a JSON object"
        ) from error
    return record


def parse_record(kind: str, line: Line) -> dict[str, Any]:
    """The clean record of a line, with the keys that its kind needs.

    Raises:
        UserError: as `parse`, or the record lacks a key or has something else there.
    """
    record = parse(line)
    for key, is_fine in REQUIRED[kind].items():
        where = f"{line.file}, line {line.number}"
        if key not in record:
            raise UserError(f"{where} lacks {key!r}: it is no {kind}")
        if not is_fine(record[key]):
            raise UserError(f"{where} has something else than text as {key!r}: it is no {kind}")
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
