"""Libraries with questions whose right passages are known: what retrieval is measured on.

| set | library | a question | right |
|---|---|---|---|
| SQuAD | paragraphs of the dev articles | one that its paragraph answers | the paragraph |
| FairytaleQA | sections of the validation stories | one that its section answers | the section |
| headings | Simple Wikipedia, cut as in the app | title and heading | the section's passages |
| definitions | the same | what its first sentence says it is | the article's passages |

The last two are one library. Its passages are found by their text alone, without the headings that
the app would index with them, and the sentence that became a definition is taken out of the article
(the inverse cloze task: Lee et al. 2019, arXiv:1906.00300): else the words of the question would
stand in the passage as they are. Words of the title are taken out of the definition.
"""

import random
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from corpus.readers import read_json_lines
from mlx_toy.documents import Document, read_text
from mlx_toy.passages import Passage, below_headings, split_passages, split_sentences
from mlx_toy.words import words
from train.retrieval_metrics import CUTOFFS

FILES = {
    "squad": "eval/squad_dev_public.jsonl.xz",
    "fairytaleqa": "eval/fairytaleqa_valid.jsonl.xz",
    "simplewiki": "eval/simplewiki_public.jsonl.xz",
}
DISTRACTORS_FILE = "base/simplewiki.jsonl.xz"
SHORTEST_SECTION = 200  # characters; a shorter one is a list or a stub
SHORTEST_DEFINITION = 7  # words; a shorter one ("an American actor") fits many articles
LONGEST_DEFINITION = 40
DULL_HEADINGS = {"related pages", "references", "other websites", "notes", "sources", "gallery"}

_IS = re.compile(r"\s(?:is|are|was|were)\s+(?:(?:a|an|the)\s+)?")
_BRACKETS = re.compile(r"\s*\([^()]*\)")

Library = list[tuple[Document, list[Passage]]]
Split = Callable[[Document], list[Passage]]


@dataclass(frozen=True)
class Question:
    """A question, and the numbers of the passages any of which answers it."""

    text: str
    right: frozenset[int]


@dataclass(frozen=True)
class QuestionSet:
    """A library with questions; its passages are numbered from 0 through all documents.

    `cutoffs` are the places within which finding is reported.
    """

    name: str
    library: Library
    questions: list[Question]
    cutoffs: tuple[int, ...] = CUTOFFS

    @cached_property
    def texts(self) -> list[str]:
        """What is searched of each passage: its path of headings and its text, [P]."""
        return [
            below_headings(passage.heading, passage.text)
            for _, passages in self.library
            for passage in passages
        ]

    def sample(self, count: int, seed: int = 0) -> "QuestionSet":
        """The same library with so many of its questions; 0 means all."""
        if not 0 < count < len(self.questions):
            return self
        return replace(self, questions=random.Random(seed).sample(self.questions, count))


def read_sets(data: Path, split: Split) -> list[QuestionSet]:
    """The four sets.

    Args:
        data: directory that holds `eval/`.
        split: cuts an article into passages.
    """
    records = {name: list(read_json_lines(data / file)) for name, file in FILES.items()}
    return [
        from_questions("SQuAD", records["squad"]),
        from_questions("FairytaleQA", records["fairytaleqa"]),
        *from_articles(records["simplewiki"], split),
    ]


def from_questions(name: str, records: Iterable[dict[str, Any]]) -> QuestionSet:
    """Each distinct context is a passage, those of a title a document; answerable ones are asked.

    Args:
        name: of the set.
        records: with title, context, question and answers.
    """
    contexts: dict[str, dict[str, list[str]]] = {}
    for record in records:
        asked = contexts.setdefault(str(record["title"]), {}).setdefault(record["context"], [])
        if record["answers"]:
            asked.append(record["question"])
    questions: list[Question] = []
    number = 0
    for passages in contexts.values():
        for asked in passages.values():
            questions += [Question(text, frozenset([number])) for text in asked]
            number += 1
    return QuestionSet(name, [join(title, list(p)) for title, p in contexts.items()], questions)


