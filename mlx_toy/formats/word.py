"""Read a Word document (.docx): headings by their style, lists, tables and notes.

Why by hand: libraries for it unpack and parse without a limit. The text is a stream of paragraphs
in `word/document.xml`; what a paragraph is, a heading or an item, its style says. See ECMA-376,
part 1, chapter 17. Deleted and moved-away text of tracked changes is left out.
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from mlx_toy.formats.archive import Archive, xml_events
from mlx_toy.formats.output import Output
from mlx_toy.formats.word_styles import Style, read_formats, read_styles

_SKIPPED = {"del", "moveFrom", "Fallback", "pPrChange", "rPrChange", "tblPrChange", "instrText"}
_HEADER_MARK_OFF = {"0", "false", "off"}
_SPACES = re.compile(r"[ \t\r\n]+")


@dataclass
class _Paragraph:
    """A paragraph while it is read; `number` is the list it is an item of."""

    text: list[str] = field(default_factory=list)
    style: str = ""
    outline: int | None = None
    number: str | None = None
    depth: int | None = None
    notes: list[str] = field(default_factory=list)


@dataclass
class _Table:
    """A table while it is read."""

    rows: list[list[str]] = field(default_factory=list)
    cell: list[str] = field(default_factory=list)
    span: int = 1
    merged: bool = False
    header: bool = False
    notes: list[str] = field(default_factory=list)


def read_word(archive: Archive, out: Output) -> None:
    """Write the pieces of a Word document."""
    styles = read_styles(archive.read("word/styles.xml"))
    formats = read_formats(archive.read("word/numbering.xml"))
    notes: dict[str, list[str]] = {}
    for part in ("footnote", "endnote"):
        notes |= _read_notes(archive.read(f"word/{part}s.xml"), part)
    counts: Counter[tuple[str, int]] = Counter()  # items so far of (list, depth)
    for piece in _pieces(archive.read(archive.word_part)):
        if isinstance(piece, _Table):
            if max(map(len, piece.rows), default=0) < 2:
                for row in piece.rows:
                    out.paragraph(" ".join(row))
            else:
                out.table(piece.rows, True if piece.header else None)
        else:
            _write(piece, styles.get(piece.style, Style()), formats, counts, out)
        for note in piece.notes:
            for text in notes.get(note, []):
                out.paragraph(text)


def _write(
    paragraph: _Paragraph,
    style: Style,
    formats: dict[tuple[str, int], str],
    counts: "Counter[tuple[str, int]]",
    out: Output,
) -> None:
    """Write a paragraph as what its style makes of it."""
    text = _text(paragraph)
    level = style.level if paragraph.outline is None else paragraph.outline
    number = style.number if paragraph.number is None else paragraph.number
    if level and text:
        out.heading(level, text.replace("\u2028", " "))
    elif number not in ("", "0") and text:
        depth = style.depth if paragraph.depth is None else paragraph.depth
        counts[number, depth] += 1
        for deeper in range(depth + 1, 9):
            counts[number, deeper] = 0
        bullet = formats.get((number, depth), "bullet") in ("bullet", "none")
        out.item(text, "-" if bullet else f"{counts[number, depth]}.", depth + 1)
    else:
        out.paragraph(text)


def _text(paragraph: _Paragraph) -> str:
    text = _SPACES.sub(" ", "".join(paragraph.text))
    return re.sub(" ?\u2028 ?", "\u2028", text).strip()


def _read_notes(data: bytes, part: str) -> dict[str, list[str]]:
    """The paragraphs of the footnotes or endnotes, by kind and number."""
    notes: dict[str, list[str]] = {}
    current = ""
    texts: list[str] = []
    for event, name, value in xml_events(data) if data else ():
        if event == "start" and name == part:
            current = f"{part} {value.get('id')}" if "type" not in value else ""
        elif event == "start" and name == "p":
            texts = []
        elif event == "text":
            texts.append(name)
        elif event == "end" and name == "p" and current and "".join(texts).strip():
            notes.setdefault(current, []).append(" ".join("".join(texts).split()))
    return notes


def _pieces(data: bytes) -> Iterator[_Paragraph | _Table]:
    """The paragraphs and tables of a document in order; what is in a table comes with it."""
    paragraphs: list[_Paragraph] = []
    tables: list[_Table] = []
    skipped = 0
    reading = False
    for event, name, value in xml_events(data):
        if event == "text":
            if reading and paragraphs:
                paragraphs[-1].text.append(name)
        elif event == "start":
            if skipped or name in _SKIPPED:
                skipped += 1
            elif name == "t":
                reading = True
            elif name == "p":
                paragraphs.append(_Paragraph())
            elif name == "tbl":
                tables.append(_Table())
            elif tables and not paragraphs:
                _start_in_table(tables[-1], name, value)
            elif paragraphs:
                _start_in_paragraph(paragraphs[-1], name, value)
        elif skipped:
            skipped -= 1
        elif name == "t":
            reading = False
        elif name == "p":
            paragraph = paragraphs.pop()
            if not tables:
                yield paragraph
            else:
                tables[-1].cell.append(_text(paragraph).replace("\u2028", " "))
                tables[-1].notes.extend(paragraph.notes)
        elif name == "tc" and tables:
            _end_cell(tables[-1])
        elif name == "tbl":
            table = tables.pop()
            if not tables:
                yield table
            else:
                tables[-1].cell.extend("; ".join(filter(None, row)) for row in table.rows)


def _start_in_paragraph(paragraph: _Paragraph, name: str, value: dict[str, str]) -> None:
    """Take in an element that stands in a paragraph: a property, a break or a note's mark."""
    if name == "pStyle":
        paragraph.style = value.get("val", "")
    elif name == "outlineLvl" and value.get("val", "").isdigit():
        level = int(value["val"])
        paragraph.outline = level + 2 if level < 9 else 0
    elif name == "numId":
        paragraph.number = value.get("val", "0")
    elif name == "ilvl" and value.get("val", "").isdigit():
        paragraph.depth = min(8, int(value["val"]))
    elif name in ("br", "cr"):
        paragraph.text.append("\u2028")
    elif name == "tab":
        paragraph.text.append(" ")
    elif name == "noBreakHyphen":
        paragraph.text.append("-")
    elif name in ("footnoteReference", "endnoteReference"):
        paragraph.notes.append(f"{name.removesuffix('Reference')} {value.get('id')}")


def _start_in_table(table: _Table, name: str, value: dict[str, str]) -> None:
    """Take in an element that stands in a table: a row, a cell, or how it is merged."""
    if name == "tr":
        table.rows.append([])
    elif name == "tblHeader" and len(table.rows) == 1:
        table.header = value.get("val", "1") not in _HEADER_MARK_OFF
    elif name == "tc":
        table.cell, table.span, table.merged = [], 1, False
    elif name == "gridSpan" and value.get("val", "").isdigit():
        table.span = min(100, int(value["val"]))
    elif name == "vMerge":
        table.merged = value.get("val", "continue") == "continue"


def _end_cell(table: _Table) -> None:
    """Put a cell into its row; one merged with the cell above repeats what that says."""
    if not table.rows:
        return
    row = table.rows[-1]
    text = " ".join(filter(None, table.cell))
    if table.merged and not text and len(table.rows) > 1 and len(row) < len(table.rows[-2]):
        text = table.rows[-2][len(row)]
    row.extend([text] + [""] * (table.span - 1))
