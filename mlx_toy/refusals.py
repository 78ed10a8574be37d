"""The one sentence with which a file is refused: what is wrong with it and what to do."""

from typing import Any

from mlx_toy.errors import UserError
from mlx_toy.format_process import Limits

READABLE = "PDF, Word (.docx), EPUB, HTML, CSV, Markdown, source code or plain text"
NOUNS = {
    "pdf": "PDF",
    "word": "Word document",
    "epub": "EPUB book",
    "html": "web page",
    "csv": "CSV table",
    "tsv": "TSV table",
}
SENTENCES = {
    "archive": "is a ZIP archive of another kind; save it as " + READABLE + ".",
    "binary": "is not text; save it as " + READABLE + ".",
    "bomb": "unpacks to far more than a document holds; it was not read. Save it anew as PDF.",
    "broken": "is a damaged {noun}; export or download it again.",
    "characters": "has more than {max_characters:,} characters of text; split it.",
    "crashed": "stopped the {noun} reader; export it again or save it as plain text.",
    "empty": "has no text; if it holds pictures of text, run it through text recognition (OCR).",
    "encrypted": "is protected by a password; save a copy without one and add that.",
    "install": "cannot be read because {value} is missing; pip install -r requirements.txt.",
    "late": "takes too long to read; split it or save it as text.",
    "memory": "needs too much memory to read; split it or save it as plain text.",
    "pages": "has {value:,} pages, more than the {max_pages:,} allowed; split it.",
    "rights": "is locked against copying; use a copy without that protection.",
    "scanned": "has no text, only pictures of pages; run it through text recognition (OCR).",
}


class DocumentError(UserError):
    """A file that cannot be read; the message names it and says what to do."""


def refusal(code: str, name: str, kind: str, limits: Limits, value: Any = None) -> DocumentError:
    """The error for what stopped a reader.

    Args:
        code: a key of `SENTENCES`.
        name: of the file.
        kind: of the file, as far as it is known.
        limits: that were set.
        value: a number or name that belongs to the code.
    """
    sentence = SENTENCES[code].format(
        noun=NOUNS.get(kind, "file"),
        value=value,
        max_characters=limits.max_characters,
        max_pages=limits.max_pages,
    )
    return DocumentError(f"{name} {sentence}")
