"""Computing in bfloat16 with float32 master weights, as on a GPU; here on a tiny model anywhere."""

from mlx_toy.backend import mx

import numpy as np
import pytest

from train.batches import MicroBatch
from train.initial import initial_weights
from train.lanes import Lanes
from train.optimizer import OptimizerSettings, initial_state, update

RATES = OptimizerSettings(matrix_rate=0.02, other_rate=4e-3)


@pytest.fixture(scope="module")
def batch():
    starts = np.random.default_rng(0).integers(0, 20, (8, 1))
    tokens = (starts + np.arange(33) % 7).astype(np.int32)
    return MicroBatch(tokens, np.ones((8, 32), np.float32))


def teach(args, batch, dtype, steps, scale=1.0):
    """Weights, state and losses after some steps on one batch."""
    weights = initial_weights(args, seed=0)
    state, losses = initial_state(weights), []
    with Lanes(args, 1, dtype) as team:
        for step in range(steps):
            gradients, loss, _ = team.gradients(weights, [batch])
            weights, state, _ = update(weights, gradients, state, RATES, step, scale)
            mx.eval(weights, state)
            losses.append(loss)
    return weights, state, losses


def test_weights_gradients_and_state_stay_float32(tiny_args, batch):
    with Lanes(tiny_args, 1, mx.bfloat16) as team:
        weights = initial_weights(tiny_args, seed=0)
        gradients, *_ = team.gradients(weights, [batch])
        seen = team.with_model(weights, lambda model: model.model.norm.weight.dtype)
    assert seen == mx.bfloat16  # the computation really is in 16 bits
    assert {array.dtype for array in gradients.values()} == {mx.float32}
    weights, state, _ = teach(tiny_args, batch, mx.bfloat16, steps=1)
    assert {array.dtype for array in [*weights.values(), *state.values()]} == {mx.float32}


def test_gradients_point_where_those_of_float32_point(tiny_args, batch):
    weights, *_ = teach(tiny_args, batch, mx.float32, steps=5)
    found = {}
    for dtype in (mx.float32, mx.bfloat16):
        with Lanes(tiny_args, 1, dtype) as team:
            found[dtype], *_ = team.gradients(weights, [batch])
    for name, exact in found[mx.float32].items():
        a, b = np.array(exact).ravel(), np.array(found[mx.bfloat16][name]).ravel()
        assert a @ b / np.linalg.norm(a) / np.linalg.norm(b) > 0.98, name


def test_model_learns_as_well_as_in_float32(tiny_args, batch):
    _, _, exact = teach(tiny_args, batch, mx.float32, steps=40)
    _, _, rough = teach(tiny_args, batch, mx.bfloat16, steps=40)
    assert exact[-1] < 0.6 * exact[0]
    assert rough[-1] == pytest.approx(exact[-1], abs=0.05 * exact[0])


def test_updates_too_small_for_bfloat16_are_not_lost(tiny_args, batch):
    """A change of 1e-4 of a weight vanishes in bfloat16, which keeps 3 digits; the master adds."""
    before = initial_weights(tiny_args, seed=0)["model.norm.weight"]  # ones
    after, *_ = teach(tiny_args, batch, mx.bfloat16, steps=4, scale=0.01)
    change = np.abs(np.array(after["model.norm.weight"] - before))
    assert 1e-5 < change.max() < 2**-9
