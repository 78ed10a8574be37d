"""Rank texts by the words that they share with a query (BM25; Robertson and Zaragoza 2009)."""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np

K1, B = 1.2, 0.75  # how soon a repeated word stops counting; how much a long text is discounted
_WORD = re.compile(r"\w+")


class Bm25:
    """An index of a few hundred texts.

    Args:
        texts: what to rank.
    """

    def __init__(self, texts: Sequence[str]):
        counts = [Counter(_WORD.findall(text.lower())) for text in texts]
        lengths = np.array([sum(count.values()) for count in counts])
        self._discount = K1 * (1 - B + B * lengths / max(1.0, lengths.mean() if len(texts) else 1))
        self._postings: dict[str, list[tuple[int, int]]] = defaultdict(list)
        for index, count in enumerate(counts):
            for word, times in count.items():
                self._postings[word].append((index, times))
        self._texts = len(texts)

    def ranking(self, query: str) -> list[int]:
        """Indices of all texts, the best first; of equals the earlier first."""
        scores = np.zeros(self._texts)
        for word in set(_WORD.findall(query.lower())):
            found = self._postings.get(word, ())
            rarity = math.log(1 + (self._texts - len(found) + 0.5) / (len(found) + 0.5))
            for index, times in found:
                scores[index] += rarity * times * (K1 + 1) / (times + self._discount[index])
        return np.argsort(-scores, kind="stable").tolist()
