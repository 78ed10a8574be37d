"""Find where sentences begin and end, without a model and in time linear in the text.

Why: passages must not cut a sentence, and answers quote whole ones. Rules are enough here, and a
reader can see each of them: a sentence ends at its mark, unless the mark belongs to an
abbreviation, an initial or the number of a list item.
"""

import re

# Never the end of a sentence: a name or an example follows.
_NO_END = frozenset(
    (
        *("mr", "mrs", "ms", "dr", "prof", "st", "mt", "rev", "hon", "gov", "sen", "rep", "gen"),
        *("col", "capt", "lt", "sgt", "maj", "cmdr", "pres", "messrs", "mme", "mlle"),
        *("e.g", "i.e", "cf", "viz", "vs", "approx", "resp", "al", "fig", "figs", "eq", "eqs"),
    )
)
# Nor are these before a number: "No. 5", but "He said no."
_NUMBER_FOLLOWS = frozenset(
    (
        *("no", "nos", "art", "para", "ver", "sec", "secs", "ch", "chap", "p", "pp", "vol", "vols"),
        *("ed", "ca", "min", "max", "est", "v", "jan", "feb", "mar", "apr", "jun", "jul", "aug"),
        *("sep", "sept", "oct", "nov", "dec"),
    )
)
_OPENING = "\"'“‘«([*_"

_BOUNDARY = re.compile(
    r"(?P<mark>[.!?…]++[\"'”’»)\]*_]*+)"  # marks of the Latin script, with what they close
    r"|(?P<wide>[。！？]++[”’」』）]*+)"  # and of Chinese and Japanese, which need no space after
    r"|(?P<blank>\n[^\S\n]*+\n\s*+)"
    r"|(?P<line>\n(?=[^\S\n]*+(?:[-*+•‣▪|>]|\d{1,3}[.)])\s))"  # the next item or table row
)
_SOLID = re.compile(r"\S")
_LAST_WORD = re.compile(r"[\w.]*\w$")
_LOOK_BACK = 24  # characters that the longest abbreviation and its surroundings may take


def split_sentences(text: str) -> list[tuple[int, int]]:
    """Offsets (start, end) of the sentences of a text, in order.

    Every character that is not white space is in exactly one sentence; none begins or ends with
    white space. Blank lines, list items and table rows end a sentence too.
    """
    spans: list[tuple[int, int]] = []
    start = 0
    for match in _BOUNDARY.finditer(text):
        if match.lastgroup == "mark" and not _ends_sentence(text, match, start):
            continue
        _append(spans, text, start, match.end())
        start = match.end()
    _append(spans, text, start, len(text))
    return spans


def _append(spans: list[tuple[int, int]], text: str, start: int, end: int) -> None:
    """Add a span, trimmed; nothing if it is blank."""
    piece = text[start:end]
    left = len(piece) - len(piece.lstrip())
    if left < len(piece):
        spans.append((start + left, start + len(piece.rstrip())))


def _ends_sentence(text: str, match: re.Match[str], start: int) -> bool:
    """Whether a full stop, question mark, ... that was found ends the sentence."""
    end = match.end()
    if end < len(text) and not text[end].isspace():
        return False  # 3.14, example.org, a.m.,
    follows = _SOLID.search(text, end)
    if follows is None:
        return True
    after = follows.group()
    if after.islower():
        return False
    if match.group() != ".":
        return True
    mark = match.start()
    before = text[max(start, mark - _LOOK_BACK) : mark]
    word_match = _LAST_WORD.search(before)
    word = word_match.group() if word_match else ""
    if word.lower() in _NO_END or (word.lower() in _NUMBER_FOLLOWS and after.isdigit()):
        return False
    if len(word) == 1 and word.isalpha() and word.isupper():
        return word == "I" and before[:-1].rstrip()[-1:].islower()  # an initial, or "So do I."
    if len(word) > 1 and word[-2] == "." and word[-1].isalpha():  # U.S. Army; 5 p.m. The ...
        return word[-1].islower() and (after.isupper() or after in _OPENING)
    number = word.isdigit() and len(word) <= 3
    return not (number and before.rpartition("\n")[2].strip(" \t(") == word)  # 1. An item
