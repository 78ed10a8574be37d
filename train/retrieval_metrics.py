"""How well a retriever finds: recall at k and mean reciprocal rank, beside BM25 and fused with it.

One library is all passages of the groups; each question has one passage that is right. BM25 as in
Robertson and Zaragoza 2009, over the same words that the retriever sees, without stemming. Two ways
to fuse: by reciprocal rank (Cormack et al. 2009), and by the sum of the scores, which keeps how
sure each of the two is.
"""

import math
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np

from corpus.bm25 import Bm25
from train.retrieval_data import Groups, library_of

CUTOFFS = (1, 5, 10)
LIBRARY = 6  # passages that a group has at least where each is a library
WAYS = ("vectors", "bm25", "fused", "summed")  # to rank
FUSION_K = 10  # a rank r counts 1 / (K + r)
COSINE_WEIGHT = 20.0  # BM25 points a cosine of 1 is worth; the best of 5 to 40 on held-out articles


def bm25_scores(passages: Sequence[str], questions: Sequence[str]) -> np.ndarray:
    """Scores [Q, P]."""
    index = Bm25(passages)
    return np.stack([index.scores(question) for question in questions])


def ranks(scores: np.ndarray) -> np.ndarray:
    """Ranks [Q, P] from 1, ties by position."""
    order = np.argsort(-scores, axis=1, kind="stable")
    result = np.empty_like(order)
    np.put_along_axis(result, order, np.arange(1, scores.shape[1] + 1)[None], axis=1)
    return result


def rank_of_right(ranked: Sequence[int], right: Collection[int]) -> float:
    """The place, from 1, of the first passage that is right; infinite if none was found."""
    return next((place for place, found in enumerate(ranked, 1) if found in right), math.inf)


def figures(
    ranks_of_right: np.ndarray | Sequence[float], cutoffs: Sequence[int] = CUTOFFS
) -> dict[str, float]:
    """Recall at each cutoff and mean reciprocal rank, rounded to four places."""
    places = np.asarray(ranks_of_right, np.float64)
    found = {f"recall@{k}": float((places <= k).mean()) for k in cutoffs}
    found["mrr"] = float((1 / places).mean())
    return {name: round(value, 4) for name, value in found.items()}


def evaluate(embedder: Any, groups: Groups) -> dict[str, Any]:
    """Figures of the embedder, of BM25, and of both fused, on all questions of the groups."""
    passages, questions, right = library_of(groups)
    return evaluate_library(embedder, passages, questions, [[number] for number in right])


def evaluate_library(
    embedder: Any,
    passages: Sequence[str],
    questions: Sequence[str],
    right: Sequence[Collection[int]],
) -> dict[str, Any]:
    """The same for questions any of whose right passages [Q] is to be found."""
    sizes = {"passages": len(passages), "questions": len(questions)}
    if not questions:
        return sizes
    places = _places(embedder, passages, questions, right)
    return {**sizes, **{way: figures(found) for way, found in places.items()}}


def evaluate_apart(embedder: Any, groups: Groups) -> dict[str, Any]:
    """The same where each group of `LIBRARY` passages or more is a library of its own."""
    parts, passages = [], 0
    for group in groups.values():
        texts, questions, right = library_of({"": group})
        if len(texts) >= LIBRARY and questions:
            passages += len(texts)
            parts.append(_places(embedder, texts, questions, [[number] for number in right]))
    ways = {way: [place for part in parts for place in part[way]] for way in WAYS} if parts else {}
    return {
        "passages": passages,
        "questions": len(ways.get(WAYS[0], ())),
        **{way: figures(found) for way, found in ways.items()},
    }


def _places(
    embedder: Any,
    passages: Sequence[str],
    questions: Sequence[str],
    right: Sequence[Collection[int]],
) -> dict[str, list[int]]:
    """Where each way to rank puts the first right passage of each question, from 1."""
    cosines = embedder.embed_queries(questions) @ embedder.embed_passages(passages).T  # [Q, P]
    scores = bm25_scores(passages, questions)  # [Q, P]
    by_vector, by_words = ranks(cosines), ranks(scores)
    by_rank = ranks(1 / (FUSION_K + by_vector) + 1 / (FUSION_K + by_words))
    ranked = (by_vector, by_words, by_rank, ranks(scores + COSINE_WEIGHT * cosines))
    return {
        way: [int(placed[row, list(right[row])].min()) for row in range(len(right))]
        for way, placed in zip(WAYS, ranked, strict=True)
    }
