"""What the styles and lists of a Word document mean: which are headings, which are numbered."""

import re
from dataclasses import dataclass, replace

from mlx_toy.formats.archive import xml_events

MAX_INHERITANCE = 20  # styles that a style is based on
_HEADING = re.compile(r"heading ([1-9])")


@dataclass(frozen=True)
class Style:
    """A paragraph's style.

    Attributes:
        level: 1 for a title, 2 to 10 for headings 1 to 9, 0 for text.
        number: the list that its paragraphs are items of, "" for none.
        depth: how deep in that list, from 0.
    """

    level: int = 0
    number: str = ""
    depth: int = 0


def read_styles(data: bytes) -> dict[str, Style]:
    """The styles by their ids, with what each inherits from the ones it is based on."""
    own: dict[str, Style] = {}
    parents: dict[str, str] = {}
    current = ""
    for event, name, value in xml_events(data) if data else ():
        if event != "start":
            continue
        text = value.get("val", "")
        if name == "style":
            current = value.get("styleId", "")
            own[current] = Style()
        elif not current:
            continue
        elif name == "name":
            heading = _HEADING.fullmatch(text.lower())
            level = int(heading.group(1)) + 1 if heading else int(text.lower() == "title")
            own[current] = replace(own[current], level=level)
        elif name == "basedOn":
            parents[current] = text
        elif name == "outlineLvl" and text.isdigit() and int(text) < 9 and not own[current].level:
            own[current] = replace(own[current], level=int(text) + 2)
        elif name == "numId":
            own[current] = replace(own[current], number=text)
        elif name == "ilvl" and text.isdigit():
            own[current] = replace(own[current], depth=min(8, int(text)))
    return {style: _inherited(style, own, parents) for style in own}


def _inherited(style: str, own: dict[str, Style], parents: dict[str, str]) -> Style:
    found = own[style]
    for _ in range(MAX_INHERITANCE):
        style = parents.get(style, "")
        if style not in own:
            break
        above = own[style]
        number, depth = (found.number, found.depth) if found.number else (above.number, above.depth)
        found = Style(found.level or above.level, number, depth)
    return found


def read_formats(data: bytes) -> dict[tuple[str, int], str]:
    """How the items of each list are marked at each depth: (list, depth) -> "decimal", ..."""
    formats: dict[str, dict[int, str]] = {}
    lists: dict[str, str] = {}
    abstract = number = ""
    depth = 0
    for event, name, value in xml_events(data) if data else ():
        if event != "start":
            continue
        if name == "abstractNum":
            abstract = value.get("abstractNumId", "")
        elif name == "lvl" and value.get("ilvl", "").isdigit():
            depth = int(value["ilvl"])
        elif name == "numFmt":
            formats.setdefault(abstract, {})[depth] = value.get("val", "")
        elif name == "num":
            number = value.get("numId", "")
        elif name == "abstractNumId":
            lists[number] = value.get("val", "")
    return {
        (number, depth): form
        for number, abstract in lists.items()
        for depth, form in formats.get(abstract, {}).items()
    }
