"""Open a ZIP archive that should be a Word document or an EPUB book, without trusting it.

Why: a few kilobytes can unpack to gigabytes, and a few lines of XML can name entities that grow
without end. What counts is bytes really unpacked, not what the archive says of itself; XML that
declares entities is refused.
"""

import io
import zipfile
import zlib
from collections.abc import Iterator
from typing import Any
from xml.parsers import expat

from mlx_toy.formats.output import Output, Refused

CHUNK = 2**16  # bytes
MAX_DEPTH = 500  # elements within elements

Event = tuple[str, str, Any]


def read(data: bytes, kind: str, out: Output) -> None:
    """Write the text of a Word document or an EPUB book, whichever the archive holds."""
    archive = Archive(data, out.limits["max_unpacked_bytes"])
    if archive.word_part:
        out.send(kind="word")
        from mlx_toy.formats.word import read_word

        read_word(archive, out)
    elif "META-INF/container.xml" in archive.names:
        out.send(kind="epub")
        from mlx_toy.formats.epub import read_epub

        read_epub(archive, out)
    else:
        raise Refused("archive")


class Archive:
    """The members of a ZIP file, all of which together may unpack to so many bytes.

    Attributes:
        names: of the members.
        word_part: the member with the text of a Word document, "" if it is none.
    """

    def __init__(self, data: bytes, max_bytes: int) -> None:
        try:
            self._zip = zipfile.ZipFile(io.BytesIO(data))
        except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
            raise Refused("broken") from error
        self._left = max_bytes
        self.names = frozenset(self._zip.namelist())
        self.word_part = "word/document.xml" if "word/document.xml" in self.names else ""

    def read(self, name: str) -> bytes:
        """A member's bytes; none if there is no such member."""
        if name not in self.names:
            return b""
        if self._zip.getinfo(name).flag_bits & 1:
            raise Refused("encrypted")
        pieces = []
        try:
            with self._zip.open(name) as member:
                while piece := member.read(CHUNK):
                    self._left -= len(piece)
                    if self._left < 0:
                        raise Refused("bomb")
                    pieces.append(piece)
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError) as error:
            raise Refused("broken") from error
        return b"".join(pieces)


def xml_events(data: bytes) -> Iterator[Event]:
    """The events of an XML document, without building a tree of it.

    Yields:
        ("start", name, attributes), ("text", text, None) and ("end", name, None); names come
        without their namespaces.
    """
    events: list[Event] = []
    depth = 0

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > MAX_DEPTH:
            raise Refused("broken")
        plain = {key.rpartition(" ")[2]: value for key, value in attributes.items()}
        events.append(("start", name.rpartition(" ")[2], plain))

    def end(name: str) -> None:
        nonlocal depth
        depth -= 1
        events.append(("end", name.rpartition(" ")[2], None))

    def refuse(*_: object) -> None:
        raise Refused("bomb")

    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = lambda text: events.append(("text", text, None))
    parser.EntityDeclHandler = refuse
    try:
        for at in range(0, len(data), CHUNK):
            parser.Parse(data[at : at + CHUNK], False)
            yield from events
            events.clear()
        parser.Parse(b"", True)
        yield from events
    except expat.ExpatError as error:
        raise Refused("broken") from error
