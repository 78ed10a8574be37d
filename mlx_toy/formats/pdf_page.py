"""Draw one page of a PDF as a picture, with the words of an answer marked as by a highlighter.

The words come from the document's text, where lines are joined and hyphens undone, so they are
looked for by their letters and digits alone. Where they stand more than once, what stands around
them in the passage decides.
"""

import base64
import io
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any

import pypdfium2 as pdfium
from PIL import Image, ImageChops, ImageDraw
from pypdfium2 import raw

from mlx_toy.formats.output import Output, Refused

MAX_CHARACTERS = 50_000  # of a page that are searched: ten times a full one
MIN_FOUND = 0.5  # of the letters of a mark: with fewer, as at a page's end, it is not marked
PADDING = 2  # pixels around marked words
STRONG, PALE = (255, 214, 90), (255, 244, 200)  # the answer, and the sentence around it
QUALITY = 80  # of WebP: letters stay crisp, and a page takes about 80 KB

Box = tuple[float, float, float, float]  # left, bottom, right, top in the page's own units


def read(data: bytes, kind: str, out: Output) -> None:
    """Write {"page", "marked", "width", "height", "image"}: the first page that has a mark.

    `out.limits` holds the fields of `mlx_toy.page_image.PageRequest`. If no page has one, the first
    is drawn without.
    """
    request = out.limits
    try:
        document = pdfium.PdfDocument(data)
    except pdfium.PdfiumError as error:
        code = "encrypted" if "assword" in str(error) else "broken"
        raise Refused(code) from error
    pages = [number for number in request["pages"] if 1 <= number <= len(document)]
    if not pages:
        raise Refused("broken")
    chosen, boxes = pages[0], []
    for number in pages:
        if boxes := _boxes(document[number - 1], request["marks"]):
            chosen = number
            break
    image = _draw(document[chosen - 1], boxes, request["max_width"], request["max_height"])
    file = io.BytesIO()
    image.save(file, "WEBP", quality=QUALITY)
    out.send(
        page=chosen,
        marked=any(strong for _, strong in boxes),
        width=image.width,
        height=image.height,
        image=base64.b64encode(file.getvalue()).decode(),
    )


def find_mark(characters: Sequence[str], before: str, text: str, after: str) -> tuple[int, int]:
    """Where a text stands among characters, by its letters and digits; (0, 0) if it does not.

    Args:
        characters: of a page.
        before: what stands before the text in its passage.
        text: what to find; if the page ends within it, its beginning counts.
        after: what stands behind it.

    Returns:
        The index of the first character and the index after the last one.
    """
    letters = [(letter, i) for i, char in enumerate(characters) for letter in _letters(char)]
    page = "".join(letter for letter, _ in letters)
    wanted = "".join(map(_letters, text))
    found = _longest_beginning(wanted, page)
    if not found or len(found) < MIN_FOUND * len(wanted):
        return 0, 0
    lead, rest = "".join(map(_letters, before)), "".join(map(_letters, after))
    best, place = -1, 0
    at = page.find(found)
    while at >= 0:
        end = at + len(found)
        fits = _common(page[:at][::-1], lead[::-1]) + _common(page[end:], rest)
        if fits > best:
            best, place = fits, at
        at = page.find(found, at + 1)
    return letters[place][1], letters[place + len(found) - 1][1] + 1


def _letters(text: str) -> str:
    """Lower-case letters and digits of a text, without accents and ligatures."""
    return "".join(filter(str.isalnum, unicodedata.normalize("NFKD", text).casefold()))


def _longest_beginning(wanted: str, page: str) -> str:
    """The longest beginning of a text that stands in a page; found by bisection."""
    if wanted in page:
        return wanted
    least, most = 0, len(wanted)  # a beginning of `least` letters stands there, one of `most` not
    while most - least > 1:
        middle = (least + most) // 2
        least, most = (middle, most) if wanted[:middle] in page else (least, middle)
    return wanted[:least]


def _common(a: str, b: str) -> int:
    """How many characters two texts have in common at their beginning."""
    count = 0
    for x, y in zip(a, b, strict=False):
        if x != y:
            break
        count += 1
    return count


def _boxes(page: Any, marks: Iterable[Any]) -> list[tuple[Box, bool]]:
    """The boxes of all marks (before, text, after, strong), each with whether it is strong."""
    text_page = page.get_textpage()
    count = min(text_page.count_chars(), MAX_CHARACTERS)
    codes = [raw.FPDFText_GetUnicode(text_page, i) for i in range(count)]
    characters = [chr(code) if code < 0x110000 else "" for code in codes]
    boxes = []
    for before, text, after, strong in marks:
        start, end = find_mark(characters, before, text, after)
        for i in range(text_page.count_rects(start, end - start) if end > start else 0):
            boxes.append((text_page.get_rect(i), bool(strong)))
    return boxes


def _draw(
    page: Any, boxes: Iterable[tuple[Box, bool]], max_width: int, max_height: int
) -> Image.Image:
    """The page with its boxes coloured, in at most so many pixels."""
    width, height = page.get_size()  # points
    scale = min(max_width / max(width, 1), max_height / max(height, 1))
    bitmap = page.render(scale=scale, may_draw_forms=False)
    image = bitmap.to_pil().convert("RGB")
    paper = Image.new("RGB", image.size, "white")
    draw = ImageDraw.Draw(paper)
    to_pixel = bitmap.get_posconv(page).to_bitmap
    for (left, bottom, right, top), strong in sorted(boxes, key=lambda box: box[1]):
        corners = [to_pixel(left, top), to_pixel(right, bottom)]
        (x0, x1), (y0, y1) = (sorted(values) for values in zip(*corners, strict=True))
        area = (x0 - PADDING, y0 - PADDING, x1 + PADDING, y1 + PADDING)
        draw.rectangle(area, fill=STRONG if strong else PALE)
    return ImageChops.multiply(image, paper)
