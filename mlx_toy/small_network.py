"""Networks of two small layers that weigh features: how probable something is.

They take features by the mean and the deviation of those that they learned on.
"""

from typing import Any

import numpy as np

LARGEST = 6.0  # standard deviations of a feature


def normalise(features: np.ndarray, arrays: dict[str, np.ndarray]) -> np.ndarray:
    """Features [..., F] with mean 0 and deviation 1, and none far out.

    Args:
        features: as they were measured.
        arrays: with `mean` and `deviation` [F].
    """
    scaled: np.ndarray = (features - arrays["mean"]) / arrays["deviation"]
    return np.clip(scaled, -LARGEST, LARGEST)


def network(arrays: dict[str, Any], x: Any) -> Any:
    """Log-odds [..., K] of normalised features [..., F].

    The same lines run on NumPy arrays here and on MLX arrays in training.

    Args:
        arrays: `hidden` [F, H], `hidden_bias` [H], `middle` [H, H], `middle_bias` [H], `out`
            [H, K] and `out_bias` [K].
        x: the features.
    """
    hidden = x @ arrays["hidden"] + arrays["hidden_bias"]
    middle = (hidden * (hidden > 0)) @ arrays["middle"] + arrays["middle_bias"]
    return (middle * (middle > 0)) @ arrays["out"] + arrays["out_bias"]


def probabilities(arrays: dict[str, np.ndarray], features: np.ndarray) -> np.ndarray:
    """What the network says of features as they were measured: [..., F] -> [..., K]."""
    logits = network(arrays, normalise(features, arrays))
    found: np.ndarray = 1 / (1 + np.exp(-np.clip(logits, -30, 30)))
    return found
