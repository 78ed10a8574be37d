"""What matching knows of a token: its word, its stem, what it looks like, what it may answer.

A token is looked at once; texts are then arrays of rows, so that questions and passages are
compared as numbers. Stems are made by cutting off English endings, which is all that is needed to
compare words: "cities" and "city" must become the same string, not a word.
"""

import re
import unicodedata
import zlib
from itertools import islice

import numpy as np

BUCKETS = 65536  # stems are counted by hash
MAX_TOKENS = 200_000  # known at a time, each with some hundred bytes of what is known of it
CHARACTERS = 12  # a token, on the safe side: a text is cut to so many times its limit of tokens
WORD, STEM, BUCKET, SHAPE, KINDS, ENDS = range(6)  # columns of `Lexicon.look_up`
LOWER, NAME, CAPITALS, NUMBER, YEAR, CLOCK, MARK, FOREIGN = range(8)  # shapes
REASON, PLACE = 1, 2  # bits of the kinds
EXACT = (NUMBER, YEAR, FOREIGN)  # shapes of tokens that mean what another one does only if the same


def _split(words: str) -> list[str]:
    return words.split()


_TOKEN = re.compile(r"\w+|[^\w\s]|\n")
_ACCENTS = re.compile("[\u0300-\u036f]+")
_SENTENCE_ENDS = frozenset(".!?\n")
_NUMBERS = frozenset(
    _split("""one two three four five six seven eight nine ten eleven twelve twenty thirty forty
    fifty hundred thousand million billion dozen half once twice several many""")
)
_CLOCK = frozenset(
    _split("""january february march april may june july august september october november december
    monday tuesday wednesday thursday friday saturday sunday century decade morning evening night
    spring summer autumn winter later ago during until""")
)
_REASONS = frozenset(_split("""because since so therefore due caused thus order reason for"""))
_PLACES = frozenset(
    _split("""in at near from to on into under inside between north south east west""")
)
# What a question asks for, by the first that fits: "how many" stands before "how".
_ASKS = (
    re.compile(r"\b(?:when|(?:what|which) (?:year|date|day|month|decade|century)|how long ago)\b"),
    re.compile(r"\bhow (?:many|much|long|old|far|large|big|tall|high|often)\b"),
    re.compile(r"\b(?:who|whom|whose)\b"),
    re.compile(r"\b(?:where|(?:what|which) (?:city|country|place|state|region))\b"),
    re.compile(r"\bwhy\b"),
    re.compile(r"\bhow\b"),
    re.compile(r"\b(?:what|which)\b"),
)
QUESTION_TYPES = len(_ASKS) + 1
_VERB_ENDINGS = ("ingly", "edly", "ing", "ed", "ly")
_NOUN_ENDINGS = ("ational", "ation", "ition", "ement", "ment", "ness", "ance", "ence", "ion")


class Lexicon:
    """The tokens seen so far. Not safe for threads: who uses it holds a lock."""

    def __init__(self) -> None:
        self._rows: dict[str, int] = {}
        self._numbers: dict[str, int] = {}  # of words and stems
        self.words: list[str] = []  # in lower case, by row
        self._table = np.zeros((1024, 6), np.int32)

    def rows(self, text: str, limit: int) -> np.ndarray:
        """The rows of a text's first `limit` tokens [T]; of a line break if it has none."""
        text = text[: limit * CHARACTERS]
        if not text.isascii():
            text = _ACCENTS.sub("", unicodedata.normalize("NFKD", text))
        rows = self._rows
        found = _TOKEN.findall(text)[:limit] or ["\n"]
        return np.array([rows[t] if t in rows else self._add(t) for t in found], np.int32)

    def located(self, text: str, limit: int) -> tuple[np.ndarray, np.ndarray]:
        """As `rows`, and where each token stands in the text: start and end [T, 2].

        The text is cut into tokens as it is, each of which then loses its accents, so that the
        offsets are the text's own.
        """
        found = list(islice(_TOKEN.finditer(text), limit))
        tokens = [match.group() for match in found] or ["\n"]
        offsets = np.array([match.span() for match in found] or [(0, 0)], np.int32)
        return np.array([self._row(token) for token in tokens], np.int32), offsets

    def _row(self, token: str) -> int:
        row = self._rows.get(token)
        if row is None:
            plain = token
            if not token.isascii():
                plain = _ACCENTS.sub("", unicodedata.normalize("NFKD", token)) or token
            row = self._rows.get(plain)
            if row is None:
                row = self._add(plain)
            self._rows[token] = row
        return row

    def look_up(self, rows: np.ndarray) -> np.ndarray:
        """Word, stem, bucket of the stem, shape, kinds, and whether a sentence ends [T, 6].

        Words and stems are numbers, equal if the words are.
        """
        return self._table[rows]

    def _add(self, token: str) -> int:
        row = len(self.words)
        if row == len(self._table):
            self._table = np.concatenate([self._table, np.zeros_like(self._table)])
        lower = token.lower()
        short = stem(lower)
        self._table[row] = (
            self._numbers.setdefault(lower, len(self._numbers)),
            self._numbers.setdefault(short, len(self._numbers)),
            zlib.crc32(short.encode("utf-8", "replace")) % BUCKETS,
            _shape(token, lower),
            REASON * (lower in _REASONS) + PLACE * (lower in _PLACES),
            token in _SENTENCE_ENDS,
        )
        self.words.append(lower)
        self._rows[token] = row
        return row


def question_type(question: str) -> int:
    """Which of `_ASKS` a question is; the number after the last for none of them."""
    lower = question.lower()
    return next((i for i, ask in enumerate(_ASKS) if ask.search(lower)), len(_ASKS))


def asks(text: str) -> bool:
    """Whether a text asks, by its mark or its words."""
    return text.rstrip().endswith("?") or question_type(text) != QUESTION_TYPES - 1


def may_ask(text: str) -> bool:
    """Whether anything in a text asks: "Are dogs allowed? Thanks!" does, too."""
    return asks(text) or "?" in text or "？" in text


def stem(word: str) -> str:
    """A lower-case word without its commonest endings: "cities" -> "citi", "played" -> "play"."""
    if len(word) < 4 or not word.isalpha():
        return word
    if word.endswith("s") and not word.endswith(("ss", "us", "is")):
        word = word[:-2] if word.endswith(("sses", "xes", "ches", "shes")) else word[:-1]
        if word.endswith("ie") and len(word) > 4:
            word = word[:-1]
    for ending in _VERB_ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            word = word[: -len(ending)]
            if len(word) > 3 and word[-1] == word[-2] and word[-1] not in "lsz":
                word = word[:-1]  # "stopped"
            break
    for ending in _NOUN_ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 4:
            word = word[: -len(ending)]
            break
    if word.endswith("e") and len(word) > 3:
        word = word[:-1]
    return word[:-1] + "i" if word.endswith("y") and len(word) > 3 else word


def _shape(token: str, lower: str) -> int:
    if token[0].isdigit():
        return YEAR if len(token) == 4 and token.isdigit() and token[0] in "12" else NUMBER
    if not token[0].isalnum():
        return MARK
    if lower in _NUMBERS:
        return NUMBER
    if lower in _CLOCK:
        return CLOCK
    if token != lower:
        return CAPITALS if len(token) > 1 and token.isupper() else NAME
    return LOWER if token[0].isascii() else FOREIGN
