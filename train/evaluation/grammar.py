"""Row "grammar": does a model prefer the sentence that is English to the one that is not?

BLiMP (Warstadt et al. 2020, arXiv:1912.00582): pairs of sentences that differ in one point of
grammar. A model is right when the summed log-probability of the good one is larger; equal is wrong.
"""

import random
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from train.evaluation.figure import Figure, share
from train.evaluation.subject import Score, Subject, held_out

SET = "blimp_public"
ACCURACY = f"{SET}.accuracy"
HOW = "summed log-probability of the good sentence larger than that of the bad one"
_SEED = 0


def measure(subject: Subject) -> dict[str, Figure]:
    """Accuracy over all pairs, and by phenomenon."""
    return grammar_figures(subject.score, subject.data, subject.sizes.pairs)


def grammar_figures(score: Score, data: Path, pairs: int) -> dict[str, Figure]:
    """Accuracy by any function that scores texts."""
    chosen = choose(list(held_out(data, SET)), pairs)
    nats = score([pair[side] for pair in chosen for side in ("good", "bad")], SET)
    right = [good < bad for good, bad in zip(nats[::2], nats[1::2], strict=True)]
    by_term: dict[str, list[bool]] = defaultdict(list)
    for pair, hit in zip(chosen, right, strict=True):
        by_term[pair["term"]].append(hit)
    parts = {term: share(hits, "pairs", HOW) for term, hits in sorted(by_term.items())}
    return {ACCURACY: share(right, "pairs", HOW).with_parts(parts)}


def choose(pairs: Sequence[dict[str, Any]], of_each: int) -> list[dict[str, Any]]:
    """As many pairs of each paradigm (`uid`), drawn with a fixed seed, in the order of the file."""
    by_uid: dict[str, list[int]] = defaultdict(list)
    for index, pair in enumerate(pairs):
        by_uid[pair["uid"]].append(index)
    dice = random.Random(_SEED)
    drawn = [dice.sample(found, min(of_each, len(found))) for found in by_uid.values()]
    return [pairs[index] for index in sorted(index for found in drawn for index in found)]
