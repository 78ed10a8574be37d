"""How the small networks of the selector are learned: batches in random order, AdamW, a cosine.

What differs between them, their losses, is in `selector_fit.py` and `general_fit.py`; the network
itself is `mlx_toy/small_network.py`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mlx_toy.backend import mx

import numpy as np

import mlx.optimizers as optim  # isort: skip  (after the backend, which must load the BLAS first)

# weights and the numbers of some examples -> their loss
Loss = Callable[[Any, np.ndarray], mx.array]


@dataclass(frozen=True)
class SmallRecipe:
    """How to train.

    Attributes:
        width: of both hidden layers.
        epochs: passes over the examples.
        batch: examples in a batch.
        rate: peak for AdamW, which falls to 0 along a cosine.
        weight_decay: likewise of AdamW.
        seed: of weights and batches.
    """

    width: int = 48
    epochs: int = 30
    batch: int = 128
    rate: float = 2e-3
    weight_decay: float = 0.3
    seed: int = 0


def learn(
    features: int, outputs: int, examples: int, loss: Loss, recipe: SmallRecipe
) -> dict[str, np.ndarray]:
    """Train a network of F features and K outputs; the same arguments give the same weights.

    Args:
        features, outputs: F and K.
        examples: how many there are.
        loss: of some of them.
        recipe: how.
    """
    mx.random.seed(recipe.seed)
    random = np.random.default_rng(recipe.seed)
    begun = first_weights(features, recipe.width, outputs, recipe.seed)
    weights: Any = {name: mx.array(value) for name, value in begun.items()}
    size = min(recipe.batch, examples)
    rates = optim.cosine_decay(recipe.rate, recipe.epochs * (examples // size))
    optimizer = optim.AdamW(rates, weight_decay=recipe.weight_decay)
    step_of = mx.value_and_grad(loss)
    for _ in range(recipe.epochs):
        order = random.permutation(examples)
        for start in range(0, examples - size + 1, size):
            _, gradient = step_of(weights, order[start : start + size])
            weights = optimizer.apply_gradients(gradient, weights)
            mx.eval(weights, optimizer.state)
    return {name: np.array(value) for name, value in weights.items()}


def first_weights(features: int, width: int, outputs: int, seed: int) -> dict[str, np.ndarray]:
    """Weights to begin training with, of F features, H hidden units and K outputs."""
    random = np.random.default_rng(seed)

    def made(rows: int, columns: int) -> np.ndarray:
        return (random.normal(size=(rows, columns)) * (2 / rows) ** 0.5).astype(np.float32)

    return {
        "hidden": made(features, width),
        "hidden_bias": np.zeros(width, np.float32),
        "middle": made(width, width),
        "middle_bias": np.zeros(width, np.float32),
        "out": made(width, outputs),
        "out_bias": np.zeros(outputs, np.float32),
    }


def scale_of(features: np.ndarray) -> dict[str, np.ndarray]:
    """What features [N, F] are normalised by."""
    return {"mean": features.mean(axis=0), "deviation": features.std(axis=0) + 1e-6}
