"""Read the text of each page of a PDF.

PDFium reads a page in milliseconds, undoes ligatures and marks the hyphens at line ends. It trusts
what it reads, so it runs here only, in a process whose time and memory are limited.
"""

import re
from typing import Any

import pypdfium2 as pdfium

from mlx_toy.formats.output import Output, Refused
from mlx_toy.formats.pdf_columns import Pieces, in_columns

MAX_PIECES = 400  # of a page; programs that place each letter by itself write column by column

_LINE_HYPHEN = re.compile("[\x02\ufffe](?:\r\n)?")  # a word that goes on in the next line


def read(data: bytes, kind: str, out: Output) -> None:
    """Write the text of each page."""
    document = open_pdf(data)
    pages = len(document)
    if not pages:
        raise Refused("broken")
    if pages > out.limits["max_pages"]:
        raise Refused("pages", pages)
    out.send(pages=pages)
    for number in range(pages):
        try:
            text = _text(document[number])
        except pdfium.PdfiumError:  # one bad page is not the file
            text = None
        out.page(text)


def open_pdf(data: bytes) -> Any:
    """The PDF of these bytes.

    Raises:
        Refused: it needs a password or is damaged.
    """
    try:
        return pdfium.PdfDocument(data)
    except pdfium.PdfiumError as error:
        code = "encrypted" if "assword" in str(error) or "ecurity" in str(error) else "broken"
        raise Refused(code) from error


def _text(page: Any) -> str:
    """The text of a page, one line of it a line of the page."""
    width = page.get_width()
    glyphs = page.get_textpage()
    try:
        count = glyphs.count_rects()
        pieces = Pieces()
        for number in range(count if count <= MAX_PIECES else 0):
            left, bottom, right, top = glyphs.get_rect(number)
            text = glyphs.get_text_bounded(left, bottom, right, top)
            pieces.add(text, left, (bottom + top) / 2)
        text = in_columns(pieces, width) or glyphs.get_text_range()
    finally:
        glyphs.close()
        page.close()
    return _LINE_HYPHEN.sub("-\n", text)
