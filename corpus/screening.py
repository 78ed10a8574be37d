"""Read every record once and write down what decides whether it is used.

For each source there is a file of rows, one a record: why it was dropped or not, its size, and the
keys that find duplicates. A row takes 90 bytes, so millions of records fit, and nothing is decided
twice: an interrupted build goes on with the next source. Duplicates are found afterwards, over all
sources in the order of the catalogue, from these rows alone.

Contamination: a record that shares a sequence of 13 words with any record of an evaluation file is
dropped (Brown et al. 2020, arXiv:2005.14165, appendix C).
"""

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from corpus import clean, duplicates
from corpus.catalog import Source
from corpus.files import write_json
from corpus.parallel import Workers
from corpus.readers import Line, batches, parse, parse_record, read_lines, source_lines
from mlx_toy.progress import Progress
from mlx_toy.whole_files import written_at_once

VERSION = 2  # to be raised when a rule changes: all rows are made again
VALID_EVERY = 200
EVALUATION_WORDS = 13
CONTAMINATED = "in an evaluation set"
VERDICTS = (
    "kept",
    clean.TOO_SHORT,
    clean.NOT_TEXT,
    clean.REPETITIVE,
    CONTAMINATED,
    duplicates.EXACT,
    duplicates.NEAR,
)
KEPT = 0
ROW = np.dtype(
    [
        ("verdict", "u1"),  # index of VERDICTS
        ("valid", "u1"),  # 1 in the validation split
        ("words", "<u4"),
        ("bytes", "<u4"),
        ("group", "<u8"),  # of the article, for questions
        ("exact", "<u8"),
        ("bands", "<u8", (duplicates.BANDS,)),
    ]
)


@dataclass(frozen=True)
class Screened:
    """The rows of a source [N] `ROW`, and the checksum of what they were made from."""

    rows: np.ndarray
    made_from: str


def is_validation(record: dict[str, Any]) -> bool:
    """Whether a record belongs to the validation split, by a hash unless the record says so.

    All questions on an article go together.
    """
    if "valid" in record:
        return bool(record["valid"])
    key = str(
        _article(record) or record.get("id") or record.get("text") or record.get("query") or record
    )
    return _number(key) % (1 << 32) % VALID_EVERY == 0


def evaluation_sequences(data: Path | None, out: Path, workers: Workers) -> tuple[str, list[Path]]:
    """Write the 13-word sequences of all files in `data/eval`, sorted, to `out`.

    Returns:
        A checksum of them, and the evaluation files.
    """
    files = sorted((data / "eval").glob("*.jsonl*")) if data else []
    found = [np.empty(0, dtype=np.uint64)]
    for file in files:
        found += workers.map(_sequences_of, batches(read_lines(file)))
    sequences = np.unique(np.concatenate(found))
    with written_at_once(out) as partial_file, open(partial_file, "wb") as stream:
        np.save(stream, sequences)
    return hashlib.sha256(sequences.tobytes()).hexdigest(), files


def screen(
    source: Source,
    data: Path,
    folder: Path,
    made_from: str,
    evaluation: tuple[Path, str],
    max_words: int,
    workers: Workers,
) -> Screened:
    """The rows of a source, from an earlier build or made now.

    Args:
        source: what to read.
        data: directory with the sources.
        folder: where the rows are kept.
        made_from: checksum of the source.
        evaluation: the file of `evaluation_sequences` and its checksum.
        max_words: stop after so many good ones.
        workers: who does it.
    """
    made_from = hashlib.sha256(
        f"{VERSION} {made_from} {evaluation[1]} {max_words}".encode()
    ).hexdigest()
    file, header = folder / f"{source.shard_name}.rows", folder / f"{source.shard_name}.rows.json"
    if header.is_file() and json.loads(header.read_text()).get("made_from") == made_from:
        return Screened(_map_rows(file), made_from)
    header.unlink(missing_ok=True)
    progress = Progress(f"screen {source.name}", source.records or None)
    words = 0
    with open(file, "wb") as stream:
        lines = batches(source_lines(source, data))
        for rows in workers.map(partial(_screen_batch, source.kind, *evaluation), lines):
            stream.write(rows.tobytes())
            words += int(rows["words"][rows["verdict"] == KEPT].sum())
            progress.add(len(rows))
            if words >= max_words:
                break
        stream.flush()
        os.fsync(stream.fileno())
    write_json({"made_from": made_from}, header)
    return Screened(_map_rows(file), made_from)


