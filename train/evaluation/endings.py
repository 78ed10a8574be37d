"""Row "endings": does a reply end by itself, and without going in circles?"""

import re
from collections import Counter

from mlx_toy.engine import Sampling
from mlx_toy.progress import Progress
from train.evaluation.figure import Figure, share
from train.evaluation.openings import Reply, conversations, openings
from train.evaluation.subject import Subject

MAX_TOKENS = 200
GRAM, TIMES = 4, 3  # words in a row, and how often make a circle
ENDS = "endings.by_themselves"
_HOW = (
    f"replies to the fixed openings, sampled as the app does, that end within {MAX_TOKENS} tokens "
    f"and say no {GRAM} words or marks in a row {TIMES} times"
)
_WORD = re.compile(r"\w+|[^\w\s]")


def measure(subject: Subject) -> dict[str, Figure]:
    """Share of replies that end well, each opening answered with several seeds."""
    chosen, seeds = openings(), subject.sizes.seeds
    progress = Progress("endings", len(chosen) * seeds)
    well = []
    for seed in range(seeds):
        sampling = Sampling(max_tokens=MAX_TOKENS, seed=seed * len(chosen))
        for replies in conversations(subject.engine, chosen, sampling):
            well += [ends_well(reply) for reply in replies]
            progress.add(1)
    progress.end()
    return {ENDS: share(well, "replies", _HOW)}


def ends_well(reply: Reply) -> bool:
    """Whether it ended by itself and repeats nothing too often."""
    return reply.by_itself and not goes_in_circles(reply.text)


def goes_in_circles(text: str) -> bool:
    """Whether the same words or marks stand in it again and again."""
    words = _WORD.findall(text.lower())
    grams = Counter(tuple(words[i : i + GRAM]) for i in range(len(words) - GRAM + 1))
    return any(count >= TIMES for count in grams.values())
