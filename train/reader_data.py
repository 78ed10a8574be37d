"""What the reader learns from: questions with a passage that answers them, or that does not.

Three kinds, drawn anew in every epoch:

- the annotated passage, with every place in it where an answer stands (the data does not keep the
  annotators' offsets; the sum over all places counts: Clark and Gardner 2018, arXiv:1710.10723);
- a near miss: the passage of the same article that BM25 puts first for the question among those
  that lack the answer, as retrieval would bring it;
- the annotated passage and a question that was spoilt so that it no longer answers it
  (`train/spoilt.py`).
"""

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
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

SOURCES = ("qa/squad_train", "qa/fairytaleqa_train", "qa/adversarial_qa", "qa/quoref")
DEPTH = 8  # how far down BM25's ranking a near miss may be
POOL = 64  # batches whose pairs are sorted by length together


@dataclass(frozen=True)
class Question:
    """A question with the passages that it may be put to.

    Attributes:
        article: title.
        text: as it was asked.
        passage: the annotated one.
        answers: the right ones.
        near_miss: a passage of the article that lacks them; "" if there is none.
    """

    article: str
    text: str
    passage: str
    answers: tuple[str, ...]
    near_miss: str = ""


@dataclass(frozen=True)
class Example:
    """A pair, and the places where its answers begin and end: tokens [A, 2], of none [0, 2]."""

    pair: Pair
    places: np.ndarray


def read_questions(data: Path) -> tuple[list[Question], list[Question]]:
    """Answerable questions to train on, and those of held-out articles."""
    records: list[dict[str, Any]] = []
    for source in sources(SOURCES):
        records += [record for record in read_source(source, data) if record["answers"]]
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
        answers = tuple(record["answers"])
        wanted = [answer.lower() for answer in answers]
        near_miss = next(
            (
                passages[number]
                for number in index.best(record["question"], DEPTH)
                if not any(answer in lowered[number] for answer in wanted)
            ),
            "",
        )
        yield Question(title, record["question"], record["context"], answers, near_miss)


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

    def near_miss(self, question: Question) -> Example | None:
        """With a passage that lacks the answer."""
        return self._example(question.text, question.near_miss) if question.near_miss else None

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

    def drawn(self, near_misses: float, spoilt: float, draw: random.Random) -> Iterator[Example]:
        """One epoch in random order: every question, and unanswerable ones beside a share of them.

        Args:
            near_misses: share of the questions that also meet a near miss.
            spoilt: share of the questions that are also asked spoilt.
            draw: decides.
        """
        for question in draw.sample(self.questions, len(self.questions)):
            made = [self.answered(question)]
            if draw.random() < near_misses:
                made.append(self.near_miss(question))
            if draw.random() < spoilt:
                made.append(self.spoilt(question, draw))
            yield from filter(None, made)


def batches(
    examples: Iterator[Example], size: int, vocabulary: Vocabulary, draw: random.Random
) -> Iterator[tuple[PairBatch, list[np.ndarray]]]:
    """Batches of pairs of like length, in random order within a pool, with their places."""
    pool: list[Example] = []
    done = False
    while not done:
        for example in examples:
            pool.append(example)
            if len(pool) == size * POOL:
                break
        else:
            done = True
        draw.shuffle(pool)
        pool.sort(key=lambda example: len(example.pair.passage))
        parts = [pool[i : i + size] for i in range(0, len(pool), size)]
        draw.shuffle(parts)
        for part in parts:
            if len(part) == size or done:
                batch = to_batch([example.pair for example in part], vocabulary)
                yield batch, [example.places for example in part]
        pool = []
