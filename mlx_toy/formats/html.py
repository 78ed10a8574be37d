"""Read a web page: headings, paragraphs, lists and tables, without scripts, styles and menus."""

import re
from collections.abc import Iterator
from typing import Any

from selectolax.lexbor import LexborHTMLParser

from mlx_toy.formats.html_table import table_rows
from mlx_toy.formats.output import Output, Refused
from mlx_toy.text_encoding import decode

DROPPED = frozenset(
    (
        *("head", "script", "style", "template", "noscript", "nav", "svg", "math", "iframe"),
        *("object", "embed", "canvas", "audio", "video", "map"),
        *("select", "button", "textarea", "input", "menu", "dialog"),
    )
)
BLOCKS = frozenset(
    (
        *("html", "body", "main", "article", "section", "header", "footer", "aside", "div", "p"),
        *("address", "blockquote", "center", "details", "summary", "figure", "figcaption", "hr"),
        *("form", "fieldset", "legend", "ul", "ol", "li", "dl", "dt", "dd", "pre"),
        *("table", "caption", "thead", "tbody", "tfoot", "tr", "th", "td"),
    )
)
HEADINGS = {f"h{level}": level for level in range(1, 7)}
# XHTML closes these in place; read as HTML they would swallow all that follows.
_SELF_CLOSED = re.compile(r"<(title|script|style|iframe|textarea|noscript)\b([^<>]{0,500})/>", re.I)
# A parser looks through all open elements at each of these: many in each other take minutes.
_NESTING = re.compile(
    r"<(/?)(?:div|section|article|main|aside|header|footer|center|blockquote|details|figure|form"
    r"|fieldset|address|ul|ol|dl)\b[^<>]{0,2000}>",
    re.I,
)
MAX_NESTING = 400  # elements within each other; browsers stop at about 500
_CHARSET = re.compile(rb"charset\s{0,9}=\s{0,9}[\"']?\s{0,9}([a-zA-Z0-9_-]{2,20})", re.I)
_OLD_CHARSET = re.compile(r"(windows|cp|iso|koi8|shift|sjis|euc|gb|big5|mac|tis|x-sjis)", re.I)
_SPACES = re.compile(r"[ \t\r\n\f]+")


def read(data: bytes, kind: str, out: Output) -> None:
    """Write the pieces of a page."""
    read_page(decode_page(data), out)


def read_page(markup: str, out: Output, title: str = "") -> None:
    """Write the pieces of a page.

    Args:
        markup: HTML or XHTML.
        out: where to.
        title: its heading if it has none; that in its head if this is empty.
    """
    tree = LexborHTMLParser(_SELF_CLOSED.sub(r"<\1\2></\1>", flattened(markup)))
    if title:
        found = "" if tree.css_first("h1,h2,h3,h4,h5,h6") else title
    else:
        node = None if tree.css_first("h1") else tree.css_first("head title")
        found = node.text() if node else ""
    if found:
        out.heading(1, " ".join(found.split()))
    if tree.body is not None:
        _Page(out).read(tree.body)


def flattened(markup: str) -> str:
    """The markup, in which what is nested far too deeply is only broken into lines."""
    depth = 0

    def keep(tag: re.Match[str]) -> str:
        nonlocal depth
        depth = max(0, depth - 1) if tag.group(1) else depth + 1
        too_deep = depth >= MAX_NESTING if tag.group(1) else depth > MAX_NESTING
        return "<br>" if too_deep else tag.group()

    return _NESTING.sub(keep, markup)


