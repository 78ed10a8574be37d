"""What the reranker learns from: libraries of training passages, and what is found for questions.

Why libraries: the hardest passages to tell from the right one are those that the two searches put
beside it, and in use they come from whatever one person keeps: some articles or stories. So the
groups of a source are dealt into libraries of that size. In some of them each passage bears the
title of its article as its heading, in some each passage is a document of its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mlx_toy.embedder import Embedder
from mlx_toy.lexicon import Lexicon
from mlx_toy.search_in_memory import SearchInMemory
from train.retrieval_data import Groups


@dataclass
class Asked:
    """Questions asked of a library, and the passages that answer them.

    Attributes:
        questions: N of them.
        right: the number of each one's passage; -1 for one that the library cannot answer [N].
        groups: the number of the group that each is about [N].
    """

    questions: list[str]
    right: np.ndarray
    groups: np.ndarray


class TrainingLibrary(SearchInMemory):
    """Passages with the questions that they answer.

    Args:
        groups: of passages; each a document.
        embedder: makes the vectors.
        lexicon: of the words.
        headings: whether each passage bears its group's name.
        apart: whether each passage is a document of its own.
    """

    def __init__(
        self,
        groups: Groups,
        embedder: Embedder,
        lexicon: Lexicon,
        headings: bool = False,
        apart: bool = False,
    ) -> None:
        texts: list[str] = []
        documents: list[str] = []
        places: list[int] = []
        questions, right, of_group = [], [], []
        for number, (name, passages) in enumerate(groups.items()):
            for place, passage in enumerate(passages):
                questions += passage.queries
                right += [len(texts)] * len(passage.queries)
                of_group += [number] * len(passage.queries)
                heading = name.replace("_", " ") + "\n" if headings else ""
                texts.append(heading + passage.text)
                documents.append(f"{name}/{place}" if apart else name)
                places.append(0 if apart else place)
        super().__init__(texts, documents, places, embedder, lexicon)
        self.asked = Asked(questions, np.array(right), np.array(of_group))


def deal(groups: Groups, size: int, random: np.random.Generator) -> list[Groups]:
    """Groups dealt into libraries of about `size` passages; a rest that fills no half is left."""
    libraries: list[Groups] = []
    current: Groups = {}
    names, passages = list(groups), 0
    for index in random.permutation(len(names)):
        current[names[index]] = groups[names[index]]
        passages += len(groups[names[index]])
        if passages >= size:
            libraries.append(current)
            current, passages = {}, 0
    if passages > size // 2 or not libraries:
        libraries.append(current)
    return libraries


def sample(asked: Asked, count: int, random: np.random.Generator) -> Asked:
    """At most `count` of the questions."""
    if len(asked.questions) <= count:
        return asked
    chosen = np.sort(random.choice(len(asked.questions), count, replace=False))
    return Asked([asked.questions[i] for i in chosen], asked.right[chosen], asked.groups[chosen])


def foreign(asked: Asked, count: int, random: np.random.Generator) -> Asked:
    """Questions of another library, that this one cannot answer."""
    other = sample(asked, count, random)
    none = np.full(len(other.questions), -1)
    return Asked(other.questions, none, none)


def together(parts: Sequence[Asked]) -> Asked:
    """Several lists of questions as one."""
    return Asked(
        [question for part in parts for question in part.questions],
        np.concatenate([part.right for part in parts]),
        np.concatenate([part.groups for part in parts]),
    )
