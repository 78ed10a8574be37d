"""Makers of small real Word documents and EPUB books for the tests."""

import zipfile
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

_W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
_STYLES = f"""<w:styles {_W}>
<w:style w:styleId="Titel"><w:name w:val="Title"/></w:style>
<w:style w:styleId="berschrift1"><w:name w:val="heading 1"/></w:style>
<w:style w:styleId="berschrift2"><w:name w:val="heading 2"/></w:style>
<w:style w:styleId="Mine"><w:name w:val="My own"/><w:basedOn w:val="berschrift2"/></w:style>
</w:styles>"""
_NUMBERING = f"""<w:numbering {_W}>
<w:abstractNum w:abstractNumId="0"><w:lvl w:ilvl="0"><w:numFmt w:val="bullet"/></w:lvl>
</w:abstractNum>
<w:abstractNum w:abstractNumId="1"><w:lvl w:ilvl="0"><w:numFmt w:val="decimal"/></w:lvl>
</w:abstractNum>
<w:num w:numId="1"><w:abstractNumId w:val="0"/></w:num>
<w:num w:numId="2"><w:abstractNumId w:val="1"/></w:num>
</w:numbering>"""
_CONTAINER = (
    '<container><rootfiles><rootfile full-path="book/package.opf"/></rootfiles></container>'
)


def make_zip(path: Path, members: Mapping[str, str | bytes]) -> Path:
    """Write a ZIP archive."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def paragraph(text: str, style: str = "", number: int = 0, depth: int = 0) -> str:
    """The XML of a paragraph; `number` 1 is a list of bullets and 2 a numbered one."""
    properties = f'<w:pStyle w:val="{style}"/>' if style else ""
    if number:
        properties += f'<w:numPr><w:ilvl w:val="{depth}"/><w:numId w:val="{number}"/></w:numPr>'
    run = f'<w:r><w:t xml:space="preserve">{escape(text)}</w:t></w:r>'
    return f"<w:p><w:pPr>{properties}</w:pPr>{run}</w:p>"


def table(rows: Sequence[Sequence[str]], header: bool = True) -> str:
    """The XML of a table, its first row marked as the header if it is one."""
    xml = ""
    for number, row in enumerate(rows):
        mark = "<w:trPr><w:tblHeader/></w:trPr>" if header and number == 0 else ""
        cells = "".join(f"<w:tc><w:tcPr/>{paragraph(cell)}</w:tc>" for cell in row)
        xml += f"<w:tr>{mark}{cells}</w:tr>"
    return f"<w:tbl>{xml}</w:tbl>"


def make_word(path: Path, body: str, **more: str | bytes) -> Path:
    """Write a Word document.

    Args:
        path: the file to write.
        body: XML, as `paragraph` and `table` make it.
        more: further members by their names without "word/" and ".xml".
    """
    members: dict[str, str | bytes] = {
        "[Content_Types].xml": "<Types/>",
        "word/document.xml": f"<w:document {_W}><w:body>{body}</w:body></w:document>",
        "word/styles.xml": _STYLES,
        "word/numbering.xml": _NUMBERING,
    }
    members |= {f"word/{name}.xml": data for name, data in more.items()}
    return make_zip(path, members)


def make_book(path: Path, chapters: Sequence[str], more: Mapping[str, str] | None = None) -> Path:
    """Write an EPUB book.

    Args:
        path: the file to write.
        chapters: the bodies of its pages; the table of contents calls them "Part 1", ...
        more: further members.
    """
    numbers = range(1, len(chapters) + 1)
    items = "".join(
        f'<item id="c{n}" href="text/c%20{n}.xhtml" media-type="application/xhtml+xml"/>'
        for n in numbers
    )
    spine = "".join(f'<itemref idref="c{n}"/>' for n in numbers)
    points = "".join(
        f"<navPoint><navLabel><text>Part {n}</text></navLabel>"
        f'<content src="text/c%20{n}.xhtml#top"/></navPoint>'
        for n in numbers
    )
    members = {
        "mimetype": "application/epub+zip",
        "META-INF/container.xml": _CONTAINER,
        "book/package.opf": f"<package><manifest>{items}"
        '<item id="n" href="toc.ncx" media-type="application/x-dtbncx+xml"/></manifest>'
        f"<spine>{spine}</spine></package>",
        "book/toc.ncx": f"<ncx><navMap>{points}</navMap></ncx>",
    }
    for number, body in enumerate(chapters, 1):
        members[f"book/text/c {number}.xhtml"] = (
            '<?xml version="1.0"?><!DOCTYPE html><html><head><title/></head>'
            f"<body>{body}</body></html>"
        )
    return make_zip(path, {**members, **(more or {})})
