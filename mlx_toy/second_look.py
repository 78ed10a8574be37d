"""Let the reader look at the best passages before their order is final.

The searches and the reranker compare words. Whether a passage answers is what the reader is trained
to tell, so the odds of its best words there are added to the score of the passages that lie in
front, and how near in meaning their nearest sentence comes to the question. The same sum decides
between words of several passages (`Standing`): a reader alone finds a likely answer in many
passages that are about something else. (Retriever and reader interpolated: Yang et al. 2019,
arXiv:1902.01718.)
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from mlx_toy.given import scores_among
from mlx_toy.lexicon import may_ask
from mlx_toy.reader import Reading, bundled_reader
from mlx_toy.rows import Hit

READ = 8  # passages: a few more than those that an answer is chosen from by default
NATS = 4.0  # of the reader that a point of the reranker's score is worth; 3 to 6 are as good
NEARNESS = 4.0  # points of that score for a sentence that means the same; 4 to 8 are as good
FEW = 6  # passages: from so many on the reranker's relevance counts
LEAST = -15.0  # nats: a passage that is less likely to answer is no worse
NEAR = -2.0  # nats: from there on a passage may answer, whatever the search says of it
UNLIKELY = 1e-3  # a relevance beyond this, or its complement, says no more


@dataclass(frozen=True)
class Standing:
    """What the search says of a passage, beside the reader's odds.

    Attributes:
        prior: what speaks for it against the others that were found, in nats.
        relevance: natural logarithm of the odds that it holds an answer, by the reranker; it
            compares between questions. None where there was too little to compare it with.
        nearness: as in `Hit`; -1 where the reader was not asked.
    """

    prior: float
    relevance: float | None
    nearness: float


def look_again(question: str, hits: Sequence[Hit]) -> list[Hit]:
    """The hits in a better order, with `odds`, `nearness` and `score` of those that were read.

    Args:
        question: any text; where it asks nothing, the reader has nothing to say to the order.
        hits: from the reranker, the best first.
    """
    first, rest = list(hits[:READ]), list(hits[READ:])
    if not first or not may_ask(question):
        return [*first, *rest]
    texts, headings = [hit.text for hit in first], [hit.heading for hit in first]
    readings = bundled_reader().readings(question, texts, headings)
    read = [_read(hit, reading) for hit, reading in zip(first, readings, strict=True)]
    return [*sorted(read, key=lambda hit: -hit.score), *rest]


def _read(hit: Hit, reading: Reading) -> Hit:
    odds = max(LEAST, reading.odds)
    score = hit.score + odds / NATS + NEARNESS * reading.nearness
    return replace(hit, odds=odds, nearness=reading.nearness, score=score)


def standing(hit: Hit, found: int) -> Standing:
    """What the search says of a passage that it found among so many.

    The reranker compares the passages of a question with each other, and learned with many: of a
    library of a few passages it says too little.
    """
    prior = NATS * hit.score - (hit.odds or 0.0)
    nearness = -1.0 if hit.nearness is None else hit.nearness
    if found < FEW:
        return Standing(prior, None, nearness)
    relevance = min(max(hit.relevance or 0.0, UNLIKELY), 1 - UNLIKELY)
    return Standing(prior, math.log(relevance / (1 - relevance)), nearness)


def priors(
    question: str,
    passages: Sequence[str],
    headings: Sequence[str] = (),
    standings: Sequence[Standing] = (),
) -> list[float]:
    """What speaks for each passage beside the reader's odds, in nats.

    Of passages that were found, what the search says; else what it would say if they were all that
    it had to look in.

    Args:
        question, passages: what is read.
        headings: what stands above each passage.
        standings: one for each; none of passages that were given, or found with other words.
    """
    if standings:
        return [one.prior for one in standings]
    if len(passages) < 2:
        return [0.0] * len(passages)
    scores = scores_among(question, passages, headings)
    readings = bundled_reader().readings(question, passages, headings)
    return [
        NATS * (score + NEARNESS * reading.nearness)
        for score, reading in zip(scores, readings, strict=True)
    ]
