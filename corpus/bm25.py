"""Rank texts by the words that they share with a query (BM25; Robertson and Zaragoza 2009)."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from mlx_toy.words import words

K1, B = 1.2, 0.75  # how soon a repeated word stops counting; how much a long text is discounted


class Bm25:
    """An index of texts by their words, as they stand, without marks.

    Args:
        texts: what to rank; they are numbered in this order.
        common: a word in more than this share of the texts is not looked up: it tells little, and
            very many queries are then answered fast.
    """

    def __init__(self, texts: Sequence[str], common: float = 1.0) -> None:
        numbers: dict[str, list[int]] = {}
        counts: dict[str, list[int]] = {}
        lengths = np.zeros(len(texts), np.float32)
        for number, text in enumerate(texts):
            found = _telling(text)
            lengths[number] = len(found)
            for word, count in Counter(found).items():
                numbers.setdefault(word, []).append(number)
                counts.setdefault(word, []).append(count)
        scale = K1 * (1 - B + B * lengths / max(1.0, lengths.mean() if len(texts) else 1.0))
        most = max(1.0, common * len(texts))
        self._size = len(texts)
        self._weights: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        for word, holders in numbers.items():
            if len(holders) <= most:
                index, times = np.array(holders), np.array(counts[word], np.float32)
                idf = np.log(1 + (len(texts) - len(index) + 0.5) / (len(index) + 0.5))
                self._weights[word] = index, idf * times * (K1 + 1) / (times + scale[index])

    def scores(self, query: str) -> np.ndarray:
        """The score of every text, [N]; 0 for one that shares no word with the query."""
        scores = np.zeros(self._size, np.float32)
        for word in sorted(set(_telling(query)) & self._weights.keys()):
            index, weight = self._weights[word]
            scores[index] += weight
        return scores

    def ranking(self, query: str) -> list[int]:
        """The numbers of all texts, the best first; of equals the earlier first."""
        return np.argsort(-self.scores(query), kind="stable").tolist()

    def best(self, query: str, count: int) -> list[int]:
        """The numbers of at most `count` texts that share a word with the query, best first."""
        found = [self._weights[w] for w in sorted(set(_telling(query)) & self._weights.keys())]
        if not found:
            return []
        index = np.concatenate([index for index, _ in found])
        scores = np.bincount(index, np.concatenate([weight for _, weight in found]))
        candidates = np.unique(index)
        if len(candidates) > count:
            candidates = candidates[np.argpartition(-scores[candidates], count)[:count]]
        best: list[int] = candidates[np.argsort(-scores[candidates], kind="stable")].tolist()
        return best


def _telling(text: str) -> list[str]:
    return [word for word in words(text) if word[0].isalnum()]
