"""Read a file that a user gave us into text with exact offsets of its pages and headings.

Why it is careful: the file comes from a stranger. What it is, is decided by its content and not
only by its name; every limit is checked before the work it limits; all but plain text is parsed by
another process (`format_process.py`) that can be killed; and whatever is wrong becomes one sentence
that names the file and says what to do.
"""

import hashlib
import re
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from mlx_toy.code_structure import SUFFIXES, code_blocks
from mlx_toy.files import SourceFile, clean_name, read_file
from mlx_toy.format_process import Limits, ReaderError, run_reader
from mlx_toy.outline import assemble
from mlx_toy.page_text import clean_text, join_pages
from mlx_toy.refusals import NOUNS, READABLE, DocumentError, refusal
from mlx_toy.structure import Block
from mlx_toy.text_encoding import decode, describe

__all__ = ["KINDS", "READABLE", "Document", "DocumentError", "Limits", "SourceFile", "clean_name"]
__all__ += ["parse", "read_document", "read_file", "read_text"]

_SUFFIXES = {
    "text": ".txt .text",
    "markdown": ".md .markdown",
    "pdf": ".pdf",
    "word": ".docx",
    "epub": ".epub",
    "html": ".html .htm .xhtml",
    "csv": ".csv",
    "tsv": ".tsv .tab",
    "code": SUFFIXES,
}
KINDS = {suffix: kind for kind, suffixes in _SUFFIXES.items() for suffix in suffixes.split()}

_IMAGE = re.compile(r"!\[([^\[\]\n]{0,300})\]\([^()\n]{0,2000}\)")
_ENCRYPTED_PACKAGE = "EncryptedPackage".encode("utf-16-le")  # how Office locks a file


@dataclass(frozen=True)
class Document:
    """The text of a file.

    Attributes:
        name: the file's name, safe to show.
        text: normalised text; passages and citations are offsets into it.
        page_starts: offset at which each page begins; empty for a format without pages.
        kind: "text", "markdown", "pdf", "word", "epub", "html", "csv", "tsv" or "code".
        notes: sentences about what was lost, such as pages without text.
        blocks: headings, paragraphs, lists and tables; empty if they have to be found in the text.
        size: of the file, in bytes.
        file_digest: of the file (`SourceFile.digest`); "" if there was none.
    """

    name: str
    text: str
    page_starts: tuple[int, ...] = ()
    kind: str = "text"
    notes: tuple[str, ...] = ()
    blocks: tuple[Block, ...] = ()
    size: int = 0
    file_digest: str = ""

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the text in hexadecimal: what makes two files the same document."""
        return hashlib.sha256(self.text.encode("utf-8", "surrogatepass")).hexdigest()

    def page_at(self, offset: int) -> int | None:
        """The page, counted from 1, that the character at `offset` stands on."""
        if not self.page_starts:
            return None
        return max(1, bisect_right(self.page_starts, offset))


def read_document(
    path: str | Path,
    name: str | None = None,
    limits: Limits | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Document:
    """Read a file of any format in `KINDS`: `read_file` and `parse` in one.

    Raises:
        DocumentError: with one sentence, if the file cannot be read.
    """
    return parse(read_file(path, name, limits), limits, progress)


def parse(
    file: SourceFile,
    limits: Limits | None = None,
    progress: Callable[[int, int], None] | None = None,
    poll: Callable[[], None] | None = None,
) -> Document:
    """The text of a file of any format in `KINDS`.

    Args:
        file: its name and bytes.
        limits: what it may cost.
        progress: called with (pages read, pages in all) while a PDF is being parsed.
        poll: called several times a second; what it raises stops the reading and is passed on.

    Raises:
        DocumentError: with one sentence, if the file cannot be read.
    """
    limits = limits or Limits()
    document = _parse(file, limits, progress, poll)
    return replace(document, size=len(file.data), file_digest=file.digest)


def _parse(
    file: SourceFile,
    limits: Limits,
    progress: Callable[[int, int], None] | None,
    poll: Callable[[], None] | None,
) -> Document:
    """Decide by a file's content what it is, and read it as that."""
    name, data, suffix = file.name, file.data, file.suffix
    kind = KINDS.get(suffix)
    if kind is None:
        what = f"{suffix} files" if suffix else "files without a suffix"
        raise DocumentError(f"{name}: {what} cannot be read; save it as {READABLE}.")
    head = data[:1024].lstrip(b"\xef\xbb\xbf \t\r\n\x00")
    try:
        if head.startswith(b"%PDF-") or (kind == "pdf" and b"%PDF-" in head):
            kind = "pdf"
            return _read_pages(name, run_reader(data, kind, limits, poll), progress)
        if data.startswith(b"PK\x03\x04") and kind != "pdf":
            return _read_pieces(name, run_reader(data, "zip", limits, poll), kind)
        if kind in ("pdf", "word", "epub"):
            if _ENCRYPTED_PACKAGE in data:
                raise ReaderError("encrypted")
            noun = NOUNS[kind]
            article = "an" if noun.startswith("E") else "a"
            raise DocumentError(
                f"{name} is not {article} {noun} but {describe(data)}; export it as {READABLE}."
            )
        decoded = decode(data)
        if decoded is None:
            raise DocumentError(f"{name} is not text but {describe(data)}; save it as {READABLE}.")
        if kind in ("html", "csv", "tsv"):
            return _read_pieces(name, run_reader(data, kind, limits, poll), kind)
    except ReaderError as error:
        raise refusal(error.code, name, kind, limits, error.value) from error
    return read_text(decoded, name, kind, limits)


