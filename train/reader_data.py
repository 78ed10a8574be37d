"""What the reader learns from: questions with a passage that answers them, or that does not.

Drawn anew in every epoch:

- the annotated passage, with every place in it where an answer stands (the data does not keep the
  annotators' offsets; the sum over all places counts: Clark and Gardner 2018, arXiv:1710.10723);
- beside it a near miss: one of the passages of the same article that BM25 puts first for the
  question among those that lack the answer, as retrieval would bring it;
- the annotated passage and a question that it does not answer: one of our own twins
  (`train/twins.py`), or one that was spoilt by rules (`train/spoilt.py`).
"""

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from corpus.bm25 import Bm25
from corpus.readers import read_source
from mlx_toy.reader_input import (
    PASSAGE_TOKENS,
    QUESTION_TOKENS,
    Pair,
    PairBatch,
    Text,
    Vocabulary,
    to_batch,
)
from train.hard_negatives import COMMON
from train.retrieval_data import is_held_out, sources
from train.spoilt import Article, spoil
from train.twins import read_twins

SOURCES = ("qa/squad_train", "qa/fairytaleqa_train", "qa/adversarial_qa", "qa/quoref")
DEPTH = 8  # how far down BM25's ranking a near miss may be
NEAR_MISSES = 3  # of a question that are kept
POOL = 48  # times as many groups as a batch has pairs are sorted by length together


@dataclass(frozen=True)
class Question:
    """A question with the passages that it may be put to.

    Attributes:
        article: title.
        text: as it was asked.
        passage: the annotated one.
        answers: the right ones; none if the passage does not answer.
        near_misses: passages of the article that lack them, the nearest first.
        is_twin: it is one of our own (`train/twins.py`).
    """

    article: str
    text: str
    passage: str
    answers: tuple[str, ...]
    near_misses: tuple[str, ...] = ()
    is_twin: bool = False


@dataclass(frozen=True)
class Example:
    """A pair, and the places where its answers begin and end: tokens [A, 2], of none [0, 2]."""

    pair: Pair
    places: np.ndarray


Group = list[Example]  # of one question: the passage that answers it first, then near misses


def read_questions(data: Path) -> tuple[list[Question], list[Question]]:
    """Questions to train on, and those of held-out articles; unanswerable ones are twins."""
    records: list[dict[str, Any]] = []
    for source in sources(SOURCES):
        records += [record for record in read_source(source, data) if record["answers"]]
    records += read_twins(records)
    articles: dict[str, list[dict[str, Any]]] = {}
    for number, record in enumerate(records):
        articles.setdefault(str(record["title"] or number), []).append(record)
    trained: list[Question] = []
    held_out: list[Question] = []
    for title, of_article in articles.items():
        (held_out if is_held_out(title) else trained).extend(_questions(title, of_article))
    return trained, held_out


def _questions(title: str, records: Sequence[dict[str, Any]]) -> Iterator[Question]:
    passages = list(dict.fromkeys(record["context"] for record in records))
    lowered = [passage.lower() for passage in passages]
    index = Bm25(passages, COMMON)
    for record in records:
        wanted = [answer.lower() for answer in record["answers"]]
        lacking = (
            number
            for number in (index.best(record["question"], DEPTH) if wanted else ())
            if not any(answer in lowered[number] for answer in wanted)
        )
        yield Question(
            title,
            record["question"],
            record["context"],
            tuple(record["answers"]),
            tuple(passages[number] for number in islice(lacking, NEAR_MISSES)),
            bool(record.get("is_twin")),
        )


def places_of(answers: Sequence[str], passage: str, text: Text) -> np.ndarray:
    """First and last tokens of every place where an answer stands whole in a passage [A, 2]."""
    starts, ends = text.offsets[:, 0], text.offsets[:, 1]
    found = set()
    for answer in filter(None, map(str.strip, answers)):
        for match in re.finditer(re.escape(answer), passage, re.IGNORECASE):
            first = int(np.searchsorted(starts, match.start()))
            last = int(np.searchsorted(ends, match.end()))
            if last < len(ends) and (starts[first], ends[last]) == match.span():
                found.add((first, last))
    return np.array(sorted(found), np.int32).reshape(-1, 2)


