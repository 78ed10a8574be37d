"""Records from JSON-lines files, plain or compressed with xz or gzip."""

import gzip
import json
import lzma
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from corpus.catalog import Source
from mlx_toy.errors import UserError

REQUIRED = {
    "text": ("text",),
    "chat": ("messages",),
    "question": ("context", "question", "answers"),
    "pair": ("query", "passage"),
}
_OPENERS = {".xz": lzma.open, ".gz": gzip.open}


def read_json_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the objects of a JSON-lines file, one a line.

    Raises:
        UserError: the file is missing, broken off, or a line is no JSON object.
    """
    opener = _OPENERS.get(path.suffix, open)
    number = 0  # of the last line that was read
    try:
        with opener(path, "rt", encoding="utf-8") as lines:
            for line in lines:
                number += 1
                record = json.loads(line)
                if not isinstance(record, dict):
                    raise ValueError("not an object")
                yield record
    except FileNotFoundError as error:
        raise UserError(f"no file {path}: check --data, or take the source out") from error
    except (OSError, EOFError, lzma.LZMAError, UnicodeDecodeError) as error:
        raise UserError(f"{path} breaks off after line {number}: fetch the file again") from error
    except ValueError as error:
        raise UserError(
            f"{path}, line {number}: {error}: each line must be a JSON object"
        ) from error


def read_source(source: Source, data: Path) -> Iterator[dict[str, Any]]:
    """Yield the records of a source, in Unicode NFC, each with the keys that its kind needs.

    Raises:
        UserError: as `read_json_lines`, or a record lacks a key.
    """
    path = source.path(data)
    for file in sorted(path.glob("*.jsonl")) if path.is_dir() else [path]:
        for number, record in enumerate(read_json_lines(file), start=1):
            missing = [key for key in REQUIRED[source.kind] if key not in record]
            if missing:
                raise UserError(
                    f"{file}, line {number} lacks {missing[0]!r}: it is no {source.kind}"
                )
            yield _normalize(record)


def _normalize(value: Any) -> Any:
    """Unicode NFC for every string inside a record."""
    if isinstance(value, str):
        return unicodedata.normalize("NFC", value)
    if isinstance(value, list):
        return [_normalize(item) for item in value]
    if isinstance(value, dict):
        return {key: _normalize(item) for key, item in value.items()}
    return value