def verdicts(kinds: list[str], screened: list[Screened]) -> list[np.ndarray]:
    """The verdict of every record [N] uint8, duplicates over all sources among them.

    Args:
        kinds: of the sources; many questions share a passage, so only exact duplicates of them go.
        screened: their rows, the source to keep first.
    """
    final = [np.array(one.rows["verdict"]) for one in screened]

    def drop(field: list[np.ndarray], reason: str) -> None:
        code = VERDICTS.index(reason)
        candidates = [
            np.where(one.rows["verdict"] == KEPT, keys, 0)
            for one, keys in zip(screened, field, strict=True)
        ]
        for verdict, again in zip(final, duplicates.repeated(candidates), strict=True):
            verdict[again & (verdict == KEPT)] = code

    if final:
        drop([one.rows["exact"] for one in screened], duplicates.EXACT)
        for band in range(duplicates.BANDS):
            near = [
                np.zeros(len(one.rows), dtype=np.uint64)
                if kind == "question"
                else one.rows["bands"][:, band]
                for kind, one in zip(kinds, screened, strict=True)
            ]
            drop(near, duplicates.NEAR)
    return final


def _screen_batch(kind: str, evaluation: Path, checksum: str, lines: list[Line]) -> np.ndarray:
    """One row for each line."""
    rows = np.zeros(len(lines), dtype=ROW)
    forbidden = _load_sequences(evaluation, checksum)
    for row, line in zip(rows, lines, strict=True):
        record = parse_record(kind, line)
        text = clean.text_of(kind, record)
        words = clean.hash_words(text)
        reason = clean.complaint(kind, text, words)
        if reason is None and _shares(words, forbidden):
            reason = CONTAMINATED
        row["verdict"] = VERDICTS.index(reason) if reason else KEPT
        row["valid"] = is_validation(record)
        row["words"], row["bytes"] = len(text.split()), len(text.encode())
        row["group"] = _number(_article(record)) if kind == "question" else 0
        if reason is None:
            row["exact"] = duplicates.exact_key(words)
            if kind != "question":
                row["bands"] = duplicates.band_keys(words)
    return rows


def _sequences_of(lines: list[Line]) -> np.ndarray:
    """All 13-word sequences of evaluation records, whatever their kind."""
    found = [np.empty(0, dtype=np.uint64)]
    for line in lines:
        for text in _strings(clean.normalize(parse(line))):
            found.append(clean.hash_sequences(clean.hash_words(text), EVALUATION_WORDS))
    return np.unique(np.concatenate(found))


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, (list, dict)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _strings(item)


def _shares(words: np.ndarray, forbidden: np.ndarray) -> bool:
    sequences = clean.hash_sequences(words, EVALUATION_WORDS)
    if not len(forbidden) or not len(sequences):
        return False
    places = np.minimum(np.searchsorted(forbidden, sequences), len(forbidden) - 1)
    return bool((forbidden[places] == sequences).any())


def _article(record: dict[str, Any]) -> str:
    return str(record.get("title") or record["context"]) if "context" in record else ""


def _number(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")


def _map_rows(file: Path) -> np.ndarray:
    if not file.stat().st_size:
        return np.empty(0, dtype=ROW)
    return np.memmap(file, dtype=ROW, mode="r")


@lru_cache(maxsize=1)
def _load_sequences(file: Path, checksum: str) -> np.ndarray:
    """The sorted sequences, mapped, so that the workers share them."""
    return np.load(file, mmap_mode="r")
