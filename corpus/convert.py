"""Files as their publishers make them, to the records of `corpus/readers.py`."""

import fnmatch
import gzip
import io
import itertools
import json
import tarfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import IO, Any

from corpus.catalog import Source
from mlx_toy.whole_files import written_at_once

Records = Iterator[dict[str, Any]]
_STORY_END = "<|endoftext|>"


def convert(source: Source, files: list[Path], target: Path) -> int:
    """Write the records of fetched files as compressed JSON lines; returns how many.

    Args:
        source: has a home, which says how its files are made.
        files: in order.
        target: written at once when all is done.
    """
    home = source.home
    assert home is not None, f"{source.name} has no home"
    records = itertools.chain.from_iterable(
        FORMS[home.form](stream)
        for file in files
        for stream in _open(file, home.files if home.kind == "archive" else ())
    )
    count = 0
    with (
        written_at_once(target) as partial,
        gzip.open(partial, "wt", encoding="utf-8", compresslevel=5) as lines,
    ):
        for record in itertools.islice(records, home.most or None):
            record.setdefault("id", f"{source.shard_name}/{count}")
            lines.write(json.dumps(record, ensure_ascii=False) + "\n")
            count += 1
    return count


def _open(file: Path, members: tuple[str, ...]) -> Iterator[IO[bytes]]:
    """The file itself, or those members of an archive; nothing is unpacked to the disk."""
    if not members:
        with open(file, "rb") as stream:
            yield stream
        return
    with tarfile.open(file, "r:*") as archive:
        for member in archive:
            inside = member.name.partition("/")[2]  # below the folder of the repository
            if member.isfile() and any(fnmatch.fnmatch(inside, pattern) for pattern in members):
                content = archive.extractfile(member)
                if content is not None:
                    with closing(content):
                        yield content


def _lines(stream: IO[bytes]) -> Records:
    """JSON lines that are records already."""
    for line in stream:
        yield json.loads(line)


def _stories(stream: IO[bytes]) -> Records:
    """Plain text with a mark after each story."""
    story: list[str] = []
    for line in io.TextIOWrapper(stream, encoding="utf-8", errors="replace"):
        if line.strip() != _STORY_END:
            story.append(line)
        elif text := "".join(story).strip():
            yield {"text": text}
            story = []
    if text := "".join(story).strip():
        yield {"text": text}


def _parquet_texts(stream: IO[bytes]) -> Records:
    """A table with a column `text`, and maybe `title` and `id`."""
    yield from _rows(stream, ("text", "title", "id"))


def _parquet_chats(stream: IO[bytes]) -> Records:
    """A table with a column `messages`: user and assistant in turn, else it is left out."""
    for row in _rows(stream, ("messages",)):
        turns = [turn for turn in row["messages"] if turn["role"] != "system"]
        roles = [turn["role"] for turn in turns]
        if roles and roles == ["user", "assistant"] * (len(roles) // 2):
            yield {"messages": [{key: turn[key] for key in ("role", "content")} for turn in turns]}


def _squad(stream: IO[bytes]) -> Records:
    """SQuAD's JSON: articles, paragraphs, questions; without answers where there are none."""
    for article in json.load(stream)["data"]:
        for paragraph in article["paragraphs"]:
            for question in paragraph["qas"]:
                answers = [] if question.get("is_impossible") else question["answers"]
                yield {
                    "id": question["id"],
                    "title": article["title"],
                    "context": paragraph["context"],
                    "question": question["question"],
                    "answers": list(dict.fromkeys(answer["text"] for answer in answers)),
                }


def _rows(stream: IO[bytes], columns: tuple[str, ...]) -> Records:
    import pyarrow.parquet

    table = pyarrow.parquet.ParquetFile(stream)
    present = [name for name in columns if name in table.schema_arrow.names]
    for batch in table.iter_batches(batch_size=500, columns=present):
        yield from batch.to_pylist()


FORMS: dict[str, Callable[[IO[bytes]], Records]] = {
    "lines": _lines,
    "stories": _stories,
    "parquet-texts": _parquet_texts,
    "parquet-chats": _parquet_chats,
    "squad": _squad,
}
