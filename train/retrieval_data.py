"""What the retriever learns from: texts to be found, grouped, with what someone may ask for them.

The records are read with the catalogue's own readers (`corpus.readers`, JSON lines in, checked
records out). There is no file in between: pairs need neither cutting nor packing, and the features
of a text depend on the retriever's own settings, so a shard would be outdated with each of them.

A group is an article, a story, a book or an intent. One group in twenty is held out of SQuAD and
FairytaleQA, by a hash of its title, to choose settings and the threshold on.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from corpus.catalog import Source, load_catalog
from corpus.readers import read_source

HELD_OUT_EVERY = 20
QUESTION_SOURCES = ("qa/squad_train", "qa/fairytaleqa_train")
HEADINGS, DEFINITIONS = "pairs/simplewiki", "base/simplewiki"  # by page
EVERYDAY = "everyday"  # our own questions on everyday documents (`train/everyday.py`)
MIXTURE = {  # parts of the batches
    "qa/squad_train": 4.0,
    "qa/fairytaleqa_train": 1.5,
    HEADINGS: 2.0,
    DEFINITIONS: 2.0,
    "pairs/enwiki": 1.0,
    "pairs/openstax": 1.0,
    "pairs/wordnet": 0.5,
    "pairs/intents": 0.3,
    EVERYDAY: 5.0,  # such documents are what people ask of
}
SOURCES = tuple(name for name in MIXTURE if name != EVERYDAY)  # those of the catalogue


@dataclass
class Passage:
    """A text that should be found, and the queries that should find it.

    `answers` are those of each query that are known; a query beyond them has none.
    """

    text: str
    queries: list[str] = field(default_factory=list)
    answers: list[list[str]] = field(default_factory=list)


Groups = dict[str, list[Passage]]  # by name: passages that are alike, so hard to tell apart


def sources(names: tuple[str, ...]) -> list[Source]:
    """The catalogue's entries of these names."""
    by_name = {source.name: source for source in load_catalog()}
    return [by_name[name] for name in names]


def read_groups(source: Source, data: Path) -> Groups:
    """Read a source of pairs or questions; a passage that occurs twice is one passage."""
    return group_records(source.kind, read_source(source, data))


def group_records(kind: str, records: Iterator[dict[str, Any]]) -> Groups:
    """Group records of kind "pair" or "question" by what they are about."""
    found: dict[str, dict[str, Passage]] = {}
    for record in records:
        if kind == "question":
            name, text, query = str(record["title"]), record["context"], record["question"]
        else:
            name, text, query = _group_of(record["id"]), record["passage"], record["query"]
        passage = found.setdefault(name, {}).setdefault(text, Passage(text))
        passage.queries.append(query)
        if kind == "question":
            passage.answers.append(record.get("answers", []))
    return {name: list(passages.values()) for name, passages in found.items()}


def library_of(groups: Groups) -> tuple[list[str], list[str], np.ndarray]:
    """Passages [P], questions [Q], and the index of each question's passage [Q]."""
    passages, questions, answers = [], [], []
    for group in groups.values():
        for passage in group:
            questions += passage.queries
            answers += [len(passages)] * len(passage.queries)
            passages.append(passage.text)
    return passages, questions, np.array(answers)


def _group_of(record_id: str) -> str:
    """The part of a pair's id that similar pairs share: its book, its intent or its page."""
    parts = record_id.split("/")
    return "/".join(parts[: 3 if parts[0] == "simplewiki" else 2])


def split_held_out(groups: Groups) -> tuple[Groups, Groups]:
    """Groups to train on and groups held out, by a hash of the name."""
    held = {name for name in groups if is_held_out(name)}
    return (
        {name: passages for name, passages in groups.items() if name not in held},
        {name: passages for name, passages in groups.items() if name in held},
    )


def is_held_out(name: str) -> bool:
    """Whether an article or another group is kept out of the retriever's training."""
    return _hash(name) % HELD_OUT_EVERY == 0


def _hash(name: str) -> int:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "little")
