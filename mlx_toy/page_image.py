"""A page of a PDF as a picture in which an answer is marked.

    image = page_image(path, [3, 4], [Mark("It opens at ", "six", " in the morning.")])

The PDF is a stranger's, so another process draws it, within limits of time and memory
(`format_process.py`); what comes back is a picture of bounded size. Pictures that were drawn lately
are kept, by the file and what was asked.
"""

import base64
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from mlx_toy.errors import UserError
from mlx_toy.format_process import Limits, ReaderError, run_reader
from mlx_toy.refusals import refusal

MAX_WIDTH, MAX_HEIGHT = 1_000, 1_500  # pixels: text of a printed page can be read
MAX_IMAGE_BYTES = 2 * 2**20
KEPT_BYTES = 16 * 2**20  # of pictures in memory
MAX_MARKS = 16
MAX_CONTEXT = 200  # characters around a mark that tell it from others like it


class Mark(NamedTuple):
    """Words to be marked, and what stands around them; pale ones are under the strong ones."""

    before: str
    text: str
    after: str
    strong: bool = True


@dataclass(frozen=True)
class PageRequest(Limits):
    """What is to be drawn, and what it may cost.

    Attributes:
        pages: numbers from 1; the first on which a mark is found is drawn, else the first.
        marks: what to mark.
        max_width, max_height: of the picture, in pixels.
    """

    max_bytes: int = 100 * 2**20
    timeout_s: float = 20.0
    pages: tuple[int, ...] = (1,)
    marks: tuple[Mark, ...] = ()
    max_width: int = MAX_WIDTH
    max_height: int = MAX_HEIGHT


@dataclass(frozen=True)
class PageImage:
    """A picture of a page.

    Attributes:
        page: its number, from 1.
        webp: the picture's file.
        width, height: in pixels.
        marked: whether the words were found on it.
    """

    page: int
    webp: bytes
    width: int
    height: int
    marked: bool

    @property
    def data_uri(self) -> str:
        """The picture as the address of an image, which needs no server."""
        return "data:image/webp;base64," + base64.b64encode(self.webp).decode()


_kept: OrderedDict[tuple[object, ...], PageImage] = OrderedDict()
_lock = threading.Lock()


def page_image(path: Path, pages: Sequence[int], marks: Sequence[Mark]) -> PageImage:
    """Draw a page of a PDF; callable from any thread.

    Args:
        path: of the PDF.
        pages: numbers from 1; the first on which a mark is found is drawn, else the first.
        marks: what to mark on it.

    Raises:
        UserError: it cannot be drawn.
    """
    shortened = tuple(
        Mark(m.before[-MAX_CONTEXT:], m.text, m.after[:MAX_CONTEXT], m.strong)
        for m in marks[:MAX_MARKS]
    )
    request = PageRequest(pages=tuple(pages), marks=shortened)
    try:
        status = path.stat()
        key = (path, status.st_mtime_ns, status.st_size, request)
        with _lock:
            if key in _kept:
                _kept.move_to_end(key)
                return _kept[key]
        if status.st_size > request.max_bytes:
            raise UserError(f"{path.name} is too large to be drawn: open it in a PDF viewer")
        data = path.read_bytes()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise UserError(
            f"the kept copy of the PDF cannot be read ({reason}): add it again"
        ) from error
    image = _drawn(data, path.name, request)
    with _lock:
        _kept[key] = image
        while sum(len(other.webp) for other in _kept.values()) > KEPT_BYTES:
            _kept.popitem(last=False)
    return image


def _drawn(data: bytes, name: str, request: PageRequest) -> PageImage:
    """What the other process draws."""
    try:
        for record in run_reader(data, "page", request):
            webp = base64.b64decode(record["image"])
            if len(webp) <= MAX_IMAGE_BYTES:
                size = record["width"], record["height"]
                return PageImage(record["page"], webp, *size, record["marked"])
    except ReaderError as error:
        raise refusal(error.code, name, "pdf", request, error.value) from error
    raise UserError(f"the picture of a page of {name} is too large: open it in a PDF viewer")
