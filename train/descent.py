"""Steps down a loss: Adam, a rate that rises and then falls to 0, and what is said meanwhile."""

import time
from collections.abc import Callable
from typing import Generic, TypeVar

from mlx_toy.backend import mx

from train.progress import say

import mlx.optimizers as optim  # isort: skip

Weights = dict[str, mx.array]
Batch = TypeVar("Batch")

BETAS = [0.9, 0.98]
SAID_EVERY = 100  # steps


class Descent(Generic[Batch]):
    """A training that is told each batch.

    Args:
        loss_of: of weights and a batch.
        steps: that are planned.
        rate: peak, for Adam (Kingma and Ba 2014, arXiv:1412.6980).
        warmup: steps until it is reached, a tenth of all at most.
        norm: length to which a gradient is cut; infinite for none.
        name: what is learned, for the log.
        epsilon: of Adam.
    """

    def __init__(
        self,
        loss_of: Callable[[Weights, Batch], mx.array],
        steps: int,
        rate: float,
        warmup: int,
        norm: float,
        name: str,
        epsilon: float = 1e-8,
    ) -> None:
        self._gradient_of = mx.value_and_grad(loss_of)
        self._steps, self._rate, self._warmup, self._norm = steps, rate, warmup, norm
        self._optimizer = optim.Adam(rate, BETAS, epsilon, bias_correction=True)
        self._name, self._begun = name, time.monotonic()
        self._total, self.done = 0.0, 0

    def step(self, weights: Weights, batch: Batch) -> Weights:
        """The weights after one more step."""
        self.done += 1
        share = rise_and_fall(self.done, self._warmup, self._steps)
        self._optimizer.learning_rate = self._rate * share
        loss, gradient = self._gradient_of(weights, batch)
        gradient, _ = optim.clip_grad_norm(gradient, self._norm)
        weights = self._optimizer.apply_gradients(gradient, weights)
        mx.eval(weights, self._optimizer.state, loss)
        self._total += loss.item()
        since = self.done % SAID_EVERY or SAID_EVERY
        if since == SAID_EVERY or self.done == self._steps:
            speed = self.done / (time.monotonic() - self._begun)
            say(
                f"{self._name}: step {self.done}/{self._steps}  "
                f"loss {self._total / since:.3f}  {speed:.2f} steps/s  "
                f"{max(0, self._steps - self.done) / speed:,.0f} s left"
            )
            self._total = 0.0
        return weights


def rise_and_fall(step: int, warmup: int, steps: int) -> float:
    """Share of the peak rate at a step, from 1 on: up for `warmup` steps, and down to 0 at the end.

    The rise takes a tenth of a training at most.
    """
    return min(1.0, step / max(1, min(warmup, steps // 10)), max(0.0, 1 - step / (steps + 1)))
