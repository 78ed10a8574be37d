"""Read a file that a user gave us into text with exact offsets of its pages and headings.

Why it is careful: the file comes from a stranger. What it is, is decided by its content and not
only by its name; every limit is checked before the work it limits; all but plain text is parsed by
another process (`reader_process.py`) that can be killed; and whatever is wrong becomes one sentence
that names the file and says what to do.
"""

import hashlib
import re
import stat
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from mlx_toy.code_structure import SUFFIXES, code_blocks
from mlx_toy.outline import assemble
from mlx_toy.page_text import clean_text, join_pages
from mlx_toy.reader_process import Limits, ReaderError, run_reader
from mlx_toy.refusals import NOUNS, READABLE, DocumentError, refusal
from mlx_toy.structure import Block
from mlx_toy.text_encoding import decode, describe

__all__ = ["KINDS", "READABLE", "Document", "DocumentError", "Limits", "clean_name"]
__all__ += ["read_document", "read_text"]

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
MAX_NAME = 120  # characters of a file's name that are kept and shown

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
    """

    name: str
    text: str
    page_starts: tuple[int, ...] = ()
    kind: str = "text"
    notes: tuple[str, ...] = ()
    blocks: tuple[Block, ...] = ()

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
    """Read a file of any format in `KINDS`.

    Args:
        path: the file.
        name: what to call it, if not by the last part of its path; its suffix then counts.
        limits: what it may cost.
        progress: called with (pages read, pages in all) while a PDF is being parsed.

    Raises:
        DocumentError: with one sentence, if the file cannot be read.
    """
    limits = limits or Limits()
    path = Path(path)
    name = clean_name(name or path.name)
    data = _read_bytes(path, name, limits)
    suffix = Path(name).suffix.lower()
    kind = KINDS.get(suffix)
    if kind is None:
        what = f"{suffix} files" if suffix else "files without a suffix"
        raise DocumentError(f"{name}: {what} cannot be read; save it as {READABLE}.")
    head = data[:1024].lstrip(b"\xef\xbb\xbf \t\r\n\x00")
    try:
        if head.startswith(b"%PDF-") or (kind == "pdf" and b"%PDF-" in head):
            kind = "pdf"
            return _read_pages(data, name, limits, progress)
        if data.startswith(b"PK\x03\x04") and kind != "pdf":
            return _read_pieces(data, "zip", kind, name, limits)
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
            return _read_pieces(data, kind, kind, name, limits)
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
    return Document(clean_name(name), text, (), kind, (), blocks)


def clean_name(name: str) -> str:
    """The last part of a path as a single line of bounded length, with its suffix kept."""
    name = " ".join(clean_text(re.split(r"[/\\]", name)[-1]).split()) or "document"
    if len(name) > MAX_NAME:
        suffix = Path(name).suffix[:12]
        name = name[: MAX_NAME - len(suffix) - 1] + "…" + suffix
    return name


def _read_bytes(path: Path, name: str, limits: Limits) -> bytes:
    """The bytes of a regular file that is neither empty nor too large."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise DocumentError(f"{name} is not a file; give the path of one.")
        with path.open("rb") as file:
            data = file.read(limits.max_bytes + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "its path is not valid"
        raise DocumentError(f"{name} cannot be opened ({reason}); check its path.") from error
    if not data:
        raise DocumentError(f"{name} is empty; choose a file that has some text.")
    if len(data) > limits.max_bytes:
        size = f"{limits.max_bytes / 2**20:.3g} MB"
        raise DocumentError(f"{name} is larger than {size}; split it into smaller files.")
    return data


def _read_pieces(data: bytes, reader: str, kind: str, name: str, limits: Limits) -> Document:
    """Parse a file that consists of headings, paragraphs, lists and tables."""
    pieces = []
    for record in run_reader(data, reader, limits):
        kind = record.get("kind", kind)
        if "text" in record:
            pieces.append(record)
    text, blocks = assemble(pieces)
    if not text:
        raise ReaderError("empty")
    return Document(name, text, (), kind, (), blocks)


def _read_pages(
    data: bytes, name: str, limits: Limits, progress: Callable[[int, int], None] | None
) -> Document:
    """Parse a PDF and join its pages."""
    pages: list[str | None] = []
    total = 0
    for record in run_reader(data, "pdf", limits):
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
