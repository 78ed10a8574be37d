"""Read a file that a user gave us into text with exact page offsets: txt, Markdown and PDF.

Why it is careful: the file comes from a stranger. What it is, is decided by its content and not
only by its name; every limit is checked before the work it limits; a PDF is parsed by another
process (`pdf_worker.py`) that can be killed; and whatever is wrong becomes one sentence that names
the file and says what to do.
"""

import hashlib
import json
import re
import stat
import subprocess
import sys
import threading
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from mlx_toy.errors import UserError
from mlx_toy.page_text import clean_text, join_pages
from mlx_toy.text_encoding import decode, describe

KINDS = {".txt": "text", ".text": "text", ".md": "markdown", ".markdown": "markdown", ".pdf": "pdf"}
READABLE = "PDF, Markdown or plain text (.pdf, .md, .txt)"
MAX_NAME = 120  # characters of a file's name that are kept and shown

_WORKER = Path(__file__).with_name("pdf_worker.py")
_IMAGE = re.compile(r"!\[([^\[\]\n]{0,300})\]\([^()\n]{0,2000}\)")


class DocumentError(UserError):
    """A file that cannot be read; the message names it and says what to do."""


@dataclass(frozen=True)
class Limits:
    """How much one file may cost.

    Attributes:
        max_bytes: size of the file.
        max_pages: pages of a PDF.
        max_characters: characters of its text; five million are about ten thick books.
        timeout_s: seconds of wall-clock time that parsing a PDF may take.
        memory_bytes: address space of the process that parses it, where the system enforces it.
    """

    max_bytes: int = 20 * 2**20
    max_pages: int = 3_000
    max_characters: int = 5_000_000
    timeout_s: float = 60.0
    memory_bytes: int = 2**30


@dataclass(frozen=True)
class Document:
    """The text of a file.

    Attributes:
        name: the file's name, safe to show.
        text: normalised text; passages and citations are offsets into it.
        page_starts: offset at which each page begins; empty for a format without pages.
        kind: "text", "markdown" or "pdf".
        notes: sentences about what was lost, such as pages without text.
    """

    name: str
    text: str
    page_starts: tuple[int, ...] = ()
    kind: str = "text"
    notes: tuple[str, ...] = ()

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
    """Read a text, Markdown or PDF file.

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
    if head.startswith(b"%PDF-") or (kind == "pdf" and b"%PDF-" in head):
        return _read_pdf(path, name, limits, progress)
    if kind == "pdf":
        raise DocumentError(f"{name} is not a PDF but {describe(data)}; export it as a PDF first.")
    decoded = decode(data)
    if decoded is None:
        raise DocumentError(f"{name} is not text but {describe(data)}; save it as {READABLE}.")
    text = clean_text(decoded)
    if kind == "markdown":
        text = _IMAGE.sub(r"\1", text)  # a picture elsewhere on the web tells on whoever reads it
        text = clean_text(text)
    if not text:
        raise DocumentError(f"{name} has no text; choose a file that has some.")
    _check_characters(len(text), name, limits)
    return Document(name=name, text=text, kind=kind)


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


def _check_characters(characters: int, name: str, limits: Limits) -> None:
    if characters > limits.max_characters:
        raise DocumentError(
            f"{name} has more than {limits.max_characters:,} characters of text; split it."
        )


def _read_pdf(
    path: Path, name: str, limits: Limits, progress: Callable[[int, int], None] | None
) -> Document:
    """Parse a PDF in another process and join its pages."""
    pages: list[str | None] = []
    total, error = 0, "crashed"
    command = [sys.executable, "-P", str(_WORKER), str(path.resolve())]
    command += [str(limits.max_pages), str(limits.max_characters)]
    command += [str(limits.memory_bytes), str(int(limits.timeout_s) + 1)]
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, **pipes) as worker:  # type: ignore[call-overload]
        late = threading.Event()

        def stop() -> None:
            late.set()
            worker.kill()

        timer = threading.Timer(limits.timeout_s, stop)
        timer.daemon = True
        timer.start()
        try:
            for line in worker.stdout:
                record = json.loads(line)
                error = record.get("error", "" if "done" in record else error)
                total = record.get("pages", record.get("value", total))
                if "text" in record:
                    pages.append(record["text"])
                    if progress:
                        progress(len(pages), total)
        except ValueError:
            error = "crashed"  # killed in the middle of a line
        finally:
            timer.cancel()
            worker.kill()
    if error:
        raise DocumentError(_pdf_error("late" if late.is_set() else error, name, total, limits))
    text, page_starts = join_pages([page or "" for page in pages])
    if not text and any(page is None for page in pages):
        raise DocumentError(_pdf_error("broken", name, total, limits))
    if not text:
        raise DocumentError(
            f"{name} has no text, only pictures of pages; run it through text recognition (OCR)."
        )
    empty = [number for number, page in enumerate(pages, 1) if not (page or "").strip()]
    return Document(name, text, page_starts, "pdf", _notes(empty))


def _notes(empty: list[int]) -> tuple[str, ...]:
    """Say which pages gave no text."""
    if not empty:
        return ()
    shown = ", ".join(map(str, empty[:10])) + (", …" if len(empty) > 10 else "")
    return (f"No text on {'page' if len(empty) == 1 else 'pages'} {shown}.",)


def _pdf_error(code: str, name: str, value: int, limits: Limits) -> str:
    """The sentence for what stopped the PDF worker."""
    sentences = {
        "encrypted": "is protected by a password; save a copy without one and add that.",
        "broken": "is a damaged PDF; export or download it again.",
        "pages": f"has {value:,} pages, more than the {limits.max_pages:,} allowed; split it.",
        "characters": f"has more than {limits.max_characters:,} characters of text; split it.",
        "memory": "needs too much memory to read; split it or save it as plain text.",
        "late": f"took longer than {limits.timeout_s:g} s to read; split it or save it as text.",
        "install": "cannot be read because pypdf is missing; pip install -r requirements.txt.",
        "crashed": "stopped the PDF reader; export it again or save it as plain text.",
    }
    return f"{name} {sentences[code]}"
