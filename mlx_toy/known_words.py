"""The words that have a row of their own, kept in the file of the weights that have the rows."""

from collections.abc import Sequence

from mlx_toy.backend import mx

import numpy as np

NAME = "words"  # of the array


def to_bytes(known: Sequence[str]) -> mx.array:
    """Words, none with a line break in it, as one array of bytes."""
    return mx.array(np.frombuffer("\n".join(known).encode("utf-8"), np.uint8))


def from_bytes(array: mx.array) -> list[str]:
    """The words in an array of bytes.

    Raises:
        ValueError: it holds something else.
    """
    text = np.array(array).tobytes().decode("utf-8")
    return text.split("\n") if text else []
