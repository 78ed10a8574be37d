"""What the retriever learns from, ready for training: features and hard negatives.

A batch is made of one source and of a few of its groups, so that most negatives are from the same
article: that is what a library looks like. Each query brings a hard negative beside.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from mlx_toy.bag import Features
from train.hard_negatives import mine
from train.retrieval_data import Groups

Bag = tuple[np.ndarray, np.ndarray]  # distinct feature ids and their weights
ALIKE = ("pairs/intents", "base/simplewiki")  # passages of a group answer each other's queries
NOT_MINED = ("pairs/intents",)  # what BM25 finds has the same intent too often
HARD_NEGATIVES, HARD_DEPTH = 4, 12  # kept of a query, and how far down they are looked for


@dataclass
class Pairs:
    """The queries and passages of a source.

    Attributes:
        alike: whether passages of a group answer each other's queries.
        groups: numbers of the passages of each group.
        home: the group of each passage.
        passages: features of each.
        asked: the numbers of each passage's queries.
        queries: features of each.
        hard: numbers of each query's hard negatives, or nothing.
    """

    alike: bool = False
    groups: list[list[int]] = field(default_factory=list)
    home: list[int] = field(default_factory=list)
    passages: list[Bag] = field(default_factory=list)
    asked: list[list[int]] = field(default_factory=list)
    queries: list[Bag] = field(default_factory=list)
    hard: list[np.ndarray] = field(default_factory=list)


@dataclass
class Batch:
    """Queries, and passages of which the first are theirs, in order."""

    queries: list[Bag]
    passages: list[Bag]


def to_pairs(name: str, groups: Groups, features: Features) -> Pairs:
    """Make a source ready.

    Args:
        name: of the source.
        groups: its passages.
        features: makes the bags.
    """
    pairs = Pairs(name in ALIKE)
    passages = [passage for group in groups.values() for passage in group]
    for group in groups.values():
        first = len(pairs.home)
        pairs.home += [len(pairs.groups)] * len(group)
        pairs.groups.append(list(range(first, len(pairs.home))))
    for passage in passages:
        first = len(pairs.queries)
        pairs.passages.append(features(passage.text))
        pairs.queries += [features(query) for query in passage.queries]
        pairs.asked.append(list(range(first, len(pairs.queries))))
    if name not in NOT_MINED:
        pairs.hard = mine(passages, HARD_NEGATIVES, HARD_DEPTH)
    return pairs


def batches(
    pairs: dict[str, Pairs],
    mixture: dict[str, float],
    size: int,
    group: int,
    random: np.random.Generator,
) -> Iterator[Batch]:
    """Yield batches without end; one is of one source, a passage is in it once.

    Args:
        pairs: by source.
        mixture: parts of the batches, by source.
        size: pairs in a batch.
        group: passages taken from one group, at most.
        random: decides.
    """
    names = [name for name in mixture if name in pairs and pairs[name].passages]
    parts = np.array([mixture[name] for name in names])
    while True:
        name = names[random.choice(len(names), p=parts / parts.sum())]
        yield draw(pairs[name], size, 1 if pairs[name].alike else group, random)


def draw(pairs: Pairs, size: int, group: int, random: np.random.Generator) -> Batch:
    """A batch of a source: pairs of a few groups, and a hard negative of each query if mined."""
    chosen: list[int] = []
    for index in random.permutation(len(pairs.groups)):
        numbers = pairs.groups[index]
        first = random.integers(len(numbers))
        chosen += [
            numbers[(first + place) % len(numbers)] for place in range(min(group, len(numbers)))
        ]
        if len(chosen) >= size:
            break
    chosen = [number for number in chosen[:size] if pairs.asked[number]]
    asked = [pairs.asked[n][random.integers(len(pairs.asked[n]))] for n in chosen]
    found = chosen + (hard_negatives(pairs, chosen, asked, random) if pairs.hard else [])
    return Batch(
        [pairs.queries[number] for number in asked], [pairs.passages[number] for number in found]
    )


def hard_negatives(
    pairs: Pairs, chosen: list[int], asked: list[int], random: np.random.Generator
) -> list[int]:
    """One hard negative of each query, but none that may answer another query of the batch."""
    found = {
        int(pairs.hard[number][random.integers(len(pairs.hard[number]))])
        for number in asked
        if len(pairs.hard[number])
    }
    found -= set(chosen)
    if pairs.alike:
        homes = {pairs.home[number] for number in chosen}
        found = {number for number in found if pairs.home[number] not in homes}
    return sorted(found)
