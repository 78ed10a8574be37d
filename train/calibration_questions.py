"""Questions that decide when the app answers, with passages that answer them or do not.

They come from the SQuAD training articles that the retriever was not trained on, each twice: with
the passage that answers it, and with the passages of the same article that share most words with it
but lack the answer, as retrieval would bring them. Our own twins on those articles
(`train/twins.py`) are asked of the passage that they were written for, which answers one of two,
and so are our own questions on everyday documents that the reader has not seen
(`train/everyday.py`), the passages below their headings.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from corpus.readers import read_json_lines
from mlx_toy.errors import UserError
from mlx_toy.evidence import missing
from mlx_toy.second_look import Standing
from train.everyday import read_everyday
from train.retrieval_data import is_held_out
from train.twins import read_twins

SOURCE = "qa/squad_train"
SHOWN = (1, 3)  # passages put before the model, in turn: one as in tests, three as in the app


@dataclass(frozen=True)
class Item:
    """A question with passages that answer it or do not.

    Attributes:
        article: its title.
        question: as it was asked.
        passages: what the model reads.
        answers: the right ones; empty if the passages have none.
        is_twin: it is one of our own on an article.
        is_everyday: it is one of our own on an everyday document.
        headings: what stands above each passage; [] for nothing.
        standings: what the search says of each; [] of passages that were given.
    """

    article: str
    question: str
    passages: list[str]
    answers: list[str]
    is_twin: bool = False
    is_everyday: bool = False
    headings: list[str] = field(default_factory=list)
    standings: list[Standing] = field(default_factory=list)


def read_items(data: Path, questions: int, seed: int = 0) -> Iterator[Item]:
    """Questions of held-out articles, each with passages that answer it and with some that do not.

    After them as many twins, and as many on everyday documents, where there are so many.

    Raises:
        UserError: the data has no SQuAD training questions.
    """
    articles: dict[str, list[dict[str, Any]]] = {}
    for record in read_json_lines(data / f"{SOURCE}.jsonl.xz"):
        if is_held_out(str(record["title"])):
            articles.setdefault(record["title"], []).append(record)
    chosen = [record for records in articles.values() for record in records]
    if not chosen:
        raise UserError(f"{data} has no articles of {SOURCE} to calibrate on")
    draw = random.Random(seed)
    draw.shuffle(chosen)
    twins = read_twins(chosen)
    draw.shuffle(twins)
    for number, record in enumerate([*chosen[:questions], *twins[:questions]]):
        title, question, answers = record["title"], record["question"], record["answers"]
        shown = SHOWN[number % len(SHOWN)]
        others = sorted({other["context"] for other in articles[title]} - {record["context"]})
        lowered = [answer.lower() for answer in answers]
        others = [other for other in others if not any(a in other.lower() for a in lowered)]
        others.sort(key=lambda other: missing(question, other).share)
        is_twin = bool(record.get("is_twin"))
        yield Item(title, question, [record["context"], *others[: shown - 1]], answers, is_twin)
        if others and not is_twin:
            yield Item(title, question, others[:shown], [])
    yield from _everyday_items(questions, draw)


def _everyday_items(questions: int, draw: random.Random) -> Iterator[Item]:
    every = list(read_everyday())
    above = {one.text: one.above for one in every}
    chosen = [one for one in every if one.held_out]
    draw.shuffle(chosen)
    for number, one in enumerate(chosen[:questions]):
        others = [t for t in above if t != one.text and not (one.answer and one.answer in t)]
        others.sort(key=lambda text: missing(one.question, text).share)
        shown = [one.text, *others[: SHOWN[number % len(SHOWN)] - 1]]
        answers = [one.answer] if one.answer else []
        headings = [above[text] for text in shown]
        yield Item(one.document, one.question, shown, answers, is_everyday=True, headings=headings)
