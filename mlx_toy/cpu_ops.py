"""Softmax, SwiGLU and cross-entropy on a CPU: MLX's products, NumPy's elementwise arithmetic.

Why: MLX walks through memory once for every operation and computes `exp` element by element.
NumPy's `exp` is vectorized (0.5 ns an element against 21), and it can be told to work in place, a
block at a time, while the block is in the processor's cache. So each operation here evaluates an
array that MLX has just made for it alone, and NumPy writes over that memory. Every operation has
its own gradient. Attention goes through the queries a block at a time and leaves out the keys that
the block may not see, which saves three eighths of the products.
"""

from collections.abc import Iterator
from typing import Any

from mlx_toy.backend import mx

import numpy as np

BLOCK_ELEMENTS = 1 << 16  # 256 kB of float32: a few such blocks stay in a core's own cache
QUERY_BLOCK = 64  # queries that are done at once


def _memory(array: mx.array) -> np.ndarray:
    """The memory of a row-major array, computed; writing to it changes the array."""
    mx.eval(array)
    memory = np.array(array, copy=False)
    assert memory.flags.c_contiguous, "writing to a copy would be lost"
    return memory


def _rows(array: mx.array) -> np.ndarray:
    """The memory of an array as [rows, last axis]."""
    return _memory(array).reshape(-1, array.shape[-1])


