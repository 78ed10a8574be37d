"""Find the paragraphs and headings of a text.

Why: passages follow the structure their author gave the text. Markdown marks its headings; in plain
text and in what comes out of a PDF a heading is known by its looks. The readers of other formats
know their blocks, and `code_structure.py` finds those of programs.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

MAX_HEADING = 120  # characters of one heading; a longer line is text
MAX_HEADING_WORDS = 12

_HASHES = re.compile(r" {0,3}(#{1,6})[ \t]+(\S.*)$")
_UNDERLINE = re.compile(r" {0,3}(=+|-+)$")
_TABLE_RULE = re.compile(r" {0,3}\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*$")
_FENCE = re.compile(r" {0,3}(```|~~~)")
_NUMBERED = re.compile(r"(\d{1,3}(?:\.\d{1,3}){0,4})\.?\s+\S")
_ITEM = re.compile(r"(?:[-*+•‣▪|>]|\(?(?:\d{1,3}|[a-zA-Z])[.)])\s")
_WORD = re.compile(r"[A-Za-z]{3}")  # shorter ones alone are marks in a figure, or an index's heads
_LETTER = re.compile(r"[^\W\d_]")
_NOT_HEADING_END = tuple(".,;:!?…。！？")


@dataclass(frozen=True)
class Block:
    """A piece of a text at [start, end).

    Attributes:
        level: 0 for text; 1 for the outermost heading, 2 for those below it, and so on.
        title: of a heading. One without ends the sections of its level and puts nothing above
            what follows.
        form: "prose" is cut between sentences, "lines" (of a list or table) and "code" between
            lines.
    """

    start: int
    end: int
    level: int = 0
    title: str = ""
    form: str = "prose"


def find_blocks(text: str, kind: str) -> Iterator[Block]:
    """The paragraphs and headings of a text in order; all of it that is not blank is in one.

    A heading with nothing below it is given as a paragraph, so that nothing is lost.

    Args:
        text: normalised text, as in `Document.text`.
        kind: "markdown", or anything else for text whose headings are not marked.
    """
    yield from keep_empty_headings(
        list(_markdown_blocks(text) if kind == "markdown" else _plain_blocks(text))
    )


def keep_empty_headings(blocks: Sequence[Block]) -> Iterator[Block]:
    """The blocks, with every heading that has nothing below it as a paragraph."""
    for number, block in enumerate(blocks, 1):
        below = blocks[number].level if number < len(blocks) else 1
        empty = 0 < below <= block.level
        yield Block(block.start, block.end) if block.level and empty else block


def _markdown_blocks(text: str) -> Iterator[Block]:
    """Paragraphs, tables, fenced code, and headings marked by "#" or underlined."""
    body = offset = 0  # the paragraph so far is text[body:offset]
    before = 0  # where the line before begins
    lines = 0  # that the paragraph has
    fence, form = "", "prose"
    for line in text.splitlines(keepends=True):
        end = offset + len(line)
        mark = _FENCE.match(line)
        opens, closes = bool(mark and not fence), bool(mark and mark.group(1) == fence)
        hashes = None if fence else _HASHES.match(line.rstrip())
        heading = hashes if hashes and len(hashes.group(2)) <= MAX_HEADING else None
        underline = None if fence or lines != 1 else _UNDERLINE.match(line.rstrip())
        row = form == "prose" and lines > 0 and "|" in text[before:offset] and "|" in line
        if row and _TABLE_RULE.match(line):
            if before > body:
                yield Block(body, before)
            body, form = before, "lines"
        elif underline and offset - body <= MAX_HEADING:
            yield Block(body, end, 1 if "=" in line else 2, _plain(text[body:offset]))
            body, lines, before, offset = end, 0, offset, end
            continue
        row_ends = form == "lines" and "|" not in line
        if lines and (opens or heading or row_ends or not (line.strip() or fence)):
            yield Block(body, offset, form=form)
            body, lines, form = offset, 0, "prose"
        if opens and mark:
            fence, form = mark.group(1), "code"
        if heading:
            title = _plain(heading.group(2).rstrip("#")) or heading.group(2)
            yield Block(offset, end, len(heading.group(1)), title)
        elif line.strip() or fence:
            body = body if lines else offset
            lines += 1
        if closes:
            yield Block(body, end, form=form)
            lines, fence, form = 0, "", "prose"
        before, offset = offset, end
    if lines:
        yield Block(body, offset, form=form)


def _plain(markdown: str) -> str:
    """A heading without the marks of emphasis, code and links."""
    return re.sub(r"[*`]+", "", re.sub(r"\[([^\[\]]*)\]\([^()]*\)", r"\1", markdown)).strip(
        " \t\n_"
    )


def _plain_blocks(text: str) -> Iterator[Block]:
    """Paragraphs, and those of one line that look like a heading.

    A numbered heading ("2.1 Results") tells its level; the first line of a text is its title, and
    other headings are below that.
    """
    first = True
    for match in re.finditer(r"\S[^\n]*+(?:\n[^\S\n]*+(?=\S)[^\n]*+)*+", text):
        start, end = match.span()
        title = match.group().strip() if end - start <= 2 * MAX_HEADING else ""
        level = 0
        if _looks_like_heading(title):
            numbered = _NUMBERED.match(title)
            level = 2 + numbered.group(1).count(".") if numbered else 1 if first else 2
        yield Block(start, end, level, title if level else "")
        first = False


def _looks_like_heading(line: str) -> bool:
    """Whether a paragraph is short, one line, begins like a title and ends unlike a sentence."""
    return (
        0 < len(line) <= MAX_HEADING
        and "\n" not in line
        and len(line.split()) <= MAX_HEADING_WORDS
        and not line.endswith(_NOT_HEADING_END)
        and (line[0].isupper() or line[0].isdigit() or not line[0].isascii())
        and (_WORD if line.isascii() else _LETTER).search(line) is not None
        and (_NUMBERED.match(line) is not None or _ITEM.match(line) is None)
    )
