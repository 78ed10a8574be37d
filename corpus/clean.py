"""Clean a text, and say which texts are not worth learning from.

Why so little: the catalogue's sources are clean already; what people bring themselves is not. Each
rule is one that a reader can check by hand, and `corpus.json` counts what each of them dropped.
The thresholds follow Rae et al. 2021 (arXiv:2112.11446, section A.1.1), milder for short texts.
"""

import re
import unicodedata
import zlib
from typing import Any

import numpy as np

MIN_WORDS = 5  # of a plain text; a turn of a chat may be shorter
MIN_ALPHANUMERIC = 0.6  # share of the characters that are not white space
MAX_MEAN_WORD = 15  # characters a word, spaces and marks included
MAX_WORD = 1_000  # characters; longer ones are encoded data
REPETITION_WORDS = 5  # length of the sequences whose repetition is counted
MIN_DISTINCT = 0.5  # share of those sequences that occur for the first time
MIN_SEQUENCES = 50  # fewer say nothing about repetition

TOO_SHORT, NOT_TEXT, REPETITIVE = "too short", "not text", "repetitive"

_LINE_ENDS = re.compile("\r\n|[\r\x0b\x0c\x85\u2028\u2029]")
# Control characters but tab and newline; soft hyphens, marks of byte order, noncharacters.
_CONTROL = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x9f\xad\u200b\u2060\ufeff\ufdd0-\ufdef\ufffe\uffff]"
)
_TRAILING = re.compile(r"[ \t]+(?=\n)")
_BLANK_LINES = re.compile(r"\n{3,}")
_WORD = re.compile(r"\w+")
_NOT_ALPHANUMERIC = re.compile(r"[\W_]+")
_SPACE = re.compile(r"\s+")
_LONG_WORD = re.compile(rf"\S{{{MAX_WORD}}}")


def normalize(value: Any) -> Any:
    """Unicode NFC, newlines and no control characters, for every string inside a record."""
    if isinstance(value, str):
        text = _CONTROL.sub("", _LINE_ENDS.sub("\n", unicodedata.normalize("NFC", value)))
        return _BLANK_LINES.sub("\n\n", _TRAILING.sub("", text)) if "\n" in text else text
    if isinstance(value, list):
        return [normalize(item) for item in value]
    if isinstance(value, dict):
        return {key: normalize(item) for key, item in value.items()}
    return value


def text_of(kind: str, record: dict[str, Any]) -> str:
    """All that a record would teach, as one text."""
    if kind == "chat":
        return "\n".join(message["content"] for message in record["messages"])
    if kind == "question":
        return "\n".join([record["context"], record["question"], *record["answers"]])
    if kind == "pair":
        return f"{record['query']}\n{record['passage']}"
    return record["text"]


def hash_words(text: str) -> np.ndarray:
    """A 32-bit number for each word [W] uint64, whatever its case and the marks around it."""
    words = _WORD.findall(text.lower())
    return np.fromiter((zlib.crc32(w.encode()) for w in words), dtype=np.uint64, count=len(words))


def hash_sequences(words: np.ndarray, length: int) -> np.ndarray:
    """A 64-bit number for each sequence of so many words [W - length + 1]; none if too few."""
    count = len(words) - length + 1
    if count <= 0:
        return np.empty(0, dtype=np.uint64)
    hashes = np.zeros(count, dtype=np.uint64)
    for offset in range(length):  # modulo 2**64, as numpy's unsigned numbers are
        hashes = hashes * np.uint64(0x9E3779B97F4A7C15) + words[offset : offset + count]
    hashes ^= hashes >> np.uint64(29)
    hashes *= np.uint64(0xBF58476D1CE4E5B9)
    return hashes ^ (hashes >> np.uint64(32))


def complaint(kind: str, text: str, words: np.ndarray) -> str | None:
    """Why a text is left out, or None if it is fine."""
    if len(words) < (MIN_WORDS if kind == "text" else 1):
        return TOO_SHORT
    solid = len(_SPACE.sub("", text))
    alphanumeric = len(_NOT_ALPHANUMERIC.sub("", text))
    if (
        alphanumeric < MIN_ALPHANUMERIC * solid
        or len(text) > MAX_MEAN_WORD * len(words)
        or _LONG_WORD.search(text)
    ):
        return NOT_TEXT
    if kind == "text":  # who answers from a passage repeats it
        sequences = hash_sequences(words, REPETITION_WORDS)
        distinct = len(np.unique(sequences))
        if len(sequences) >= MIN_SEQUENCES and distinct < MIN_DISTINCT * len(sequences):
            return REPETITIVE
    return None
