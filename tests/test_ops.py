"""Our operations and their gradients equal MLX's own."""

from collections.abc import Callable
from typing import Any

from mlx_toy.backend import mx

import mlx.nn as nn
import pytest

from mlx_toy import ops


@pytest.fixture(autouse=True)
def seed() -> None:
    mx.random.seed(0)


def assert_equal(ours: mx.array, theirs: mx.array, tolerance: float = 2e-5) -> None:
    """Equal relative to the largest entry."""
    assert ours.shape == theirs.shape
    largest = mx.abs(theirs).max().item()
    assert mx.abs(ours - theirs).max().item() <= tolerance * max(1.0, largest)


def assert_same_function(
    ours: Callable[..., mx.array], theirs: Callable[..., mx.array], *inputs: mx.array
) -> None:
    """The same values, and the same gradients of a random weighting of them."""
    expected = theirs(*inputs)
    assert_equal(ours(*inputs), expected)
    weights = mx.random.normal(expected.shape)
    argnums = tuple(range(len(inputs)))

    def gradients(function: Callable[..., mx.array]) -> Any:
        return mx.grad(lambda *x: (function(*x) * weights).sum(), argnums=argnums)(*inputs)

    for our_gradient, their_gradient in zip(gradients(ours), gradients(theirs), strict=True):
        assert_equal(our_gradient, their_gradient)


@pytest.mark.parametrize("scale", [0.1, 4.0, 40.0])
def test_swiglu(scale: float) -> None:
    gate = mx.random.normal((40, 5, 96)) * scale
    up = mx.random.normal((40, 5, 96))
    assert_same_function(ops.swiglu, lambda gate, up: nn.silu(gate) * up, gate, up)


def test_swiglu_at_zero_and_at_the_ends() -> None:
    gate = mx.repeat(mx.array([0.0, -0.0, 1e-8, -100.0, 100.0, -1e4, 1e4]), 3000)
    assert_equal(ops.swiglu(gate, mx.ones(gate.size)), nn.silu(gate))


@pytest.mark.parametrize("length", [37, 300])
@pytest.mark.parametrize("heads", [(4, 4), (4, 2), (4, 1)])
def test_attention(heads: tuple[int, int], length: int) -> None:
    queries = mx.random.normal((2, heads[0], length, 16)) * 2
    keys = mx.random.normal((2, heads[1], length, 16))
    values = mx.random.normal((2, heads[1], length, 16))
    assert_same_function(
        lambda q, k, v: ops.attention(q, k, v, 0.3, "causal"),
        lambda q, k, v: mx.fast.scaled_dot_product_attention(q, k, v, scale=0.3, mask="causal"),
        queries,
        keys,
        values,
    )


@pytest.mark.parametrize("scale", [0.1, 1.0, 4.0])
def test_cross_entropy_of_a_linear_layer(scale: float) -> None:
    hidden, weight = mx.random.normal((60, 24)), mx.random.normal((1000, 24)) * scale
    targets = mx.random.randint(0, 1000, (60,))
    assert_same_function(
        lambda hidden, weight: ops.linear_cross_entropy(hidden, weight, targets),
        lambda hidden, weight: nn.losses.cross_entropy(hidden @ weight.T, targets),
        hidden,
        weight,
    )


def test_cross_entropy_of_a_certain_prediction_is_zero() -> None:
    weight = mx.array([[200.0], [0.0], [-200.0]])
    hidden = mx.ones((10_000, 1))
    certain = ops.linear_cross_entropy(hidden, weight, mx.zeros(10_000, mx.int32))
    assert mx.abs(certain).max().item() == pytest.approx(0, abs=1e-6)
    wrong = ops.linear_cross_entropy(hidden, weight, mx.full(10_000, 2))
    assert wrong.min().item() == pytest.approx(400, rel=1e-6)


@pytest.mark.parametrize("heads", [(3, 3), (4, 2)])
@pytest.mark.parametrize("lengths", [(150, 1, 86), (15, 1, 8)])
def test_documents_that_share_a_row_do_not_see_each_other(
    heads: tuple[int, int], lengths: tuple[int, ...]
) -> None:
    queries = mx.random.normal((1, heads[0], sum(lengths), 16))
    keys = mx.random.normal((1, heads[1], sum(lengths), 16))
    values = mx.random.normal((1, heads[1], sum(lengths), 16))
    documents = mx.concatenate([mx.full((1, n), i) for i, n in enumerate(lengths)], axis=1)

    def together(q: mx.array, k: mx.array, v: mx.array) -> mx.array:
        return ops.attention(q, k, v, 0.3, documents)

    def apart(*arrays: mx.array) -> mx.array:
        parts = zip(
            *(mx.split(array, [lengths[0], lengths[0] + 1], axis=2) for array in arrays),
            strict=True,
        )
        attend = mx.fast.scaled_dot_product_attention
        return mx.concatenate([attend(*part, scale=0.3, mask="causal") for part in parts], axis=2)

    assert_same_function(together, apart, queries, keys, values)


def test_operations_take_arrays_in_any_memory_order() -> None:
    gate, up = mx.random.normal((300, 96)), mx.random.normal((300, 96))
    transposed = mx.contiguous(gate.T).T  # the same values, column by column
    assert_equal(ops.swiglu(transposed, up), nn.silu(gate) * up)
    weight, targets = mx.random.normal((500, 96)), mx.random.randint(0, 500, (300,))
    expected = nn.losses.cross_entropy(gate @ weight.T, targets)
    assert_equal(ops.linear_cross_entropy(transposed, weight, targets), expected)
    q = mx.random.normal((2, 100, 3, 16)).swapaxes(1, 2)
    assert_same_function(
        lambda *x: ops.attention(*x, 0.3, "causal"),
        lambda *x: mx.fast.scaled_dot_product_attention(*x, scale=0.3, mask="causal"),
        q,
        mx.random.normal((2, 100, 3, 16)).swapaxes(1, 2),
        mx.random.normal((2, 100, 3, 16)).swapaxes(1, 2),
    )
