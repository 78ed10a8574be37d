"""Passages that look right by their words and are not: the negatives worth learning from.

BM25 over the passages of a source, asked its own queries (Karpukhin et al. 2020, arXiv:2004.04906).
What it puts first and is not the query's own passage is a hard negative, unless it may answer the
query after all: it holds an answer to it, or bears the same query.
"""

from collections.abc import Sequence

import numpy as np

from corpus.bm25 import Bm25
from train.retrieval_data import Passage

COMMON = 0.05  # a word in more of the passages than that is not looked up: it tells little


def mine(passages: Sequence[Passage], count: int, depth: int) -> list[np.ndarray]:
    """Hard negatives of every query, in the order of the passages and of their queries.

    Args:
        passages: of one source.
        count: hard negatives a query, at most.
        depth: how far down BM25's ranking they may be.

    Returns:
        Numbers of passages, best first, for each query.
    """
    index = Bm25([passage.text for passage in passages], COMMON)
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
