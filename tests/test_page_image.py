"""A page of a PDF becomes a picture on which the words of an answer are marked."""

import io
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from documents_fixtures import (
    _write_objects,
    _write_pages,
    make_broken_pdf,
    make_encrypted_pdf,
    make_pdf,
    make_scanned_pdf,
)
from PIL import Image

from mlx_toy import page_image as module
from mlx_toy.errors import UserError
from mlx_toy.formats.pdf_page import PALE, STRONG, find_mark
from mlx_toy.page_image import MAX_HEIGHT, MAX_WIDTH, Mark, PageImage, page_image

PAGES = [
    "It was opened in 1962 by Ada Brown, who baked only rye bread.",
    "At six it is dark. The bakery opens at six in the morn-\ning. On Sundays it stays closed.",
]
SIX = Mark("At six it is dark. The bakery opens at ", "six", " in the morning. On Sundays")
SENTENCE = Mark("At six it is dark. ", "The bakery opens at six in the morning.", "", False)


@pytest.fixture(scope="module")
def bakery(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_pdf(tmp_path_factory.mktemp("pdf") / "bakery.pdf", PAGES)


def marked_area(image: PageImage, colour: tuple[int, int, int]) -> tuple[float, ...] | None:
    """The box around all pixels of about a colour, as shares of the picture's width and height."""
    picture = np.asarray(Image.open(io.BytesIO(image.webp)).convert("RGB")).astype(int)
    height, width, _ = picture.shape
    assert (width, height) == (image.width, image.height)
    rows, columns = (abs(picture - colour).max(axis=2) < 12).nonzero()
    if not len(rows):
        return None
    return (
        columns.min() / width,
        rows.min() / height,
        columns.max() / width,
        rows.max() / height,
    )


def test_the_words_are_marked_where_they_stand_within_their_sentence(bakery: Path) -> None:
    image = page_image(bakery, [2, 3], [SIX, SENTENCE])
    assert (image.page, image.marked) == (2, True)
    assert image.width <= MAX_WIDTH and image.height <= MAX_HEIGHT
    assert image.data_uri.startswith("data:image/webp;base64,")
    left, top, right, bottom = marked_area(image, STRONG) or (0, 0, 0, 0)
    pale = marked_area(image, PALE)
    assert 0 < right - left < 0.05 and 0 < bottom - top < 0.03  # one short word of one line
    assert left > 0.3  # the second "six" of the line
    assert pale and pale[0] < left and pale[2] > right and pale[3] > bottom  # down to "ing."


def test_the_page_on_which_the_words_stand_is_drawn(bakery: Path) -> None:
    assert page_image(bakery, [1, 2], [SIX]).page == 2
    lost = page_image(bakery, [1, 2], [Mark("", "nowhere to be found", "")])
    assert (lost.page, lost.marked) == (1, False)
    assert marked_area(lost, STRONG) is None
    assert not page_image(bakery, [2], [SENTENCE]).marked  # only what is strong counts


def test_a_picture_is_drawn_once(bakery: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = page_image(bakery, [1], [])
    monkeypatch.setattr(module, "run_reader", None)
    assert page_image(bakery, [1], []) is first


def test_pages_of_any_size_and_turn_fit_and_are_marked(tmp_path: Path) -> None:
    path = tmp_path / "long.pdf"
    from pypdf import PdfReader, PdfWriter

    writer = PdfWriter(clone_from=PdfReader(make_pdf(path, [PAGES[1]])))
    writer.pages[0].rotate(90)
    writer.pages[0].mediabox.upper_right = (14_000, 842)
    writer.write(path)
    image = page_image(path, [1], [SIX])
    assert image.marked and image.width <= MAX_WIDTH and image.height <= MAX_HEIGHT


def test_letters_are_found_whatever_is_between_them() -> None:
    page = "The ﬁrst   café o-\r\npened. First: the first cafe\u0301"

    def found(before: str, text: str) -> str:
        start, end = find_mark(page, before, text, "")
        return page[start:end]

    assert found("", "First café opened") == "ﬁrst   café o-\r\npened"
    late = found("", "First: the first café and a bar")
    assert late == "First: the first cafe\u0301"[:-1]  # the page ends within
    assert found("", "the other one") == found("", "…") == ""
    start, _ = find_mark(page, "First: the ", "first", "")
    assert page[start:].startswith("first cafe")  # not the one at the page's beginning
    assert find_mark("", "", "a", "") == (0, 0)


def test_what_cannot_be_drawn_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"broken\.pdf is a damaged PDF"):
        page_image(make_broken_pdf(tmp_path / "broken.pdf"), [1], [])
    locked = make_encrypted_pdf(tmp_path / "locked.pdf", PAGES, "secret")
    with pytest.raises(UserError, match="protected by a password"):
        page_image(locked, [1], [])
    with pytest.raises(UserError, match="add it again"):
        page_image(tmp_path / "gone.pdf", [1], [])
    with pytest.raises(UserError, match="damaged"):
        page_image(make_pdf(tmp_path / "short.pdf", ["a"]), [7], [])
    assert not page_image(make_scanned_pdf(tmp_path / "scan.pdf"), [1], [SIX]).marked


def test_a_hostile_page_ends_at_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = _write_pages(tmp_path / "loop.pdf", [b"0 0 500 500 re f\n" * 2_000_000])
    quick = module.PageRequest
    monkeypatch.setattr(module, "PageRequest", lambda **given: quick(timeout_s=1.5, **given))
    began = time.monotonic()
    with pytest.raises(UserError, match=r"takes too long|needs too much|stopped"):
        page_image(path, [1], [])
    assert time.monotonic() - began < 10


def test_a_picture_that_unpacks_to_gigabytes_does_not(tmp_path: Path) -> None:
    """The process that draws is held by its memory limit, or refuses by itself."""
    side = 30_000
    rows = zlib.compress(bytes(1_000_000), 9)
    path = tmp_path / "bomb.pdf"
    image = (
        (
            f"<< /Type /XObject /Subtype /Image /Width {side} /Height {side} /BitsPerComponent 8 "
            f"/ColorSpace /DeviceRGB /Filter /FlateDecode /Length {len(rows)} >>\nstream\n"
        ).encode()
        + rows
        + b"\nendstream"
    )
    content = b"q 500 0 0 500 50 50 cm /I Do Q"
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R "
        b"/Resources << /XObject << /I 5 0 R >> >> >>",
        f"<< /Length {len(content)} >>\nstream\n".encode() + content + b"\nendstream",
        image,
    ]
    try:
        drawn = page_image(_write_objects(path, objects), [1], [])
        assert drawn.width <= MAX_WIDTH
    except UserError as error:
        assert "bomb.pdf" in str(error)
