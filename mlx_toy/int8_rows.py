"""Tables of vectors kept as int8: a quarter of the size, with a scale for each row."""

from mlx_toy.backend import mx

import numpy as np

LARGEST_INT8 = 127
_TINY = 1e-8


def to_int8(table: np.ndarray) -> tuple[mx.array, mx.array]:
    """Rows [N, D] as int8 [N, D], and the scale [N] that each is multiplied by when it is read."""
    scale = np.maximum(np.abs(table).max(axis=1), _TINY) / LARGEST_INT8
    rows = np.round(table / scale[:, None]).astype(np.int8)
    return mx.array(rows), mx.array(scale.astype(np.float32))


def from_int8(rows: mx.array, scale: mx.array) -> mx.array:
    """The table [N, D], float32, of what `to_int8` made of it."""
    return rows.astype(mx.float32) * scale[:, None]
