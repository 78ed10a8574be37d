"""Steps down a loss, and the rate that they take."""

from mlx_toy.backend import mx

from hypothesis import given
from hypothesis import strategies as st

from train.descent import SAID_EVERY, Descent, rise_and_fall


@given(warmup=st.integers(1, 500), steps=st.integers(1, 3_000))
def test_a_rate_rises_to_its_peak_and_then_falls(warmup, steps):
    shares = [rise_and_fall(step, warmup, steps) for step in range(1, steps + 1)]
    peak = shares.index(max(shares))
    assert shares[:peak] == sorted(shares[:peak])
    assert shares[peak:] == sorted(shares[peak:], reverse=True)
    assert min(shares) > 0 and max(shares) <= 1
    assert peak <= max(1, steps // 10)
    assert rise_and_fall(steps + 1, warmup, steps) == 0


def test_a_descent_finds_the_least_loss_and_says_how_far_it_is(capsys):
    def loss_of(weights, wanted):
        return (weights["x"] - wanted).square().sum()

    weights, wanted = {"x": mx.zeros(3)}, mx.array([1.0, -2.0, 0.5])
    descent = Descent(loss_of, 2 * SAID_EVERY, 0.1, 10, 2.0, "made up")
    for _ in range(2 * SAID_EVERY):
        weights = descent.step(weights, wanted)
    assert mx.allclose(weights["x"], wanted, atol=1e-2)
    said = capsys.readouterr().err
    assert f"made up: step {SAID_EVERY}/{2 * SAID_EVERY}" in said


def test_a_short_descent_says_how_it_ended(capsys):
    descent = Descent(
        lambda weights, batch: (weights["x"] - batch).square().sum(), 3, 0.1, 1, 2.0, "s"
    )
    weights = {"x": mx.zeros(1)}
    for _ in range(3):
        weights = descent.step(weights, mx.array([0.0]))
    assert "s: step 3/3  loss 0.000" in capsys.readouterr().err
