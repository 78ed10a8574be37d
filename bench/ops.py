"""Our operations on a CPU beside MLX's own, and what was tried besides.

    OPENBLAS_NUM_THREADS=1 python bench/ops.py [--preset mini]

Every row times the forward and backward pass of one operation, in the shapes of a micro-batch of
the preset, with our code and with MLX's, in turn; the figure is the best of many rounds, in
microseconds a token over all layers. The last rows time the gradient of the whole model: with our
operations, with MLX's, and with MLX's under `mx.compile`.

What brought nothing and is not in: RMSNorm and rotary positions with NumPy (0.6 and 0.9 times MLX's
own speed), SwiGLU with every pass in NumPy, three lanes on two cores, micro-batches of 512 or 2,048
tokens instead of 1,024, other blocks of queries (32, 128 and 256), glibc with huge pages, without
fast bins, or with one arena.
"""

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

sys.path.insert(0, str(Path(__file__).parent.parent))

from mlx_toy.backend import info, mx

from mlx_toy import ops

import mlx.nn as nn  # isort: skip  (after the backend, which must load the BLAS first)

from mlx.utils import tree_unflatten

from mlx_toy.model import Model
from train.initial import initial_weights
from train.presets import Preset, preset

ROUNDS = 12


def _gradient(function: Callable[..., mx.array], inputs: list[mx.array]) -> Callable[[], None]:
    """A call that computes the function's gradients for all inputs."""
    argnums = tuple(range(len(inputs)))
    both = mx.value_and_grad(lambda *arrays: function(*arrays).sum(), argnums=argnums)
    return lambda: mx.eval(both(*inputs))


def _operations(size: Preset) -> dict[str, tuple[Callable, Callable, list[mx.array], int]]:
    """By name: ours, MLX's, the inputs, and how often a step of the model does it."""
    args, rows = size.model_args(size.vocab_size), max(1, size.micro_tokens // size.window)
    heads, shared, head_dim = args.num_attention_heads, args.num_key_value_heads, args.head_dim
    tokens, layers = rows * size.window, args.num_hidden_layers
    wide = [mx.random.normal((tokens, args.intermediate_size)) for _ in range(2)]
    attended = [
        mx.random.normal((rows, count, size.window, head_dim)) for count in (heads, shared, shared)
    ]
    hidden = mx.random.normal((tokens, args.hidden_size))
    weight = mx.random.normal((args.vocab_size, args.hidden_size))
    targets = mx.random.randint(0, args.vocab_size, (tokens,))
    scale, fused = head_dim**-0.5, mx.fast.scaled_dot_product_attention
    mx.eval(wide, attended, hidden, weight, targets)
    return {
        "SwiGLU": (ops.swiglu, lambda gate, up: nn.silu(gate) * up, wide, layers),
        "attention": (
            lambda *qkv: ops.attention(*qkv, scale, "causal"),
            lambda *qkv: fused(*qkv, scale=scale, mask="causal"),
            attended,
            layers,
        ),
        "logits and cross-entropy": (
            lambda hidden, weight: ops.linear_cross_entropy(hidden, weight, targets),
            lambda hidden, weight: nn.losses.cross_entropy(hidden @ weight.T, targets),
            [hidden, weight],
            1,
        ),
    }


def _whole_model(size: Preset) -> dict[str, Callable[[], None]]:
    """Calls that compute the gradient of the model's loss in three ways."""
    args, rows = size.model_args(size.vocab_size), max(1, size.micro_tokens // size.window)
    model, weights = Model(args), tree_unflatten(list(initial_weights(args, seed=0).items()))
    tokens = mx.random.randint(0, args.vocab_size, (rows, size.window + 1))

    def loss(weights: dict, tokens: mx.array) -> mx.array:
        model.update(weights)
        hidden = model.model(tokens[:, :-1]).reshape(-1, args.hidden_size)
        embedding = model.model.embed_tokens.weight
        return ops.linear_cross_entropy(hidden, embedding, tokens[:, 1:].reshape(-1)).mean()

    both = mx.value_and_grad(loss)
    compiled = mx.compile(both)

    def with_mlx(call: Callable) -> Callable[[], None]:
        def run() -> None:
            ours, ops.info = ops.info, lambda: SimpleNamespace(device="none")
            try:
                mx.eval(call(weights, tokens))
            finally:
                ops.info = ours

        return run

    return {
        "model, ours": lambda: mx.eval(both(weights, tokens)),
        "model, MLX's": with_mlx(both),
        "model, compiled": with_mlx(compiled),
    }


def _best(calls: list[Callable[[], None]]) -> list[float]:
    """Seconds of each call, at its best, taken in turn."""
    seconds = [float("inf")] * len(calls)
    for _ in range(ROUNDS):
        for index, call in enumerate(calls):
            began = time.perf_counter()
            call()
            seconds[index] = min(seconds[index], time.perf_counter() - began)
    return seconds


def main() -> None:
    """Time everything and print microseconds a token and ratios."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--preset", default="mini", help="size of the model (default: mini)")
    size = preset(parser.parse_args().preset)
    if info().device != "cpu":
        raise SystemExit("on a GPU the operations are MLX's own: there is nothing to compare")
    tokens = max(1, size.micro_tokens // size.window) * size.window
    print(f"{'us a token':24} {'ours':>8} {'MLX':>8} {'ratio':>7}")
    for name, (ours, theirs, inputs, times) in _operations(size).items():
        pair = _best([_gradient(ours, inputs), _gradient(theirs, inputs)])
        a, b = (seconds * times / tokens * 1e6 for seconds in pair)
        print(f"{name:24} {a:8.1f} {b:8.1f} {b / a:7.1f}")
    calls = _whole_model(size)
    seconds = _best(list(calls.values()))
    for name, one in zip(calls, seconds, strict=True):
        us = one / tokens * 1e6
        print(f"{name:24} {us:8.1f} {'':8} {one / seconds[0]:7.1f}")


if __name__ == "__main__":
    main()
