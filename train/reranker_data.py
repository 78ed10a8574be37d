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
from mlx_toy.lexicon import MARK, SHAPE, STEM, WORD, Lexicon
from mlx_toy.reranker import NO_RANK, PASSAGE_TOKENS, Candidates
from train.retrieval_data import Groups

K1, B = 1.2, 0.75  # of BM25, as in the app's full-text index
# Words that the app's index leaves out as well, or nearly: they tell no passage from another.
STOP_WORDS = """a about after all also am an and any are as at be because been before but by can
could did do does for from had has have he her him his how i if in into is it its me more most my
no not of on only or other our out over own same she so some such than that the their them then
there these they this those through to too under until up very was we were what when where which
who whom whose why will with you your"""


class WordIndex:
    """BM25 over stems without stop words, as the app's full-text index scores them."""

    def __init__(self, texts: Sequence[str], lexicon: Lexicon) -> None:
        self._lexicon, self._size = lexicon, len(texts)
        stop = lexicon.look_up(lexicon.rows(STOP_WORDS, 200))[:, WORD]
        passages, stems = [], []
        for number, text in enumerate(texts):
            found = lexicon.look_up(lexicon.rows(text, PASSAGE_TOKENS))
            found = found[(found[:, SHAPE] != MARK) & ~np.isin(found[:, WORD], stop)]
            passages.append(np.full(len(found), number))
            stems.append(found[:, STEM].astype(np.int64))
        self._stop = stop
        passage, stem = np.concatenate(passages), np.concatenate(stems)
        lengths = np.bincount(passage, minlength=len(texts))
        keys, times = np.unique(stem * len(texts) + passage, return_counts=True)
        stem, passage = keys // len(texts), keys % len(texts)
        names, first, counts = np.unique(stem, return_index=True, return_counts=True)
        idf = np.repeat(np.log(1 + (len(texts) - counts + 0.5) / (counts + 0.5)), counts)
        scale = K1 * (1 - B + B * lengths[passage] / max(1.0, lengths.mean()))
        weight = (idf * times * (K1 + 1) / (times + scale)).astype(np.float32)
        self._weights = {
            int(name): (passage[a : a + n], weight[a : a + n])
            for name, a, n in zip(names, first, counts, strict=True)
        }

    def scores(self, question: str) -> np.ndarray:
        """The score of every passage [P]."""
        scores = np.zeros(self._size, np.float32)
        found = self._lexicon.look_up(self._lexicon.rows(question, PASSAGE_TOKENS))
        for stem in set(found[~np.isin(found[:, WORD], self._stop), STEM].tolist()):
            if stem in self._weights:
                index, weight = self._weights[stem]
                scores[index] += weight
        return scores


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


class TrainingLibrary:
    """Passages in memory with both searches of the app.

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
        self.texts, self.documents, places = [], [], []
        questions, right, of_group = [], [], []
        for number, (name, passages) in enumerate(groups.items()):
            for place, passage in enumerate(passages):
                questions += passage.queries
                right += [len(self.texts)] * len(passage.queries)
                of_group += [number] * len(passage.queries)
                heading = name.replace("_", " ") + "\n" if headings else ""
                self.texts.append(heading + passage.text)
                self.documents.append(f"{name}/{place}" if apart else name)
                places.append(0 if apart else place)
        self.places = np.array(places)
        self.asked = Asked(questions, np.array(right), np.array(of_group))
        self._embedder = embedder
        self._vectors = embedder.embed_passages(self.texts)  # [P, D]
        self._index = WordIndex(self.texts, lexicon)

    def searches(self, questions: list[str]) -> tuple[np.ndarray, list[np.ndarray]]:
        """Cosines [N, P] and scores [P] of each question."""
        cosines = self._embedder.embed_queries(questions) @ self._vectors.T
        return cosines, [self._index.scores(question) for question in questions]

    def candidates(
        self, cosine: np.ndarray, score: np.ndarray, count: int
    ) -> tuple[np.ndarray, Candidates]:
        """What the searches find for a question: numbers of passages [C], and the facts.

        Args:
            cosine, score: of every passage [P].
            count: how many each search finds at most.
        """
        by_vector = np.argsort(-cosine, kind="stable")[:count]
        by_text = np.argsort(-score, kind="stable")[:count]
        by_text = by_text[score[by_text] > 0]
        ranks = np.full((2, len(cosine)), NO_RANK, np.float32)
        ranks[0, by_vector] = np.arange(1, len(by_vector) + 1)
        ranks[1, by_text] = np.arange(1, len(by_text) + 1)
        chosen = np.union1d(by_vector, by_text)
        found = Candidates(
            [self.texts[i] for i in chosen],
            [self.documents[i] for i in chosen],
            self.places[chosen],
            cosine[chosen],
            ranks[0, chosen],
            ranks[1, chosen],
            np.where(ranks[1, chosen] < NO_RANK, score[chosen], 0.0).astype(np.float32),
        )
        return chosen, found


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