def from_articles(records: Iterable[dict[str, Any]], split: Split) -> list[QuestionSet]:
    """The sets "headings" and "definitions" of encyclopedia articles, over one library."""
    library: Library = []
    headings: list[Question] = []
    definitions: list[Question] = []
    number = 0
    for record in records:
        gloss, text = take_definition(record["title"], record["text"])
        document = read_text(f"{record['title']}\n\n{text}", record["title"])
        passages = split(document)
        sections: dict[str, list[int]] = {}
        for place, passage in enumerate(passages, number):
            sections.setdefault(passage.heading, []).append(place)
        for path, places in sections.items():
            heading = path.rpartition(" > ")[2]
            size = sum(len(passages[place - number].text) for place in places)
            asked = " > " in path and heading.lower() not in DULL_HEADINGS
            if asked and size >= SHORTEST_SECTION:
                headings.append(Question(f"{record['title']} {heading}", frozenset(places)))
        right = frozenset(range(number, number + len(passages)))
        if gloss:
            definitions.append(Question(gloss, right))
        library.append((document, [replace(passage, heading="") for passage in passages]))
        number += len(passages)
    return [
        QuestionSet("Simple Wikipedia, headings", library, headings),
        QuestionSet("Simple Wikipedia, definitions", library, definitions),
    ]


def take_definition(title: str, text: str) -> tuple[str, str]:
    """What an article's first sentence says that its subject is, and the text without it.

    Returns:
        The definition without words of the title, "" if there is none that says enough; and the
        text, whole if there is no definition.
    """
    start, end = next(iter(split_sentences(text)), (0, 0))
    sentence = text[start:end]
    verb = _IS.search(_BRACKETS.sub("", sentence))
    if verb is None or not text[end:].strip():
        return "", text
    said = _BRACKETS.sub("", sentence)[verb.end() :].rstrip(". ")
    known = set(words(title.lower()))
    kept = [word for word in said.split() if not known & set(words(word.lower()))]
    if not SHORTEST_DEFINITION <= len(kept) <= LONGEST_DEFINITION:
        return "", text
    return " ".join(kept), text[end:].lstrip()


def distractors(data: Path, split: Split, count: int) -> Library:
    """At least `count` passages of Simple Wikipedia that answer none of the questions."""
    asked = {record["title"] for record in read_json_lines(data / FILES["simplewiki"])}
    library: Library = []
    found = 0
    for record in _spread(read_json_lines(data / DISTRACTORS_FILE)):
        if found >= count:
            break
        if record["title"] and record["title"] not in asked:
            document = read_text(f"{record['title']}\n\n{record['text']}", record["title"])
            passages = [replace(passage, heading="") for passage in split(document)]
            library.append((document, passages))
            found += len(passages)
    return library


def together(sets: Sequence[QuestionSet], others: Library) -> list[QuestionSet]:
    """The sets with one library in common: all of theirs, a shared one once, and others."""
    library: Library = []
    starts: dict[int, int] = {}  # of each library, by identity
    number = 0
    for each in sets:
        if id(each.library) not in starts:
            starts[id(each.library)] = number
            library += each.library
            number += len(each.texts)
    library += others
    return [
        replace(
            each,
            library=library,
            questions=[
                Question(q.text, frozenset(starts[id(each.library)] + place for place in q.right))
                for q in each.questions
            ],
        )
        for each in sets
    ]


def join(name: str, texts: Sequence[str]) -> tuple[Document, list[Passage]]:
    """A document of the texts, and each of them as a passage of it."""
    passages, start = [], 0
    for text in texts:
        passages.append(Passage(text, start, start + len(text)))
        start += len(text) + 2
    return Document(name, "\n\n".join(texts)), passages


def splitter(count_tokens: Callable[[str], int]) -> Split:
    """The app's way to cut a document."""
    return lambda document: split_passages(document, count_tokens)


def _spread(records: Iterator[dict[str, Any]], every: int = 40) -> Iterator[dict[str, Any]]:
    """Every fortieth record, so that a few of them come from all parts of a sorted file."""
    return (record for number, record in enumerate(records) if number % every == 0)
