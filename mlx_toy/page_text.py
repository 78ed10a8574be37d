"""Clean text, and join the lines of a document's pages into paragraphs.

Why: a PDF stores where glyphs stand, not words in sentences. What comes out of a parser is broken
at every line end, hyphenated, and interrupted by page numbers; retrieval and quoting need running
text, and citations need to know exactly at which character each page begins.
"""

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence

MAX_COMBINING_MARKS = 30  # in a row, as in Unicode's stream-safe format; longer runs are an attack
FULL_LINE = 0.7  # a line this long, relative to the page's typical longest, goes on below
RUNNING_LINE_PAGES = 3  # a header or footer stands on at least this many pages ...
RUNNING_LINE_SHARE = 0.4  # ... and on this share: books have one for each side of a leaf
RUNNING_LINE_MIN_LINES = 4  # and is looked for only where a page has this many lines

# Control characters, invisible ones that hide or reorder text, and halves of surrogate pairs.
_DROPPED = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\xad\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064"
    "\u2066-\u206f\ufeff\ufff9-\ufffb\ufffe\uffff\ud800-\udfff\U000e0000-\U000e007f]+"
)
_NEWLINES = re.compile("\r\n?|[\x0b\x85\u2028\u2029]")
# Letters that print joined; nobody types them, so nobody would find the words.
_LIGATURES = str.maketrans(
    {"ﬀ": "ff", "ﬁ": "fi", "ﬂ": "fl", "ﬃ": "ffi", "ﬄ": "ffl", "ﬅ": "st", "ﬆ": "st"}
)
_SPACES = re.compile("[\u00a0\u2007\u202f]")
_MARK_RUN = re.compile(rf"[^\w\s\x00-\x7f]{{{MAX_COMBINING_MARKS + 1},}}")
_WORD = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*")
_END_NUMBER = re.compile(r"(?<![\d.,])\d{1,5}$")
_ITEM = re.compile(r"[-*•‣▪–—]\s|\(?(?:\d{1,3}|[a-zA-Z])[.)]\s")
_SENTENCE_END = tuple('.!?:;…。！？"”’)')


def clean_text(text: str) -> str:
    """Normalise any text: NFC, "\\n" line ends, no control characters, at most one blank line.

    Invisible characters that hide or reorder text are dropped too. Linear in the text's length.
    """
    text = _NEWLINES.sub("\n", text).replace("\x0c", "\n\n")
    text = _SPACES.sub(" ", _DROPPED.sub("", text))
    if not text.isascii():
        text = text.translate(_LIGATURES)
        text = unicodedata.normalize("NFC", _MARK_RUN.sub(_cap_marks, text))
    text = "\n".join(line.rstrip() for line in text.split("\n"))
    return re.sub(r"\n{3,}", "\n\n", text).strip()


def join_pages(pages: Sequence[str]) -> tuple[str, tuple[int, ...]]:
    """Join the pages of a PDF into one text of paragraphs.

    Args:
        pages: the text of each page, one line of it per line of the page.

    Returns:
        The text, and for each page the offset at which it begins. A page without text begins where
        the next one does, so the page of an offset is the last one that begins no later than it.
    """
    lines_of = _without_running_lines([clean_text(page).split("\n") for page in pages])
    words = Counter(word for lines in lines_of for line in lines for word in _WORD.findall(line))
    out: list[str] = []
    length = 0
    starts: list[int] = []
    last = ""  # the line before, "" after a blank one
    for lines in lines_of:
        full = FULL_LINE * _typical_length(lines)
        starts.append(-1)
        for line in map(str.strip, lines):
            if not line:
                last = "" if starts[-1] >= 0 else last
                continue
            if out:
                if starts[-1] < 0 and last.endswith(_SENTENCE_END):
                    last = ""  # a sentence that ends with its page ends a paragraph
                separator, hyphen = _separator(last, line, full, words)
                if hyphen:
                    out[-1] = out[-1][:-1]
                    length -= 1
                out.append(separator)
                length += len(separator)
            if starts[-1] < 0:
                starts[-1] = length
            out.append(line)
            length += len(line)
            last = line
    following = length
    for page in reversed(range(len(starts))):
        following = starts[page] = starts[page] if starts[page] >= 0 else following
    return "".join(out), tuple(starts)


def _separator(last: str, line: str, full: float, words: Counter[str]) -> tuple[str, bool]:
    """What goes between two lines, and whether the hyphen that ends the first is dropped."""
    if not last:
        return "\n\n", False
    if _ITEM.match(line):
        return "\n", False
    if last.endswith(("-", "‐")) and last[-2:-1].isalpha() and line[0].islower():
        head = last.rsplit(maxsplit=1)[-1][:-1]
        tail = match.group() if (match := _WORD.match(line)) else ""
        compound = words[f"{head}-{tail}"] > 0 and words[head + tail] == 0
        return "", not compound
    ends = last.endswith(_SENTENCE_END)
    heading = ends and len(line) < full and not line.endswith(_SENTENCE_END)
    if line[0].islower() or (len(last) >= full and not heading):
        return " ", False
    return ("\n\n" if ends or line[0].isupper() else "\n"), False


def _typical_length(lines: Iterable[str]) -> int:
    """The length that full lines have: the upper quartile of the lengths, in characters."""
    lengths = sorted(len(line) for line in lines if line)
    return lengths[len(lengths) * 3 // 4] if lengths else 0


def _without_running_lines(pages: list[list[str]]) -> list[list[str]]:
    """Drop headers and footers: first and last lines that repeat, apart from their digits.

    They do so on a good share of the pages, or on a few, such as those of a chapter, and then count
    the pages.
    """
    long_pages = [
        (at, page) for at, page in enumerate(pages) if len(page) >= RUNNING_LINE_MIN_LINES
    ]
    needed = max(RUNNING_LINE_PAGES, RUNNING_LINE_SHARE * len(pages))
    for edge in (0, -1):
        keys = {at: _without_digits(page[edge]) for at, page in long_pages if page[edge]}
        counting = {at: (key, _last_number(pages[at][edge]) - at) for at, key in keys.items()}
        counts, chapters = Counter(keys.values()), Counter(counting.values())
        for at, key in keys.items():
            if counts[key] >= needed or chapters[counting[at]] >= RUNNING_LINE_PAGES:
                del pages[at][edge]
    return ["\n".join(lines).strip("\n").split("\n") for lines in pages]


def _without_digits(line: str) -> str:
    return re.sub(r"\d+", "0", line)


def _last_number(line: str) -> float:
    """The number that a line ends with; NaN, which equals nothing, if it ends with none."""
    match = _END_NUMBER.search(line)
    return int(match.group()) if match else math.nan


def _cap_marks(match: re.Match) -> str:
    """Shorten a run of combining marks: normalising takes time quadratic in its length."""
    kept: list[str] = []
    marks = 0
    for character in match.group():
        marks = marks + 1 if unicodedata.combining(character) else 0
        if marks <= MAX_COMBINING_MARKS:
            kept.append(character)
    return "".join(kept)
