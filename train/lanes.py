"""Gradients on all cores: a lane is a thread with a replica of the model and its own MLX stream.

Why: on a CPU, MLX runs everything but the matrix products on one core. Two lanes, each with one
BLAS thread and half of the micro-batches, keep both cores busy. On a GPU there is one lane. The
lanes' gradients are summed in a fixed order, so a run is the same bit for bit every time.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from mlx_toy.backend import compute_dtype, cpu_count, info, mx

from mlx.utils import tree_flatten, tree_map, tree_unflatten

from mlx_toy import ops
from mlx_toy.model import Model, ModelArgs
from train.batches import MicroBatch

Gradients = dict[str, mx.array]


def default_lanes() -> int:
    """One lane on a GPU; on a CPU as many as leave each the BLAS threads it was given."""
    if info().device != "cpu":
        return 1
    return max(1, cpu_count() // info().threads)


class Lanes:
    """Replicas of a model that compute losses and gradients side by side.

    Args:
        args: the architecture.
        lanes: how many threads.
    """

    def __init__(self, args: ModelArgs, lanes: int | None = None):
        self._pools = [ThreadPoolExecutor(1) for _ in range(lanes or default_lanes())]
        self._models = [pool.submit(_replica, args).result() for pool in self._pools]

    def gradients(
        self, parameters: Gradients, batches: list[MicroBatch]
    ) -> tuple[Gradients, float, int]:
        """Mean loss over all counted targets of all micro-batches, and its gradient.

        Args:
            parameters: by name, float32.
            batches: at least one of them with a counted target.

        Returns:
            (gradients by name, loss in nats a target, counted targets).
        """
        counted = int(sum(batch.mask.sum() for batch in batches))
        results = self._everywhere(
            batches, lambda model, part: _lane_gradients(model, parameters, part, counted)
        )
        total, loss = results[0]
        for gradients, lane_loss in results[1:]:
            total = {name: total[name] + gradients[name] for name in total}
            loss += lane_loss
        return total, loss, counted

    def loss(self, parameters: Gradients, batches: list[MicroBatch]) -> float:
        """Mean loss in nats a counted target, without gradients."""
        counted = int(sum(batch.mask.sum() for batch in batches))
        results = self._everywhere(
            batches, lambda model, part: _lane_loss(model, parameters, part, counted)
        )
        return sum(results)

    def __enter__(self) -> "Lanes":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the threads; each clears its MLX streams first, or the interpreter aborts at exit."""
        for pool in self._pools:
            pool.submit(mx.clear_streams)
            pool.shutdown()

    def _everywhere(self, batches: list[MicroBatch], work: Callable[..., Any]) -> list[Any]:
        """Share the micro-batches among the lanes, about evenly by size, and wait for all."""
        shares: list[list[MicroBatch]] = [[] for _ in self._pools]
        for batch in sorted(batches, key=lambda b: b.mask.size, reverse=True):
            min(shares, key=lambda share: sum(b.mask.size for b in share)).append(batch)
        jobs = [
            pool.submit(work, model, share)
            for pool, model, share in zip(self._pools, self._models, shares, strict=True)
            if share
        ]
        return [job.result() for job in jobs]


def _replica(args: ModelArgs) -> Model:
    model = Model(args)
    model.train()
    mx.eval(model.parameters())
    return model


def _micro_loss(model: Model, parameters: Any, tokens: mx.array, weights: mx.array) -> mx.array:
    """Sum of the weighted losses of one micro-batch, computed in the device's dtype."""
    dtype = compute_dtype()
    model.update(tree_map(lambda array: array.astype(dtype), parameters))
    losses = ops.cross_entropy(model(tokens[:, :-1]), tokens[:, 1:])
    return (losses * weights).sum()


def _lane_gradients(
    model: Model, parameters: Gradients, batches: list[MicroBatch], counted: int
) -> tuple[Gradients, float]:
    tree = tree_unflatten(list(parameters.items()))
    gradient_of = mx.value_and_grad(lambda tree, *rest: _micro_loss(model, tree, *rest))
    total: Any = None
    loss = mx.array(0.0)
    for batch in batches:
        weights = mx.array(batch.mask / counted)
        value, gradients = gradient_of(tree, mx.array(batch.tokens), weights)
        total = gradients if total is None else tree_map(mx.add, total, gradients)
        loss = loss + value
        mx.eval(loss, total)  # keeps one micro-batch in memory at a time
    return dict(tree_flatten(total)), loss.item()


def _lane_loss(
    model: Model, parameters: Gradients, batches: list[MicroBatch], counted: int
) -> float:
    tree = tree_unflatten(list(parameters.items()))
    loss = 0.0
    for batch in batches:
        weights = mx.array(batch.mask / counted)
        loss += _micro_loss(model, tree, mx.array(batch.tokens), weights).item()
    return loss
