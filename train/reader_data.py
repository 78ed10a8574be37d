"""What the reader learns from: questions with a passage that answers them, or that does not.

Drawn anew in every epoch:

- the annotated passage, with every place in it where an answer stands (the data does not keep the
  annotators' offsets; the sum over all places counts: Clark and Gardner 2018, arXiv:1710.10723);
- beside it a near miss: one of the passages of the same article that BM25 puts first for the
  question among those that lack the answer, as retrieval would bring it;
- the annotated passage and a question that it does not answer: one of our own twins
  (`train/twins.py`), or one that was spoilt by rules (`train/spoilt.py`);
- our own questions on everyday documents, answered or not (`train/everyday.py`).
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
    NO_SENTENCE,
    PASSAGE_TOKENS,
    QUESTION_TOKENS,
    Pair,
    PairBatch,
    Text,
    Vocabulary,
    to_batch,
)
from train.everyday import FILE as EVERYDAY
from train.everyday import Everyday, read_everyday
from train.gist_targets import GistTargets
from train.hard_negatives import COMMON
from train.retrieval_data import is_held_out, sources
from train.spoilt import Article, spoil
from train.twins import read_twins

SOURCES = ("qa/squad_train", "qa/fairytaleqa_train", "qa/adversarial_qa", "qa/quoref")
DEPTH = 8  # how far down BM25's ranking a near miss may be
HEADED = 0.5  # of the data's questions meet their passages below a heading
NEAR_MISSES = 3  # of a question that are kept
OF_DOCUMENT = 2  # of them at least from the same everyday document, if it has so many
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
        above_misses: what stands above each; () for the same as above the annotated one.
        is_twin: it is one of our own (`train/twins.py`).
        heading: what stands above the passage; the title of its article if nothing else.
        is_everyday: it is one of our own on everyday documents (`train/everyday.py`).
    """

    article: str
    text: str
    passage: str
    answers: tuple[str, ...]
    near_misses: tuple[str, ...] = ()
    above_misses: tuple[str, ...] = ()
    is_twin: bool = False
    heading: str = ""
    is_everyday: bool = False

    @property
    def is_ours(self) -> bool:
        """Whether it was written for this project."""
        return self.is_twin or self.is_everyday


@dataclass(frozen=True)
class Example:
    """A pair and what is right of it.

    Attributes:
        pair: a question and a passage.
        places: where its answers begin and end: tokens [A, 2], of none [0, 2].
        gist_targets: a teacher's vectors of the question and of each sentence of which a word is
            read [1 + S, G]; none without.
    """

    pair: Pair
    places: np.ndarray
    gist_targets: np.ndarray | None = None


Group = list[Example]  # of one question: the passage that answers it first, then near misses


def read_questions(data: Path, everyday: Path = EVERYDAY) -> tuple[list[Question], list[Question]]:
    """Questions to train on, and those of held-out articles; all unanswerable ones are our own.

    Args:
        data: directory with the training data.
        everyday: file of our own on everyday documents.
    """
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
    ours = list(read_everyday(everyday))
    for held, some in ((False, trained), (True, held_out)):
        some.extend(everyday_questions([one for one in ours if one.held_out == held]))
    return trained, held_out


def everyday_questions(asked: Sequence[Everyday]) -> list[Question]:
    """Our own on everyday documents.

    A near miss is another passage of the document, or of another one, that shares most words with
    the question.
    """
    above = {one.text: one.above for one in asked}
    passages = list(above)
    index = Bm25(passages, COMMON)
    of_document: dict[str, dict[str, None]] = {}
    for one in asked:
        of_document.setdefault(one.document, {})[one.text] = None
    within = {name: Bm25(list(texts), COMMON) for name, texts in of_document.items()}
    found = []
    for one in asked:
        answer = one.answer.lower()
        beside = list(of_document[one.document])
        others: list[str] = []
        if answer:
            others = [beside[n] for n in within[one.document].best(one.question, OF_DOCUMENT + 1)]
            others += [passages[n] for n in index.best(one.question, DEPTH)]
        lacking = (t for t in dict.fromkeys(others) if t != one.text and answer not in t.lower())
        misses = tuple(islice(lacking, NEAR_MISSES))
        found.append(
            Question(
                one.document,
                one.question,
                one.text,
                (one.answer,) if one.answer else (),
                misses,
                tuple(above[text] for text in misses),
                heading=one.above,
                is_everyday=True,
            )
        )
    return found


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
            is_twin=bool(record.get("is_twin")),
            heading=title.replace("_", " "),
        )


def places_of(answers: Sequence[str], passage: str, text: Text) -> np.ndarray:
    """First and last tokens of every place where an answer stands whole in a passage [A, 2]."""
    starts, ends = text.offsets[text.heading :, 0], text.offsets[text.heading :, 1]
    found = set()
    for answer in filter(None, map(str.strip, answers)):
        for match in re.finditer(re.escape(answer), passage, re.IGNORECASE):
            first = int(np.searchsorted(starts, match.start()))
            last = int(np.searchsorted(ends, match.end()))
            if last < len(ends) and (starts[first], ends[last]) == match.span():
                found.add((text.heading + first, text.heading + last))
    return np.array(sorted(found), np.int32).reshape(-1, 2)


