"""Read an EPUB book: its chapters in the order of its spine, each headed as the book does it.

A chapter without a heading of its own takes its title from the table of contents. See the EPUB 3.3
recommendation of the W3C. Pages that are only the table of contents are left out.
"""

import posixpath
from urllib.parse import unquote

from mlx_toy.formats.archive import Archive, xml_events
from mlx_toy.formats.html import decode_page, read_page
from mlx_toy.formats.output import Output, Refused

_PAGES = ("application/xhtml+xml", "text/html")
_FONT_SCRAMBLING = ("obfuscation", "idpf.org/2008/embedding", "adobe.com/pdf/enc")


def read_epub(archive: Archive, out: Output) -> None:
    """Write the pieces of a book."""
    package = ""
    for event, name, value in xml_events(archive.read("META-INF/container.xml")):
        if event == "start" and name == "rootfile":
            package = package or value.get("full-path", "")
    if package not in archive.names:
        raise Refused("broken")
    chapters, contents = _package(archive.read(package), posixpath.dirname(package))
    locked = _locked(archive)
    if locked & set(chapters):
        raise Refused("rights")
    titles = _titles(archive, contents) if contents else {}
    for chapter in chapters:
        if markup := archive.read(chapter):
            read_page(decode_page(markup), out, titles.get(chapter, ""))


def _package(data: bytes, folder: str) -> tuple[list[str], str]:
    """The paths of the chapters in reading order, and that of the table of contents."""
    items: dict[str, str] = {}
    chapters: list[str] = []
    contents = ""
    for event, name, value in xml_events(data):
        if event != "start":
            continue
        kind = value.get("media-type", "")
        if name == "item":
            path = _path(folder, value.get("href", ""))
            if kind == "application/x-dtbncx+xml":
                contents = path
            elif kind in _PAGES and "nav" not in value.get("properties", "").split():
                items[value.get("id", "")] = path
        elif name == "itemref" and (found := items.get(value.get("idref", ""))):
            chapters.append(found)
    return list(dict.fromkeys(chapters)), contents


def _titles(archive: Archive, contents: str) -> dict[str, str]:
    """The title of each chapter by its path, from the table of contents (NCX)."""
    titles: dict[str, str] = {}
    data = archive.read(contents)
    words: list[str] = []
    reading = False
    for event, name, value in xml_events(data) if data else ():
        if event == "text":
            if reading:
                words.append(name)
        elif name == "text":
            reading = event == "start"
            words = [] if reading else words
        elif event == "start" and name == "content":
            path = _path(posixpath.dirname(contents), value.get("src", ""))
            titles.setdefault(path, " ".join("".join(words).split()))
    return titles


def _locked(archive: Archive) -> set[str]:
    """The paths of the parts that are encrypted; scrambled fonts do not matter."""
    locked: set[str] = set()
    data = archive.read("META-INF/encryption.xml")
    algorithm = ""
    for event, name, value in xml_events(data) if data else ():
        if event == "start" and name == "EncryptionMethod":
            algorithm = value.get("Algorithm", "")
        elif event == "start" and name == "CipherReference":
            fonts_only = any(scrambling in algorithm for scrambling in _FONT_SCRAMBLING)
            locked |= set() if fonts_only else {_path("", value.get("URI", ""))}
    return locked


def _path(folder: str, link: str) -> str:
    """The member of the archive that a link means."""
    return posixpath.normpath(posixpath.join(folder, unquote(link.partition("#")[0])))
