"""Makers of small real files for the tests: PDFs with text, without, locked and broken."""

from collections.abc import Sequence
from pathlib import Path

from mlx_toy.documents import Document, read_document
from mlx_toy.passages import split_passages

LINE_HEIGHT = 14  # points


def read(path: Path, data: str | bytes) -> Document:
    """The document that a file of these contents is."""
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return read_document(path)


def found(document: Document, target: int = 110) -> list[tuple[str, str]]:
    """The passages of a document with their headings; each stands where it says."""
    passages = split_passages(document, lambda text: len(text.split()), target)
    for passage in passages:
        assert document.text[passage.start : passage.end] == passage.text
    return [(passage.heading, passage.text) for passage in passages]


def make_pdf(path: Path, pages: Sequence[str]) -> Path:
    """Write a PDF with one page of Helvetica for each text; its lines are kept as they are.

    Args:
        path: the file to write.
        pages: Latin-1 text; an empty one gives a blank page.
    """
    return _write_pages(path, [_content(text) for text in pages])


def _write_pages(path: Path, contents: Sequence[bytes]) -> Path:
    """Write a PDF whose pages are drawn by these operators."""
    kids = " ".join(f"{4 + 2 * number} 0 R" for number in range(len(contents)))
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(contents)} >>".encode(),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
    ]
    for number, content in enumerate(contents):
        objects.append(
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] "
            b"/Resources << /Font << /F1 3 0 R >> >> "
            + f"/Contents {5 + 2 * number} 0 R >>".encode()
        )
        objects.append(
            f"<< /Length {len(content)} >>\nstream\n".encode() + content + b"\nendstream"
        )
    return _write_objects(path, objects)


def make_pdf_of_two_columns(path: Path, columns: Sequence[Sequence[str]], by_row: bool) -> Path:
    """Write a page of two columns of lines, below a line across it.

    Args:
        path: the file to write.
        columns: the lines of both.
        by_row: whether each line of the second column is written right after that of the first.
    """
    places = [
        (50 + 270 * side, 760 - LINE_HEIGHT * n, line)
        for side in (0, 1)
        for n, line in enumerate(columns[side])
    ]
    if by_row:
        places.sort(key=lambda place: -place[1])
    places.insert(0, (50, 780, "A line that goes across the whole page, above both of its columns"))
    shown = [f"BT /F1 11 Tf 1 0 0 1 {x} {y} Tm ({line}) Tj ET" for x, y, line in places]
    return _write_pages(path, ["\n".join(shown).encode()])


def make_scanned_pdf(path: Path) -> Path:
    """Write a PDF that has a page and no text, as a scanner makes it."""
    return make_pdf(path, [""])


def make_encrypted_pdf(path: Path, pages: Sequence[str], password: str) -> Path:
    """Write a PDF that opens with `password`; "" makes one that every reader opens."""
    from pypdf import PdfReader, PdfWriter

    writer = PdfWriter(clone_from=PdfReader(make_pdf(path, pages)))
    writer.encrypt(user_password=password, owner_password="the owner's", algorithm="AES-256")
    writer.write(path)
    return path


def make_broken_pdf(path: Path) -> Path:
    """Write a file that begins like a PDF and is not one."""
    path.write_bytes(b"%PDF-1.7\n" + bytes(range(1, 256)) * 20)
    return path


def make_looping_pdf(path: Path, operators: int = 3_000_000) -> Path:
    """Write a small PDF whose one page is very long work to read."""
    return _write_packed(path, b"BT /F1 1 Tf " + b"(a) Tj " * operators + b"ET")


def make_pdf_bomb(path: Path, megabytes: int) -> Path:
    """Write a small PDF whose one page unpacks to so many megabytes."""
    return _write_packed(path, b" " * (megabytes << 20))


def _write_packed(path: Path, drawn: bytes) -> Path:
    """Write a PDF with a page that is drawn by these operators, compressed."""
    import zlib

    content = zlib.compress(drawn)
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [4 0 R] /Count 1 >>",
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] "
        b"/Resources << /Font << /F1 3 0 R >> >> /Contents 5 0 R >>",
        f"<< /Length {len(content)} /Filter /FlateDecode >>\nstream\n".encode()
        + content
        + b"\nendstream",
    ]
    return _write_objects(path, objects)


def _content(text: str) -> bytes:
    """The drawing operators that show each line of a text."""
    if not text:
        return b""
    lines = text.encode("cp1252", errors="replace").split(b"\n")
    escaped = (
        line.replace(b"\\", b"\\\\").replace(b"(", b"\\(").replace(b")", b"\\)") for line in lines
    )
    shown = b"\n".join(b"(" + line + b") Tj T*" for line in escaped)
    return f"BT /F1 11 Tf {LINE_HEIGHT} TL 50 780 Td\n".encode() + shown + b"\nET"


def _write_objects(path: Path, objects: Sequence[bytes]) -> Path:
    """Write PDF objects, numbered from 1, with their cross-reference table."""
    out = bytearray(b"%PDF-1.4\n")
    offsets = []
    for number, body in enumerate(objects, 1):
        offsets.append(len(out))
        out += f"{number} 0 obj\n".encode() + body + b"\nendobj\n"
    table = len(out)
    out += f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n".encode()
    out += b"".join(f"{offset:010} 00000 n \n".encode() for offset in offsets)
    out += f"trailer\n<< /Size {len(objects) + 1} /Root 1 0 R >>\n".encode()
    out += f"startxref\n{table}\n%%EOF\n".encode()
    path.write_bytes(bytes(out))
    return path