class Examples:
    """Makes examples of questions.

    Args:
        questions: to draw from.
        vocabulary: of the reader.
    """

    def __init__(self, questions: Sequence[Question], vocabulary: Vocabulary) -> None:
        self.questions, self.vocabulary = questions, vocabulary
        self._texts: dict[str, Text] = {}
        by_title: dict[str, list[Question]] = {}
        for question in questions:
            by_title.setdefault(question.article, []).append(question)
        self._articles = {title: Article.of(each) for title, each in by_title.items()}

    def answered(self, question: Question) -> Example | None:
        """With its own passage; None if the answer does not stand in what is read of it."""
        places = places_of(question.answers, question.passage, self.text_of(question.passage))
        return self._example(question.text, question.passage, places) if len(places) else None

    def unanswered(self, question: Question, passage: str) -> Example:
        """With a passage that lacks the answer."""
        return self._example(question.text, passage)

    def spoilt(self, question: Question, draw: random.Random) -> Example | None:
        """With its own passage, but asking what that does not say."""
        text = spoil(question.text, question.passage, self._articles[question.article], draw)
        return self._example(text, question.passage) if text else None

    def text_of(self, passage: str) -> Text:
        """A passage cut into tokens; it is kept."""
        text = self._texts.get(passage)
        if text is None:
            text = self._texts[passage] = self.vocabulary.read(passage, PASSAGE_TOKENS)
        return text

    def _example(self, question: str, passage: str, places: np.ndarray | None = None) -> Example:
        asked = self.vocabulary.read(question, QUESTION_TOKENS)
        pair = self.vocabulary.pair(question, asked, self.text_of(passage))
        return Example(pair, np.zeros((0, 2), np.int32) if places is None else places)

    def drawn(
        self, near_misses: float, spoilt: float, twins: int, draw: random.Random
    ) -> Iterator[Group]:
        """One epoch in random order.

        Args:
            near_misses: share of the answerable questions that meet a near miss too.
            spoilt: share of them that are also asked spoilt.
            twins: how often each twin is asked.
            draw: decides.
        """
        asked = [q for q in self.questions for _ in range(twins if q.is_twin else 1)]
        for question in draw.sample(asked, len(asked)):
            if not question.answers:
                yield [self.unanswered(question, question.passage)]
                continue
            if answered := self.answered(question):
                beside: Group = []
                if question.near_misses and draw.random() < near_misses:
                    beside = [self.unanswered(question, draw.choice(question.near_misses))]
                yield [answered, *beside]
            if draw.random() < spoilt and (example := self.spoilt(question, draw)):
                yield [example]


def batches(
    groups: Iterator[Group], size: int, vocabulary: Vocabulary, draw: random.Random
) -> Iterator[tuple[PairBatch, list[np.ndarray], np.ndarray]]:
    """Batches of about `size` pairs of like length, in random order within a pool.

    Yields:
        the pairs, the places of each, and the number of each pair's group [B].
    """
    while pool := list(islice(groups, size * POOL)):
        draw.shuffle(pool)
        pool.sort(key=lambda group: max(len(example.pair.passage) for example in group))
        parts: list[list[Group]] = [[]]
        for group in pool:
            if sum(map(len, parts[-1])) >= size:
                parts.append([])
            parts[-1].append(group)
        draw.shuffle(parts)
        for part in parts:
            examples = [example for group in part for example in group]
            numbers = np.repeat(np.arange(len(part)), [len(group) for group in part])
            batch = to_batch([example.pair for example in examples], vocabulary)
            yield batch, [example.places for example in examples], numbers
