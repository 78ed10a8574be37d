"""The words that get a row of their own: those that most texts have.

Texts of every kind that the retriever, the reader and the chat meet are counted: encyclopedias,
textbooks, stories, glosses, questions, conversations, and our own on everyday documents. A part of
the large sources is enough to say which words are common.
"""

from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from corpus.readers import read_json_lines
from mlx_toy.words import words

SOURCES = {  # records that are read, at most
    "pairs/simplewiki": 60_000,
    "pairs/enwiki": 60_000,
    "pairs/openstax": 60_000,
    "pairs/wordnet": 120_000,
    "pairs/intents": 20_000,
    "qa/squad_train": 90_000,
    "qa/fairytaleqa_train": 9_000,
    "qa/quoref": 20_000,
    "chat/dolly": 15_000,
    "base/tinystories": 20_000,
    "chat/topical_chat": 6_000,
    "chat/taskmaster4": 5_000,
    "base/onestopenglish": 2_000,
    "base/storybooks": 3_000,
    "base/enwiki_leads": 60_000,
}
SHORT = 20  # characters: a longer text counts once, however often it comes
_NO_TEXT = ("id", "licence", "source", "url", "role")  # fields


def common_words(data: Path, everyday: Path, count: int) -> list[str]:
    """The words and marks that most texts have, the commonest first.

    Args:
        data: directory with the training data; a source that is not there is left out.
        everyday: file of our own questions on everyday documents.
        count: of them, at most.
    """
    texts: Counter[str] = Counter()
    seen: set[str] = set()
    for text in _texts(data, everyday):
        if len(text) > SHORT:
            if text in seen:
                continue
            seen.add(text)
        texts.update(set(words(text.encode("utf-8", "ignore").decode())))  # no lone surrogates
    return sorted(texts, key=lambda word: (-texts[word], word))[:count]


def _texts(data: Path, everyday: Path) -> Iterator[str]:
    for name, most in SOURCES.items():
        file = data / f"{name}.jsonl.xz"
        for record in islice(read_json_lines(file), most) if file.exists() else ():
            yield from _strings(record)
    for record in read_json_lines(everyday):
        yield from _strings(record)


def _strings(value: Any) -> Iterator[str]:
    """Every string in a record."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, part in value.items():
            if name not in _NO_TEXT:
                yield from _strings(part)
    elif isinstance(value, list):
        for part in value:
            yield from _strings(part)