class Examples:
    """Makes examples of questions.

    Args:
        questions: to draw from.
        vocabulary: of the reader.
        gist_targets: what a teacher says of the questions and of all sentences.
    """

    def __init__(
        self,
        questions: Sequence[Question],
        vocabulary: Vocabulary,
        gist_targets: GistTargets | None = None,
    ) -> None:
        self.questions, self.vocabulary, self.gist_targets = questions, vocabulary, gist_targets
        self._texts: dict[tuple[str, str], Text] = {}
        by_title: dict[str, list[Question]] = {}
        for question in questions:
            by_title.setdefault(question.article, []).append(question)
        self._articles = {title: Article.of(each) for title, each in by_title.items()}

    def answered(self, question: Question, heading: str = "") -> Example | None:
        """With its own passage; None if the answer does not stand in what is read of it."""
        text = self.text_of(question.passage, heading)
        places = places_of(question.answers, question.passage, text)
        return self._example(question.text, question.passage, text, places) if len(places) else None

    def unanswered(self, question: Question, passage: str, heading: str = "") -> Example:
        """With a passage that lacks the answer."""
        return self._example(question.text, passage, self.text_of(passage, heading))

    def spoilt(self, question: Question, draw: random.Random, heading: str = "") -> Example | None:
        """With its own passage, but asking what that does not say."""
        text = spoil(question.text, question.passage, self._articles[question.article], draw)
        if not text:
            return None
        return self._example(text, question.passage, self.text_of(question.passage, heading))

    def text_of(self, passage: str, heading: str = "") -> Text:
        """A passage cut into tokens, below its heading; it is kept."""
        text = self._texts.get((passage, heading))
        if text is None:
            text = self.vocabulary.read(passage, PASSAGE_TOKENS, heading)
            self._texts[passage, heading] = text
        return text

    def _example(
        self, question: str, passage: str, text: Text, places: np.ndarray | None = None
    ) -> Example:
        asked = self.vocabulary.read(question, QUESTION_TOKENS)
        pair = self.vocabulary.pair(question, asked, text)
        known = None
        if self.gist_targets is not None:
            spans = text.spans[: pair.sentences.max(initial=NO_SENTENCE) + 1]
            known = self.gist_targets.of(question, [passage[start:end] for start, end in spans])
        return Example(pair, np.zeros((0, 2), np.int32) if places is None else places, known)

    def drawn(
        self, near_misses: float, spoilt: float, ours: int, draw: random.Random
    ) -> Iterator[Group]:
        """One epoch in random order; everyday documents have their headings, half of the rest too.

        Args:
            near_misses: share of the answerable questions that meet a near miss too.
            spoilt: share of them that are also asked spoilt.
            ours: how often each question of our own is asked.
            draw: decides.
        """
        asked = [q for q in self.questions for _ in range(ours if q.is_ours else 1)]
        for question in draw.sample(asked, len(asked)):
            headed = question.is_everyday or draw.random() < HEADED
            heading = question.heading if headed else ""
            if not question.answers:
                yield [self.unanswered(question, question.passage, heading)]
                continue
            if answered := self.answered(question, heading):
                beside: Group = []
                if question.near_misses and draw.random() < near_misses:
                    number = draw.randrange(len(question.near_misses))
                    above = question.above_misses[number] if question.above_misses else heading
                    beside = [self.unanswered(question, question.near_misses[number], above)]
                yield [answered, *beside]
            if draw.random() < spoilt and (example := self.spoilt(question, draw, heading)):
                yield [example]


@dataclass(frozen=True)
class TrainingBatch:
    """Pairs that are learned from together, B of them.

    Attributes:
        pairs: what is read of them.
        places: of each, as in `Example`.
        groups: number of each pair's group [B]; the pairs of a group have one question.
        gist_targets: a teacher's vectors of the questions and the sentences [B, 1 + S, G], 0
            where there is none; none where it knows none of the pairs.
    """

    pairs: PairBatch
    places: list[np.ndarray]
    groups: np.ndarray
    gist_targets: np.ndarray | None


def batches(
    groups: Iterator[Group], size: int, vocabulary: Vocabulary, draw: random.Random
) -> Iterator[TrainingBatch]:
    """Batches of about `size` pairs of like length, in random order within a pool."""
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
            yield TrainingBatch(
                to_batch([example.pair for example in examples], vocabulary),
                [example.places for example in examples],
                numbers,
                _together([example.gist_targets for example in examples]),
            )


def _together(targets: Sequence[np.ndarray | None]) -> np.ndarray | None:
    """Gist targets of the pairs as one array [B, 1 + S, G]."""
    known = [vectors for vectors in targets if vectors is not None]
    if not known:
        return None
    together = np.zeros((len(targets), max(map(len, known)), known[0].shape[1]), np.float32)
    for row, vectors in enumerate(targets):
        if vectors is not None:
            together[row, : len(vectors)] = vectors
    return together
