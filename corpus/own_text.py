"""A person's own files as a source: `python -m corpus build --text notes/*.txt`.

The files are cut into parts of about 300 words at blank lines (at sentences, in a huge paragraph),
so that some of them can be held back for validation. Our own dialogues come with them, so that the
model that comes out of it can chat.
"""

import json
import re
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

from corpus.catalog import Source
from corpus.clean import MAX_WORD
from mlx_toy.errors import UserError
from mlx_toy.output import note
from mlx_toy.sentences import split_sentences
from mlx_toy.text_encoding import SAMPLE, decode, describe
from mlx_toy.whole_files import written_at_once

PART_WORDS = 300
MIN_WORDS = 2_000  # less than this teaches nothing
GOOD_WORDS = 200_000  # less than this is learned by heart
MAX_BYTES = 100_000_000  # of one file, because it is read whole
MAX_PARAGRAPH = 1_000_000  # characters that are looked at together
VALID_EVERY = 40  # parts of a file, one is held back: even a short book gets a validation set
FILE = "own_text.jsonl"

_JSON = (".json", ".jsonl")  # its marks would be learned with the words
_BLANK_LINE = re.compile(r"\r\n\r\n|\n\n|\r\r")
_LINE_END = re.compile(r"\r\n?")


def own_source(files: Sequence[Path], out: Path) -> Source:
    """Write the parts of text files to `out` and describe them as a source.

    Args:
        files: text in any common encoding.
        out: directory of the build; it exists.

    Raises:
        UserError: a file is missing, too large, or no text; or there is too little of it.
    """
    for file in files:  # all of them, before any time is spent
        _check(file)
    words = 0
    with written_at_once(out / FILE) as partial:
        with open(partial, "w", encoding="utf-8") as lines:
            for file in files:
                for number, part in enumerate(_parts(_decode(file, file.read_bytes())), start=1):
                    valid = number % VALID_EVERY == VALID_EVERY // 2
                    record = {"id": f"{file.name}#{number}", "text": part, "valid": valid}
                    lines.write(json.dumps(record, ensure_ascii=False) + "\n")
                    words += sum(len(word) < MAX_WORD for word in part.split())
        if words < MIN_WORDS:
            raise UserError(
                f"{words:,} words are too little to learn from: "
                f"give at least {MIN_WORDS:,}, better {GOOD_WORDS:,} or more"
            )
    if words < GOOD_WORDS:
        note(
            f"{words:,} words: the model will learn them by heart; "
            f"{GOOD_WORDS:,} or more make it more than an echo"
        )
    return Source(
        name="own/text",
        kind="text",
        file=str((out / FILE).resolve()),
        sha256="",
        records=0,
        licence="as its owner says",
        attribution="whoever gave the files",
        upstream=", ".join(file.name for file in files[:3]) + (", …" if len(files) > 3 else ""),
        stages={"pretrain": 100, "decay": 98, "finetune": 10},
    )


def _check(file: Path) -> None:
    """Look at a file and its beginning.

    Raises:
        UserError: it cannot be read, or is not plain text.
    """
    if file.is_dir():
        raise UserError(f"{file} is a directory: give the files in it")
    try:
        if file.stat().st_size > MAX_BYTES:
            raise UserError(f"{file} is larger than {MAX_BYTES:,} bytes: split it")
        with open(file, "rb") as stream:
            _decode(file, stream.read(SAMPLE))
    except OSError as error:
        raise UserError(f"cannot read {file} ({error.strerror}): check --text") from error
    if file.suffix.lower() in _JSON:
        raise UserError(f"{file} is JSON, not plain text: write its texts to a .txt file")


def _decode(file: Path, data: bytes) -> str:
    text = decode(data)
    if text is None:
        raise UserError(f"{file} is {describe(data)}: save it as plain text first")
    return text


def _parts(text: str) -> Iterator[str]:
    """Pieces of about `PART_WORDS`, at the ends of paragraphs where there are any."""
    current: list[str] = []
    words = 0
    for piece in _pieces(text):
        current.append(piece)
        words += len(piece.split())
        if words >= PART_WORDS:
            yield "\n\n".join(current)
            current, words = [], 0
    if current:
        yield "\n\n".join(current)


def _pieces(text: str) -> Iterator[str]:
    """Paragraphs; what is much longer than a part is cut between sentences, or at worst words."""
    for paragraph in filter(str.strip, _paragraphs(text)):
        words = paragraph.split()
        if len(words) <= 2 * PART_WORDS and max(map(len, words)) <= MAX_WORD:
            yield paragraph.strip("\n")
            continue
        current: list[str] = []
        for start, end in split_sentences(paragraph):
            for word in paragraph[start:end].split():
                current += [word[i : i + MAX_WORD] for i in range(0, len(word), MAX_WORD)]
            while len(current) >= PART_WORDS:
                yield " ".join(current[: 2 * PART_WORDS])
                del current[: 2 * PART_WORDS]
        if current:
            yield " ".join(current)


def _paragraphs(text: str) -> Iterator[str]:
    """What stands between blank lines, one at a time, and a huge one in slices."""
    start = 0
    for end, following in chain(
        (match.span() for match in _BLANK_LINE.finditer(text)), [(len(text), len(text))]
    ):
        while end - start > MAX_PARAGRAPH:
            cut = text.rfind(" ", start, start + MAX_PARAGRAPH) + 1 or start + MAX_PARAGRAPH
            yield _LINE_END.sub("\n", text[start:cut])
            start = cut
        yield _LINE_END.sub("\n", text[start:end])
        start = following
