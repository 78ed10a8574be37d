"""A text as words, for whatever compares texts by them."""

import re
import unicodedata

MAX_CHARACTERS = 100_000  # of a text that are looked at: a passage is a hundredth of it
MAX_WORD = 64  # characters of a word: longer runs are no words
_WORD = re.compile(r"\w+|[^\w\s]")


def words(text: str) -> list[str]:
    """The words and the marks of a text, in lower case and without accents."""
    text = unicodedata.normalize("NFKD", text[:MAX_CHARACTERS].lower())
    plain = "".join(c for c in text if not unicodedata.combining(c)) if not text.isascii() else text
    return [word[:MAX_WORD] for word in _WORD.findall(plain)]
