"""Gradients on all cores: a lane is a thread with a replica of the model and its own MLX stream.

Why: on a CPU, MLX runs everything but the matrix products on one core. Two lanes, each with one
BLAS thread and half of the micro-batches, keep both cores busy. On a GPU there is one lane. The
lanes' gradients are summed in a fixed order, so a run is the same bit for bit every time.
"""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from mlx_toy.backend import compute_dtype, cpu_count, info, mx

import numpy as np
from mlx.utils import tree_flatten, tree_map, tree_unflatten

from mlx_toy import ops
from mlx_toy.model import Model, ModelArgs
from train.batches import MicroBatch
from train.optimizer import OptimizerSettings, global_norm, update, update_cost

Gradients = dict[str, mx.array]
PEAK_SIZE_CPU, PEAK_SIZE_GPU = 1024, 4096  # rows of the matrices that measure the peak
PEAK_REPEATS = 3
# Arrays that one of several lanes asks for at once. MLX lets about a hundred operations of all
# threads together wait for the CPU; a thread that would add one more stands still until another's
# is done.
AT_ONCE = 4


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
        dtype: of the computation; weights, gradients and losses are float32 whatever it is.
    """

    def __init__(self, args: ModelArgs, lanes: int | None = None, dtype: mx.Dtype | None = None):
        self._dtype = dtype or compute_dtype()
        self._pools = [ThreadPoolExecutor(1) for _ in range(lanes or default_lanes())]
        self._models = [pool.submit(_replica, args).result() for pool in self._pools]

    def gradients(
        self, parameters: Gradients, batches: list[MicroBatch], counted: int | None = None
    ) -> tuple[Gradients, float, int]:
        """Mean loss over all counted targets of all micro-batches, and its gradient.

        Args:
            parameters: by name, float32.
            batches: what to learn from.
            counted: targets to divide by, where other processes have more of the step's
                micro-batches; those of `batches` when None.

        Returns:
            (gradients by name, loss in nats a target, counted targets).
        """
        counted = counted_targets(batches) if counted is None else counted
        dtype, at_once = self._dtype, AT_ONCE if len(self._pools) > 1 else len(parameters)
        results = self._everywhere(
            batches,
            lambda model, part: _lane_gradients(model, parameters, part, counted, dtype, at_once),
        )
        if not results:  # more processes than micro-batches
            return {name: mx.zeros_like(a) for name, a in parameters.items()}, 0.0, counted
        total, loss = results[0]
        for gradients, lane_loss in results[1:]:
            total = {name: total[name] + gradients[name] for name in total}
            loss += lane_loss
        return total, loss, counted

    def update(
        self,
        parameters: Gradients,
        gradients: Gradients,
        state: Gradients,
        settings: OptimizerSettings,
        step: int,
        scale: float,
    ) -> tuple[Gradients, Gradients, float]:
        """One optimizer step as `train.optimizer.update`, computed; each lane moves some weights.

        Returns:
            (parameters, state, norm of the gradients).
        """
        norm = global_norm(gradients)
        mx.eval(parameters, gradients, state, norm)  # lazy arrays cannot go to other threads

        def work(names: list[str]) -> tuple[Gradients, Gradients]:
            new, moments = {}, {}
            for group in _groups(names, 1 if len(self._pools) > 1 else len(names)):
                some = {name: parameters[name] for name in group}
                moved, kept, _ = update(some, gradients, state, settings, step, scale, norm)
                mx.eval(moved, kept)
                new.update(moved)
                moments.update(kept)
            return new, moments

        shares = divide(list(parameters), len(self._pools), lambda n: update_cost(n, parameters[n]))
        jobs = [pool.submit(work, share) for pool, share in zip(self._pools, shares, strict=True)]
        new, moments = {}, {}
        for job in jobs:
            lane_new, lane_moments = job.result()
            new.update(lane_new)
            moments.update(lane_moments)
        return {name: new[name] for name in parameters}, moments, norm.item()

    def loss(self, parameters: Gradients, batches: list[MicroBatch]) -> float:
        """Mean loss in nats a counted target, without gradients."""
        counted, dtype = counted_targets(batches), self._dtype
        results = self._everywhere(
            batches, lambda model, part: _lane_loss(model, parameters, part, counted, dtype)
        )
        return sum(results)

    def with_model(self, parameters: Gradients, work: Callable[[Model], Any]) -> Any:
        """What `work` makes of a model with these parameters, in the thread that owns it."""

        def run() -> Any:
            _set(self._models[0], tree_unflatten(list(parameters.items())), self._dtype)
            return work(self._models[0])

        return self._pools[0].submit(run).result()

    def matmul_flops(self) -> float:
        """Measured speed of matrix products on all lanes at once, in operations a second."""
        return sum(job.result() for job in [p.submit(_peak, self._dtype) for p in self._pools])

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
        shares = share_out(batches, len(self._pools))
        jobs = [
            pool.submit(work, model, share)
            for pool, model, share in zip(self._pools, self._models, shares, strict=True)
            if share
        ]
        return [job.result() for job in jobs]


def counted_targets(batches: list[MicroBatch]) -> int:
    """How many targets count in the loss."""
    return int(sum(batch.mask.sum() for batch in batches))


def share_out(batches: list[MicroBatch], parts: int) -> list[list[MicroBatch]]:
    """Divide micro-batches into parts of about the same size, always in the same way."""
    return divide(batches, parts, lambda batch: batch.mask.size)


def divide(items: list[Any], parts: int, size: Callable[[Any], int]) -> list[list[Any]]:
    """Divide items into parts of about the same size: the largest first, to the smallest part."""
    shares: list[list[Any]] = [[] for _ in range(parts)]
    for item in sorted(items, key=size, reverse=True):
        min(shares, key=lambda share: sum(map(size, share))).append(item)
    return shares


def _peak(dtype: mx.Dtype) -> float:
    size = PEAK_SIZE_CPU if info().device == "cpu" else PEAK_SIZE_GPU
    factor = mx.full((size, size), 0.5, dtype=dtype)
    mx.eval(factor @ factor)
    best = float("inf")
    for _ in range(PEAK_REPEATS):
        began = time.perf_counter()
        mx.eval(factor @ factor)
        best = min(best, time.perf_counter() - began)
    return 2 * size**3 / best


def _replica(args: ModelArgs) -> Model:
    model = Model(args)
    model.train()
    mx.eval(model.parameters())
    return model


def _set(model: Model, parameters: Any, dtype: mx.Dtype) -> None:
    model.update(tree_map(lambda array: array.astype(dtype), parameters))


def _micro_loss(
    model: Model, parameters: Any, dtype: mx.Dtype, batch: MicroBatch, counted: int
) -> mx.array:
    """Loss of one micro-batch over `counted` targets, computed in `dtype` up to the logits.

    Only places that count have logits: in a conversation most words are not the assistant's.
    """
    _set(model, parameters, dtype)
    tokens = mx.array(batch.tokens)
    documents = None if batch.documents is None else mx.array(batch.documents)
    hidden = model.model(tokens[:, :-1], documents=documents)
    hidden = hidden.reshape(-1, hidden.shape[-1])
    targets, weights = tokens[:, 1:].reshape(-1), batch.mask.reshape(-1)
    if not weights.all():
        places = np.flatnonzero(weights) if weights.any() else np.zeros(1, dtype=int)
        hidden, targets = hidden[mx.array(places)], targets[mx.array(places)]
        weights = weights[places]
    losses = ops.linear_cross_entropy(hidden, model.model.embed_tokens.weight, targets)
    return (losses * mx.array(weights / counted)).sum()


def _lane_gradients(
    model: Model,
    parameters: Gradients,
    batches: list[MicroBatch],
    counted: int,
    dtype: mx.Dtype,
    at_once: int,
) -> tuple[Gradients, float]:
    tree = tree_unflatten(list(parameters.items()))
    gradient_of = mx.value_and_grad(lambda tree, *rest: _micro_loss(model, tree, dtype, *rest))
    total: Any = None
    loss = mx.array(0.0)
    for batch in batches:
        value, gradients = gradient_of(tree, batch, counted)
        total = gradients if total is None else tree_map(mx.add, total, gradients)
        loss = loss + value
        for group in _groups([array for _, array in tree_flatten(total)], at_once):
            mx.eval(loss, group)
    return dict(tree_flatten(total)), loss.item()


def _groups(items: list[Any], size: int) -> Iterator[list[Any]]:
    """The items, so many at a time."""
    return (items[start : start + size] for start in range(0, len(items), size))


def _lane_loss(
    model: Model,
    parameters: Gradients,
    batches: list[MicroBatch],
    counted: int,
    dtype: mx.Dtype,
) -> float:
    tree = tree_unflatten(list(parameters.items()))
    loss = 0.0
    for batch in batches:
        loss += _micro_loss(model, tree, dtype, batch, counted).item()
    return loss
