"""The operations that cost most beside matrix products, in the form that suits the device.

On a GPU they are MLX's own. On a CPU, MLX's `exp` is scalar code (13 to 25 ns an element) and, once
an OpenBLAS does the products, softmax, SiLU and cross-entropy cost more than all products together;
there `cpu_ops` does them with NumPy's vectorized exponential. Tests hold every operation and its
gradient equal to MLX's.
"""

from typing import Any

from mlx_toy.backend import info, mx

import mlx.nn as nn  # isort: skip  (after the backend, which must load the BLAS first)

from mlx_toy import cpu_ops

FEW_ELEMENTS = 1 << 14  # below this, as while decoding, waiting for NumPy costs more than it saves


def _is_for_numpy(array: mx.array, elements: int) -> bool:
    return info().device == "cpu" and array.dtype == mx.float32 and elements >= FEW_ELEMENTS


def swiglu(gate: mx.array, up: mx.array) -> mx.array:
    """SiLU(gate) * up, elementwise, [..., F] (Shazeer 2020, arXiv:2002.05202)."""
    if _is_for_numpy(gate, gate.size):
        return cpu_ops.swiglu(gate, up)
    return nn.silu(gate) * up


def attention(
    queries: mx.array,
    keys: mx.array,
    values: mx.array,
    scale: float,
    mask: Any,
) -> mx.array:
    """Scaled dot-product attention; several query heads may share a key and value head.

    Args:
        queries: [B, H, T, Dh].
        keys: [B, Hkv, S, Dh].
        values: [B, Hkv, S, Dh].
        scale: multiplies the products before the softmax.
        mask: None, "causal", an array that MLX's attention takes, or int32 [B, T], the number of
            each token's document: causal, and a token sees only its own document, so that several
            can share a row.

    Returns:
        [B, H, T, Dh].
    """
    documents = mask if isinstance(mask, mx.array) and mask.dtype == mx.int32 else None
    causal = documents is not None or isinstance(mask, str)
    from_the_start = keys.shape[2] == queries.shape[2]
    if causal and from_the_start and _is_for_numpy(queries, _scores(queries, keys)):
        return cpu_ops.causal_attention(queries * scale, keys, values, documents)
    if documents is not None:
        mask = _causal_within(documents)
    return mx.fast.scaled_dot_product_attention(queries, keys, values, scale=scale, mask=mask)


def _scores(queries: mx.array, keys: mx.array) -> int:
    """How many products of a query and a key there are."""
    batch, heads, length, _ = queries.shape
    return batch * heads * length * keys.shape[2]


def _causal_within(documents: mx.array) -> mx.array:
    """[B, T] -> bool [B, 1, T, T]: where a query may look."""
    positions = mx.arange(documents.shape[1])
    earlier = positions[:, None] >= positions[None]
    same = documents[:, :, None] == documents[:, None, :]
    return (earlier & same)[:, None]


def linear_cross_entropy(hidden: mx.array, weight: mx.array, targets: mx.array) -> mx.array:
    """Negative log-likelihood of the targets, in nats, from the states before the logits.

    Args:
        hidden: [N, D].
        weight: [V, D], whose products with the states are the logits.
        targets: ids [N].

    Returns:
        [N], float32.
    """
    if _is_for_numpy(hidden, hidden.shape[0] * weight.shape[0]):
        return cpu_ops.linear_cross_entropy(hidden, weight, targets)
    return nn.losses.cross_entropy((hidden @ weight.T).astype(mx.float32), targets)