def read_text(
    text: str, name: str = "Pasted text", kind: str = "text", limits: Limits | None = None
) -> Document:
    """A document of text that is already here, such as one pasted into a box.

    Args:
        text: any text.
        name: what to call it.
        kind: "text", "markdown" or "code".
        limits: of which the number of characters counts.

    Raises:
        DocumentError: it is blank or too long.
    """
    text = clean_text(text)
    if kind == "markdown":
        text = _IMAGE.sub(r"\1", text)  # a picture elsewhere on the web tells on whoever reads it
        text = clean_text(text)
    if not text:
        raise DocumentError(f"{name} has no text; choose a file that has some.")
    limits = limits or Limits()
    if len(text) > limits.max_characters:
        raise refusal("characters", name, kind, limits)
    blocks = tuple(code_blocks(text)) if kind == "code" else ()
    size = len(text.encode())
    return Document(clean_name(name), text, (), kind, (), blocks, size)


def _read_pieces(name: str, records: Iterator[dict[str, Any]], kind: str) -> Document:
    """Put together a file that consists of headings, paragraphs, lists and tables."""
    pieces = []
    for record in records:
        kind = record.get("kind", kind)
        if "text" in record:
            pieces.append(record)
    text, blocks = assemble(pieces)
    if not text:
        raise ReaderError("empty")
    return Document(name, text, (), kind, (), blocks)


def _read_pages(
    name: str,
    records: Iterator[dict[str, Any]],
    progress: Callable[[int, int], None] | None,
) -> Document:
    """Join the pages of a PDF."""
    pages: list[str | None] = []
    total = 0
    for record in records:
        total = record.get("pages", total)
        if "page" in record:
            pages.append(record["page"])
            if progress:
                progress(len(pages), total)
    text, page_starts = join_pages([page or "" for page in pages])
    if not text:
        raise ReaderError("broken" if any(page is None for page in pages) else "scanned")
    empty = [number for number, page in enumerate(pages, 1) if not (page or "").strip()]
    return Document(name, text, page_starts, "pdf", _notes(empty))


def _notes(empty: list[int]) -> tuple[str, ...]:
    """Say which pages gave no text."""
    if not empty:
        return ()
    shown = ", ".join(map(str, empty[:10])) + (", …" if len(empty) > 10 else "")
    return (f"No text on {'page' if len(empty) == 1 else 'pages'} {shown}.",)
