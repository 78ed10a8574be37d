"""Row "citations": does the app cite the passage that holds the answer, among four?

The other three are what a search would bring: the best by BM25 of the same article, without those
that hold a gold answer too. The order of the four is drawn with a fixed seed.
"""

import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from corpus.bm25 import Bm25
from train.evaluation.figure import Figure, share
from train.evaluation.questions import SET, ask, holds, shuffled
from train.evaluation.subject import Subject

DISTRACTORS = 3
CITED = f"{SET}.cited_holds_answer"
CITED_IF_ANSWERED = f"{SET}.cited_holds_answer_when_answered"
_HOW = (
    "the cited passage is the gold one, beside the three passages of its article that BM25 ranks "
    "highest for the question and that hold no gold answer; not answering counts as wrong"
)
_HOW_ANSWERED = "the same, of those that were answered"


def measure(subject: Subject) -> dict[str, Figure]:
    """Share of answerable questions whose citation is right."""
    chosen = list(four_passages(shuffled(subject.data), subject.sizes.citations))
    asked = [(record["question"], passages) for record, passages in chosen]
    right, answered = [], []
    answers = ask(subject.engine, asked, "citations")
    for answer, (record, passages) in zip(answers, chosen, strict=True):
        cited = [passages[number - 1] for number in answer.citations]
        hit = bool(cited) and all(holds(passage, record["answers"]) for passage in cited)
        right.append(hit)
        if not answer.abstained:
            answered.append(hit)
    return {
        CITED: share(right, "answerable questions", _HOW),
        CITED_IF_ANSWERED: share(answered, "answered questions", _HOW_ANSWERED),
    }


def four_passages(
    records: Sequence[dict[str, Any]], count: int
) -> Iterator[tuple[dict[str, Any], list[str]]]:
    """The first answerable questions, each with its gold passage among three others.

    Articles too short for three others are left out.
    """
    articles: dict[str, list[str]] = defaultdict(list)
    for context, title in {r["context"]: r["title"] for r in records}.items():
        articles[title].append(context)
    indexes = {title: Bm25(passages) for title, passages in articles.items()}
    dice = random.Random(0)
    for record in records:
        if count == 0:
            return
        if not record["answers"]:
            continue
        passages = articles[record["title"]]
        ranked = (passages[i] for i in indexes[record["title"]].ranking(record["question"]))
        others = [text for text in ranked if not holds(text, record["answers"])][:DISTRACTORS]
        if len(others) < DISTRACTORS:
            continue
        mixed = [record["context"], *others]
        dice.shuffle(mixed)
        yield record, mixed
        count -= 1
