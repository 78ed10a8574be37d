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
from train.selector_fit import FOLDS, first_weights, parts_of

import mlx.nn as nn  # isort: skip  (after the backend, which must load the BLAS first)
import mlx.optimizers as optim  # isort: skip


@dataclass(frozen=True)
class GeneralRecipe:
    """How to train.

    Attributes:
        width: of both hidden layers.
        epochs: passes over the messages.
        batch: messages in a batch.
        rate: peak for AdamW, which falls to 0 along a cosine.
        weight_decay: likewise of AdamW.
        dropped: share of the features that a step does not see.
        seed: of weights and batches.
    """

    width: int = 64
    epochs: int = 60
    batch: int = 64
    rate: float = 2e-3
    weight_decay: float = 3.0
    dropped: float = 0.5
    seed: int = 0


def fit_general(
    features: np.ndarray, fits: np.ndarray, recipe: GeneralRecipe
) -> dict[str, np.ndarray]:
    """Train the network; the same arguments give the same weights.

    Args:
        features: [N, F] of the messages.
        fits: whether each reply fits [N, K].
        recipe: how.
    """
    mx.random.seed(recipe.seed)
    random = np.random.default_rng(recipe.seed)
    scale = {"mean": features.mean(axis=0), "deviation": features.std(axis=0) + 1e-6}
    x, right = mx.array(normalise(features, scale)), mx.array(fits.astype(np.float32))
    begun = first_weights(features.shape[1], recipe.width, fits.shape[1], recipe.seed)
    weights = {name: mx.array(value) for name, value in begun.items()}
    size = min(recipe.batch, len(features))
    rates = optim.cosine_decay(recipe.rate, recipe.epochs * (len(features) // size))
    optimizer = optim.AdamW(rates, weight_decay=recipe.weight_decay)

    def loss(weights: Any, rows: mx.array) -> mx.array:
        seen = x[rows]
        kept = mx.random.bernoulli(1 - recipe.dropped, seen.shape) / (1 - recipe.dropped)
        return nn.losses.binary_cross_entropy(
            network(weights, seen * kept), right[rows], reduction="mean"
        )

    step_of = mx.value_and_grad(loss)
    for _ in range(recipe.epochs):
        order = random.permutation(len(features))
        for start in range(0, len(features) - size + 1, size):
            _, gradient = step_of(weights, mx.array(order[start : start + size]))
            weights = optimizer.apply_gradients(gradient, weights)
            mx.eval(weights, optimizer.state)
    return {**scale, **{name: np.array(value) for name, value in weights.items()}}


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
