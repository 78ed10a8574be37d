"""How the network of the general replies is learned (`mlx_toy/general_replies.py`).

The loss is the mean cross-entropy of whether each reply fits each message. Messages are few beside
the numbers that they are told by, so half of the values are hidden from each step (Srivastava et
al. 2014), and weights decay.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mlx_toy.backend import mx

import numpy as np

from mlx_toy.exchange_search import Said
from mlx_toy.small_network import network, normalise, probabilities
from train.selector_fit import FOLDS, parts_of
from train.small_fit import SmallRecipe, learn, scale_of

import mlx.nn as nn  # isort: skip  (after the backend, which must load the BLAS first)


@dataclass(frozen=True)
class GeneralRecipe(SmallRecipe):
    """How to train; `dropped` is the share of the features that a step does not see."""

    width: int = 64
    epochs: int = 60
    batch: int = 64
    weight_decay: float = 3.0
    dropped: float = 0.5


def fit_general(
    features: np.ndarray, fits: np.ndarray, recipe: GeneralRecipe
) -> dict[str, np.ndarray]:
    """Train the network; the same arguments give the same weights.

    Args:
        features: [N, F] of the messages.
        fits: whether each reply fits [N, K].
        recipe: how.
    """
    scale = scale_of(features)
    x, right = mx.array(normalise(features, scale)), mx.array(fits.astype(np.float32))

    def loss(weights: Any, rows: np.ndarray) -> mx.array:
        seen, wanted = x[mx.array(rows)], right[mx.array(rows)]
        kept = mx.random.bernoulli(1 - recipe.dropped, seen.shape) / (1 - recipe.dropped)
        logits = network(weights, seen * kept)
        return nn.losses.binary_cross_entropy(logits, wanted, reduction="mean")

    return scale | learn(features.shape[1], fits.shape[1], len(features), loss, recipe)


def held_out_general(
    cases: Sequence[Said], features: np.ndarray, fits: np.ndarray, recipe: GeneralRecipe
) -> np.ndarray:
    """Probabilities [N, K] by networks that did not see the message."""
    part = parts_of(cases)
    found = np.zeros(fits.shape, np.float32)
    for number in range(FOLDS):
        seen, own = part != number, part == number
        if seen.any() and own.any():
            arrays = fit_general(features[seen], fits[seen], recipe)
            found[own] = probabilities(arrays, features[own])
    return found
