"""How the selector's network is learned: whether a reply fits, and which of several fits best.

The loss of a message is the mean cross-entropy of its candidates, so that the outputs are
probabilities, and a part of the listwise one (Cao et al. 2007): of how likely a fitting reply is to
be chosen among them.
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mlx_toy.backend import mx

import numpy as np

from mlx_toy.exchange_search import Said
from mlx_toy.small_network import network, normalise, probabilities
from train.selector_data import Judged
from train.small_fit import SmallRecipe, learn, scale_of

import mlx.nn as nn  # isort: skip  (after the backend, which must load the BLAS first)

FOLDS = 5


@dataclass(frozen=True)
class Recipe(SmallRecipe):
    """How to train; `listwise` is the weight of the listwise loss."""

    listwise: float = 0.2


def fit(
    features: Sequence[np.ndarray], fits: Sequence[np.ndarray], recipe: Recipe
) -> dict[str, np.ndarray]:
    """Train a network; the same arguments give the same weights.

    Args:
        features: [P, F] of the candidates of each message.
        fits: whether each of them fits [P].
        recipe: how.

    Returns:
        The arrays of a `Selector`.
    """
    seen = np.concatenate(features)
    scale = scale_of(seen)
    longest = max(map(len, features))
    x = np.zeros((len(features), longest, seen.shape[1]), np.float32)  # [N, P, F]
    present, right = np.zeros(x.shape[:2], bool), np.zeros(x.shape[:2], np.float32)
    for row, (own, good) in enumerate(zip(features, fits, strict=True)):
        x[row, : len(own)] = normalise(own, scale)
        present[row, : len(own)], right[row, : len(own)] = True, good

    def loss(weights: Any, rows: np.ndarray) -> mx.array:
        logits = network(weights, mx.array(x[rows]))[..., 0]
        return _loss(logits, mx.array(present[rows]), mx.array(right[rows]), recipe.listwise)

    return scale | learn(seen.shape[1], 1, len(features), loss, recipe)


def held_out(
    judged: Sequence[Judged],
    fits: Sequence[np.ndarray],
    features: Sequence[np.ndarray],
    recipe: Recipe,
) -> list[np.ndarray]:
    """Probabilities [R] of each message's rows of features, by networks that did not see it."""
    part = parts_of([one.said for one in judged])
    found: list[Any] = [None] * len(judged)
    for number in range(FOLDS):
        seen = np.flatnonzero(part != number).tolist()
        own = np.flatnonzero(part == number).tolist()
        if not seen or not own:
            continue
        arrays = fit([features[i] for i in seen], [fits[i] for i in seen], recipe)
        for i in own:
            found[i] = probabilities(arrays, features[i])[:, 0]
    return found


def parts_of(cases: Sequence[Said]) -> np.ndarray:
    """The part of each message in cross-validation, 0 to `FOLDS` - 1 [N].

    It is told by the words, so that the same message never stands on both sides.
    """
    return np.array([zlib.crc32(said.message.lower().encode()) % FOLDS for said in cases])


def _loss(logits: mx.array, present: mx.array, right: mx.array, listwise: float) -> mx.array:
    each = nn.losses.binary_cross_entropy(logits, right, reduction="none")
    pointwise = (each * present).sum() / present.sum()
    logits = mx.where(present, logits, -1e9)
    chosen = mx.logsumexp(mx.where(right > 0, logits, -1e9), 1) - mx.logsumexp(logits, 1)
    has = right.sum(1) > 0
    return pointwise - listwise * (chosen * has).sum() / mx.maximum(has.sum(), 1)