class _Page:
    """The state of a walk over the elements of a page."""

    def __init__(self, out: Output) -> None:
        self._out = out
        self._words: list[str] = []  # of the paragraph so far
        self._level = 0  # of the heading that it is
        self._lists: list[int | None] = []  # for each list we are in its next number, if it has any
        self._mark: str | None = None  # of the item it begins; "" further on in it, None elsewhere

    def read(self, body: Any) -> None:
        """Walk over all elements without recursion: pages may be nested without end."""
        node = body
        depth = 0  # below the body; selectolax compares two nodes by all that is in them
        while True:
            child = node.child if self._enter(node) else None
            if child is not None:
                node = child
                depth += 1
                continue
            self._leave(node.tag)
            while depth and (after := node.next) is None:
                node = node.parent
                depth -= 1
                self._leave(node.tag)
            if not depth:
                return
            node = after

    def _enter(self, node: Any) -> bool:
        """Take in an element; whether to go on with what is in it."""
        tag = node.tag
        if tag == "-text":
            self._words.append(node.text_content or "")
            return False
        if tag.startswith("-") or tag in DROPPED or is_hidden(node):
            return False
        if tag == "br":
            self._words.append("\u2028")
        elif tag in HEADINGS:
            self._flush()
            self._level = HEADINGS[tag]
        elif tag in BLOCKS:
            self._flush()
            if tag in ("ul", "ol"):
                self._lists.append(1 if tag == "ol" else None)
                self._mark = None
            elif tag == "li":
                self._mark = self._next_mark()
            elif tag == "pre":
                self._out.code(node.text())
                return False
            elif tag == "table":
                return not self._table(node)
        return True

    def _leave(self, tag: str) -> None:
        """Finish what an element held."""
        if tag in HEADINGS:
            self._flush()
            self._level = 0
        elif tag in BLOCKS:
            self._flush()
            if tag in ("ul", "ol") and self._lists:
                self._lists.pop()
                self._mark = "" if self._lists else None
            elif tag == "li" and not self._lists:
                self._mark = None

    def _next_mark(self) -> str:
        number = self._lists[-1] if self._lists else None
        if number is None:
            return "-"
        self._lists[-1] = number + 1
        return f"{number}."

    def _flush(self) -> None:
        """Write the paragraph, heading or item so far."""
        text = _SPACES.sub(" ", "".join(self._words))
        text = re.sub(" ?\u2028 ?", "\u2028", text).strip(" \u2028")
        self._words.clear()
        if not text:
            return
        if self._level:
            self._out.heading(self._level, text.replace("\u2028", " "))
        elif self._mark is not None:
            self._out.item(text.replace("\u2028", " "), self._mark, max(1, len(self._lists)))
            self._mark = ""
        else:
            self._out.paragraph(text)

    def _table(self, node: Any) -> bool:
        """Write a table; false if it only serves the layout."""
        found = table_rows(node, lambda child: child.tag in DROPPED or is_hidden(child))
        if found is None:
            return False
        caption, rows, header = found
        self._out.paragraph(caption)
        self._out.table(rows, header)
        return True


def is_hidden(node: Any) -> bool:
    """Whether an element is a menu, or not shown."""
    attributes = node.attributes
    if not attributes:
        return False
    style = (attributes.get("style") or "").replace(" ", "").lower()
    return (
        "hidden" in attributes
        or attributes.get("aria-hidden") == "true"
        or attributes.get("role") == "navigation"
        or "display:none" in style
    )


def decode_page(data: bytes) -> str:
    """The characters of a page: UTF-8 if it can be, else what it declares, else a guess."""
    for encoding in _declared(data):
        try:
            return data.decode(encoding)
        except (LookupError, UnicodeError):
            continue
    text = decode(data)
    if text is None:
        raise Refused("binary")
    return text


def _declared(data: bytes) -> Iterator[str]:
    """Encodings to try in turn; a zero byte means UTF-16 or no text at all."""
    if b"\x00" in data[:4096]:
        return
    yield "utf-8-sig"
    found = _CHARSET.search(data[:4096])
    name = found.group(1).decode() if found else ""
    if name.lower() in ("iso-8859-1", "latin1", "latin-1", "us-ascii"):
        yield "cp1252"  # as browsers do
    elif _OLD_CHARSET.match(name):
        yield name