def _blocks(array: np.ndarray) -> Iterator[slice]:
    """Slices of rows that fit into the cache."""
    step = max(1, BLOCK_ELEMENTS // array.shape[1])
    return (slice(start, start + step) for start in range(0, len(array), step))


# --- SwiGLU ---------------------------------------------------------------------------------------


def swiglu(gate: mx.array, up: mx.array) -> mx.array:
    """SiLU(gate) * up, float32 [..., F]."""
    outputs: Any = _swiglu(mx.contiguous(gate), mx.contiguous(up))
    return outputs[0]


@mx.custom_function
def _swiglu(gate: mx.array, up: mx.array) -> tuple[mx.array, mx.array]:
    product, sigmoid = gate * up, -gate
    mx.eval(product, sigmoid)
    products, sigmoids = _rows(product), _rows(sigmoid)
    with np.errstate(over="ignore"):  # exp(100) is infinite and 1 / infinity is 0, as it should be
        for block in _blocks(sigmoids):
            s = sigmoids[block]
            np.exp(s, out=s)
            s += 1
            np.reciprocal(s, out=s)
            products[block] *= s
    return product, sigmoid


@_swiglu.vjp
def _swiglu_vjp(primals: Any, cotangents: Any, outputs: Any) -> tuple[mx.array, mx.array]:
    gate, up = primals
    to_gate, to_up = cotangents[0] * up, cotangents[0] * gate
    mx.eval(to_gate, to_up)
    sigmoids, gates = _rows(outputs[1]), _rows(gate)
    to_gates, to_ups = _rows(to_gate), _rows(to_up)
    for block in _blocks(sigmoids):
        s, slope = sigmoids[block], 1 - sigmoids[block]
        slope *= gates[block]
        slope += 1
        slope *= s
        to_gates[block] *= slope
        to_ups[block] *= s
    return to_gate, to_up


# --- Attention ------------------------------------------------------------------------------------


def causal_attention(
    queries: mx.array, keys: mx.array, values: mx.array, documents: mx.array | None = None
) -> mx.array:
    """Softmax(queries keys^T) values, where a query sees no later key.

    Args:
        queries: float32 [B, H, T, Dh], scaled.
        keys: [B, Hkv, T, Dh].
        values: [B, Hkv, T, Dh].
        documents: int [B, T]: a query sees only keys of its own number.

    Returns:
        [B, H, T, Dh].
    """
    batch, heads, length, head_dim = queries.shape
    shared = keys.shape[1]
    grouped = queries.reshape(batch, shared, heads // shared, length, head_dim)
    arrays = [mx.contiguous(array) for array in (grouped, keys, values)]
    more = () if documents is None else (documents,)
    outputs: Any = _causal_attention(*arrays, *more)
    return outputs[0].reshape(queries.shape)


def _query_blocks(length: int) -> list[tuple[int, int]]:
    """Where each block of queries begins and ends."""
    return [(a, min(a + QUERY_BLOCK, length)) for a in range(0, length, QUERY_BLOCK)]


def _block_of(grouped: mx.array, begin: int, end: int) -> mx.array:
    """[B, Hkv, G, T, Dh] -> [B, Hkv, G * (end - begin), Dh]."""
    batch, shared, groups, _, head_dim = grouped.shape
    if groups == 1:
        return grouped[:, :, 0, begin:end]  # needs no copy
    return grouped[:, :, :, begin:end].reshape(batch, shared, -1, head_dim)


@mx.custom_function
def _causal_attention(
    queries: mx.array, keys: mx.array, values: mx.array, documents: mx.array | None = None
) -> tuple[mx.array, ...]:
    """The output [B, Hkv, G, T, Dh], and the weights of each block [B, Hkv, G * block, keys]."""
    blocks = _query_blocks(queries.shape[3])
    weights = [_block_of(queries, a, b) @ keys[:, :, :b].swapaxes(-1, -2) for a, b in blocks]
    mx.eval(weights)
    numbers = None if documents is None else np.array(documents)
    for (begin, end), block in zip(blocks, weights, strict=True):
        _mask(_memory(block), begin, end, numbers)
        _softmax(_rows(block))
    batch, shared, groups, _, head_dim = queries.shape
    outputs = [
        (block @ values[:, :, :end]).reshape(batch, shared, groups, end - begin, head_dim)
        for (begin, end), block in zip(blocks, weights, strict=True)
    ]
    return mx.concatenate(outputs, axis=3), *weights


def _mask(scores: np.ndarray, begin: int, end: int, documents: np.ndarray | None) -> None:
    """Hide later keys and those of other documents from the queries `begin` to `end`."""
    batch, shared, _, seen = scores.shape
    by_query = scores.reshape(batch, shared, -1, end - begin, seen)
    later = np.triu(np.full((end - begin, end - begin), -np.inf, dtype=np.float32), 1)
    by_query[..., begin:] += later
    if documents is not None:
        other = documents[:, begin:end, None] != documents[:, None, :seen]  # [B, block, seen]
        hidden = np.where(other, np.float32(-np.inf), np.float32(0))
        by_query += hidden[:, None, None]


def _softmax(scores: np.ndarray) -> None:
    """Softmax of every row [R, S], in place."""
    for block in _blocks(scores):
        s = scores[block]
        s -= s.max(axis=-1, keepdims=True)
        np.exp(s, out=s)
        s *= 1 / s.sum(axis=-1, keepdims=True)


@_causal_attention.vjp
def _causal_attention_vjp(primals: Any, cotangents: Any, outputs: Any) -> tuple[mx.array, ...]:
    queries, keys, values, *documents = primals
    output, *weights = outputs
    cotangent = mx.contiguous(cotangents[0])
    blocks = _query_blocks(queries.shape[3])
    inner = (cotangent * output).sum(axis=-1, keepdims=True)  # [B, Hkv, G, T, 1]
    to_output = [_block_of(cotangent, a, b) for a, b in blocks]
    to_scores = [
        part @ values[:, :, :end].swapaxes(-1, -2)
        for part, (_, end) in zip(to_output, blocks, strict=True)
    ]
    inners = [_block_of(inner, a, b) for a, b in blocks]
    mx.eval(to_scores, inners)
    for scores, weight, one in zip(to_scores, weights, inners, strict=True):
        s, w, i = _rows(scores), _rows(weight), np.array(one).reshape(-1, 1)
        for block in _blocks(s):
            s[block] -= i[block]
            s[block] *= w[block]
    shape = (*queries.shape[:3], -1, queries.shape[-1])
    to_queries = [
        (scores @ keys[:, :, :end]).reshape(*shape[:3], end - begin, shape[-1])
        for scores, (begin, end) in zip(to_scores, blocks, strict=True)
    ]
    to_keys = [
        scores.swapaxes(-1, -2) @ _block_of(queries, a, b)
        for scores, (a, b) in zip(to_scores, blocks, strict=True)
    ]
    to_values = [w.swapaxes(-1, -2) @ part for w, part in zip(weights, to_output, strict=True)]
    return (
        mx.concatenate(to_queries, axis=3),
        _sum_of_beginnings(to_keys),
        _sum_of_beginnings(to_values),
        *(mx.zeros_like(numbers) for numbers in documents),
    )


def _sum_of_beginnings(parts: list[mx.array]) -> mx.array:
    """The sum of arrays [B, Hkv, up to T, Dh], of which only the last is as long as T."""
    mx.eval(parts)
    total = _memory(parts[-1])
    for part in parts[:-1]:
        total[:, :, : part.shape[2]] += _memory(part)
    return parts[-1]


# --- Cross-entropy --------------------------------------------------------------------------------


def linear_cross_entropy(hidden: mx.array, weight: mx.array, targets: mx.array) -> mx.array:
    """Negative log-likelihood in nats of ids [N], with logits float32 [N, D] @ [V, D]^T.

    The logits are made here, so that exponentials and gradients can be written over them: they are
    the largest array of a training step. So its gradient can be taken once.
    """
    outputs: Any = _linear_cross_entropy(hidden, weight, targets)
    return outputs[0]


@mx.custom_function
def _linear_cross_entropy(
    hidden: mx.array, weight: mx.array, targets: mx.array
) -> tuple[mx.array, mx.array, mx.array]:
    """The losses [N], and for the gradient the exponentials [N, V] and their sums [N, 1]."""
    logits = hidden @ weight.T
    rows, ids = _memory(logits), np.array(targets)
    sums, chosen = np.empty((len(rows), 1), np.float32), np.empty(len(rows), np.float32)
    for block in _blocks(rows):
        s = rows[block]
        s -= s.max(axis=-1, keepdims=True)
        chosen[block] = s[np.arange(len(s)), ids[block]]
        np.exp(s, out=s)
        s.sum(axis=-1, keepdims=True, out=sums[block])
    return mx.array(np.log(sums[:, 0]) - chosen), logits, mx.array(sums)


@_linear_cross_entropy.vjp
def _linear_cross_entropy_vjp(
    primals: Any, cotangents: Any, outputs: Any
) -> tuple[mx.array, mx.array, mx.array]:
    hidden, weight, targets = primals
    rows, sums = _memory(outputs[1]), _memory(outputs[2])
    ids, given = np.array(targets), np.array(cotangents[0])
    shares = given[:, None] / sums
    for block in _blocks(rows):
        s = rows[block]
        s *= shares[block]
        s[np.arange(len(s)), ids[block]] -= given[block]
    sums.fill(np.nan)  # a second gradient would be wrong: make it show
    gradient = outputs[1]  # of the logits, now
    return gradient @ weight, gradient.T @ hidden, mx.zeros_like(targets)
