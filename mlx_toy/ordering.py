"""The order of the passages that a search found: the reranker, and then the reader.

A question that leans on the conversation is looked up with words of what was said before
(`followup.py`). They lead to the right document, and there back to the sentence that answered
before: so the order goes by the question as it was typed, first of all, and by the whole query
beside it. `bench/followup.py` measures that.
"""

from collections.abc import Sequence
from dataclasses import replace

from mlx_toy.reranker import Reranker
from mlx_toy.rows import Hit
from mlx_toy.second_look import look_again

LEANT_ON = 1 / 3  # weight of the query beside the question that leans on it; .25 to .4 are as good


def in_order(reranker: Reranker, question: str, hits: Sequence[Hit], query: str = "") -> list[Hit]:
    """The hits in a better order, with `score`, `relevance` and `odds`.

    Args:
        reranker: reads all of them.
        question: as it was typed.
        hits: as the searches found them, best first.
        query: what they were found with, if the question leans on the conversation.
    """
    ordered = reranker(question, hits)
    if query and query != question:
        by_query = {_place(hit): hit for hit in reranker(query, hits)}
        mixed = [_mixed(hit, by_query[_place(hit)]) for hit in ordered]
        ordered = sorted(mixed, key=lambda hit: -hit.score)
    return look_again(question, ordered)


def _place(hit: Hit) -> tuple[str, int]:
    return hit.document_id, hit.start


def _mixed(hit: Hit, by_query: Hit) -> Hit:
    score = (1 - LEANT_ON) * hit.score + LEANT_ON * by_query.score
    relevance = max(hit.relevance or 0.0, by_query.relevance or 0.0)
    return replace(hit, score=score, relevance=relevance)
