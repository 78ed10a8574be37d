"""Read the text of each page of a PDF."""

import io

from pypdf import PasswordType, PdfReader
from pypdf.errors import DependencyError

from mlx_toy.readers.output import Output, Refused
from mlx_toy.readers.pdf_columns import Pieces, in_columns


def read(data: bytes, kind: str, out: Output) -> None:
    """Write the text of each page."""
    try:
        reader = PdfReader(io.BytesIO(data))
        if reader.is_encrypted and reader.decrypt("") == PasswordType.NOT_DECRYPTED:
            raise Refused("encrypted")
        pages = len(reader.pages)
    except (DependencyError, NotImplementedError) as error:
        raise Refused("encrypted") from error  # a cipher that this installation cannot undo
    if not pages:
        raise Refused("broken")
    if pages > out.limits["max_pages"]:
        raise Refused("pages", pages)
    out.send(pages=pages)
    for page in reader.pages:
        try:
            pieces = Pieces()
            text = page.extract_text(visitor_text=pieces.add)
            text = in_columns(pieces, float(page.mediabox.width)) or text
        except MemoryError:
            raise
        except Exception:  # pypdf lets many kinds of error through: one bad page is not the file
            text = None
        out.page(text)
