"""Features as a small network takes them: by the mean and the deviation of those it learned on."""

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
