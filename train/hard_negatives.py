"""Passages that look right by their words and are not: the negatives worth learning from.

BM25 over the passages of a source, asked its own queries (Karpukhin et al. 2020, arXiv:2004.04906).
What it puts first and is not the query's own passage is a hard negative, unless it may answer the
query after all: it holds an answer to it, or bears the same query.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from mlx_toy.bag import words
from train.retrieval_data import Passage
from train.retrieval_metrics import BM25_B, BM25_K1

COMMON = 0.05  # a word in more of the passages than that is not looked up: it tells little


class WordIndex:
    """BM25 over passages by their rarer words, for very many queries.

    Args:
        texts: at least one; numbered in this order.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        numbers: dict[str, list[int]] = {}
        counts: dict[str, list[int]] = {}
        lengths = np.zeros(len(texts), np.float32)
        for number, text in enumerate(texts):
            found = words(text)
            lengths[number] = len(found)
            for word, count in Counter(found).items():
                numbers.setdefault(word, []).append(number)
                counts.setdefault(word, []).append(count)
        scale = BM25_K1 * (1 - BM25_B + BM25_B * lengths / max(1.0, lengths.mean()))
        most = max(1.0, COMMON * len(texts))
        self._size = len(texts)
        self._weights: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        for word, holders in numbers.items():
            if len(holders) <= most:
                index, count = np.array(holders), np.array(counts[word], np.float32)
                idf = np.log(1 + (len(texts) - len(index) + 0.5) / (len(index) + 0.5))
                self._weights[word] = index, idf * count * (BM25_K1 + 1) / (count + scale[index])

    def best(self, query: str, count: int) -> list[int]:
        """The numbers of the passages with the highest scores above 0, best first."""
        found = [self._weights[word] for word in set(words(query)) if word in self._weights]
        if not found:
            return []
        index = np.concatenate([index for index, _ in found])
        scores = np.bincount(index, np.concatenate([weight for _, weight in found]))
        candidates = np.unique(index)
        if len(candidates) > count:
            candidates = candidates[np.argpartition(-scores[candidates], count)[:count]]
        best: list[int] = candidates[np.argsort(-scores[candidates], kind="stable")].tolist()
        return best


def mine(passages: Sequence[Passage], count: int, depth: int) -> list[np.ndarray]:
    """Hard negatives of every query, in the order of the passages and of their queries.

    Args:
        passages: of one source.
        count: hard negatives a query, at most.
        depth: how far down BM25's ranking they may be.

    Returns:
        Numbers of passages, best first, for each query.
    """
    index = WordIndex([passage.text for passage in passages])
    lowered = [passage.text.lower() for passage in passages]
    mined = []
    for passage in passages:
        for place, query in enumerate(passage.queries):
            answers = passage.answers[place] if place < len(passage.answers) else []
            known = [answer.lower() for answer in answers if answer]
            wrong = [
                found
                for found in index.best(query, depth)
                if query not in passages[found].queries
                and not any(answer in lowered[found] for answer in known)
            ]
            mined.append(np.array(wrong[:count], np.int32))
    return mined
