"""How the reader is trained."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Recipe:
    """How to train.

    Attributes:
        questions: of the data to train on, at most, beside those on everyday documents; 0 for all.
        epochs: over them.
        batch: pairs in a batch.
        rate: peak, for Adam.
        warmup: steps until it is reached.
        norm: length to which a gradient is cut.
        dropped: share of the words' and mixed values that a step does not see.
        near_misses, spoilt: unanswerable questions beside the others (`Examples.drawn`).
        ours: how often an epoch asks each question of our own.
        shared: weight of the shared normalisation.
        teacher: name of the one whose vectors the gists have imitated, now or before; none without.
        gist_weight: of imitating it; 0 without it.
        gist_steps: batches, before all others, from which only the gists are learned.
        gist_rate: peak of theirs.
        kept: share of the weights it began with in a mean with what they became.
        seed: of weights and order.
    """

    questions: int = 0
    epochs: int = 3
    batch: int = 32
    rate: float = 1.5e-3
    warmup: int = 300
    norm: float = 2.0
    dropped: float = 0.15
    near_misses: float = 0.6
    spoilt: float = 0.15
    ours: int = 3
    shared: float = 0.5
    teacher: str = ""
    gist_weight: float = 0.0
    gist_steps: int = 0
    gist_rate: float = 2e-3
    kept: float = 0.0
    seed: int = 0
