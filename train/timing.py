"""Speed and memory of training on this computer: of a few real steps, and estimated.

A timed step is a step of `train/loop.py`: the same lanes, micro-batches and optimizer, on random
tokens. The operations of a token are counted as in `train/progress.py`; the memory of a preset that
was not timed is the sum of its arrays.
"""

import time
from dataclasses import dataclass

from mlx_toy.backend import compute_dtype, info, memory_bytes, mx

import numpy as np

from train.batches import MicroBatch
from train.initial import initial_weights
from train.lanes import Lanes, default_lanes
from train.optimizer import OptimizerSettings, initial_state
from train.presets import Preset
from train.progress import peak_memory_bytes, step_flops

STEPS = 2  # timed, after one that compiles and warms up
LIKELY_UTILISATION = 0.25  # of the matrix products' speed, for guessing how long a step takes
FLOAT32 = 4  # bytes of weights, gradients, moments and logits
# Arrays of [B, H, T, T] that attention keeps for the backward pass, and of [B, T, V] in the loss.
SCORES_KEPT = {"cpu": 2, "metal": 2, "cuda": 0}
LOGITS_KEPT = 4
BACKWARD = 2  # the backward pass holds about as much again


@dataclass(frozen=True)
class Timing:
    """What some steps of a preset took.

    Attributes:
        preset: its name.
        tokens_per_s: of training.
        flops_per_s: floating-point operations of the model's arithmetic a second.
        peak_memory_bytes: of the device on a GPU, of this process on a CPU.
    """

    preset: str
    tokens_per_s: float
    flops_per_s: float
    peak_memory_bytes: int


@dataclass(frozen=True)
class Memory:
    """Bytes that training holds at its peak, by what they are for."""

    weights: int
    gradients: int
    optimizer: int
    activations: int

    @property
    def total(self) -> int:
        """All of them."""
        return self.weights + self.gradients + self.optimizer + self.activations


def flops_per_token(size: Preset) -> float:
    """Floating-point operations of a token in pretraining, forward and backward."""
    row = np.zeros((1, size.window + 1), dtype=np.int32)
    batch = MicroBatch(row, np.ones((1, size.window), dtype=np.float32))
    args = size.model_args(size.vocab_size)
    return step_flops(args, size.parameters, [batch]) / size.window


def flops_per_step(size: Preset) -> float:
    """Floating-point operations of an optimizer step."""
    return flops_per_token(size) * size.tokens_per_step


def device_memory_bytes() -> int:
    """What training may use: the GPU's memory, or the computer's."""
    if info().device == "cpu":
        return memory_bytes()
    return int(mx.device_info().get("memory_size") or memory_bytes())


def memory(size: Preset, lanes: int | None = None) -> Memory:
    """Estimated memory of pretraining, by counting arrays.

    Args:
        size: of the model.
        lanes: threads, each with a micro-batch; the device's default when None.
    """
    lanes = lanes or default_lanes()
    args, device = size.model_args(size.vocab_size), info().device
    width, parameters = args.hidden_size, size.parameters
    item = compute_dtype().size
    copies = lanes * parameters * item if device != "cpu" else 0  # cast for the computation
    moments = parameters + args.vocab_size * width  # Muon keeps one, AdamW two
    keys = args.num_key_value_heads * args.head_dim
    per_layer = 9 * width + 4 * keys + 4 * args.intermediate_size
    per_layer += SCORES_KEPT[device] * args.num_attention_heads * size.window
    per_token = item * args.num_hidden_layers * per_layer
    per_token += LOGITS_KEPT * FLOAT32 * args.vocab_size
    return Memory(
        weights=2 * FLOAT32 * parameters + copies,  # the old and the new ones
        gradients=2 * lanes * FLOAT32 * parameters,  # a micro-batch's and their sum
        optimizer=2 * FLOAT32 * moments,
        activations=BACKWARD * lanes * per_token * min(size.micro_tokens, size.tokens_per_step),
    )


def peak_flops() -> float:
    """Operations a second of matrix products alone, on all lanes at once."""
    from train.presets import of_width

    smallest = of_width("smallest", 64)
    with Lanes(smallest.model_args(smallest.vocab_size)) as team:
        return team.matmul_flops()


def likely_seconds(size: Preset, peak: float) -> float:
    """How long timing a preset may take, before it is tried."""
    return (STEPS + 1) * flops_per_step(size) / (peak * LIKELY_UTILISATION)


def time_steps(size: Preset, steps: int = STEPS) -> Timing:
    """Train for a few steps, and forget the weights.

    Args:
        size: what to train.
        steps: that are timed, after one that is not.
    """
    args = size.model_args(size.vocab_size)
    rates = OptimizerSettings(size.matrix_rate, size.other_rate)
    batches = _random_batches(size)
    weights = initial_weights(args, seed=0)
    state = initial_state(weights)
    mx.eval(state)
    if info().device != "cpu":
        mx.reset_peak_memory()
    seconds = []
    with Lanes(args) as team:
        for step in range(steps + 1):
            began = time.perf_counter()
            gradients, _, _ = team.gradients(weights, batches)
            weights, state, _ = team.update(weights, gradients, state, rates, step, 1.0)
            seconds.append(time.perf_counter() - began)
    mean = sum(seconds[1:]) / steps
    tokens = sum(batch.mask.size for batch in batches)
    flops = step_flops(args, size.parameters, batches)
    return Timing(size.name, tokens / mean, flops / mean, peak_memory_bytes())


def _random_batches(size: Preset) -> list[MicroBatch]:
    """The micro-batches of a step, in their real shapes."""
    rng = np.random.default_rng(0)
    rows = max(1, size.tokens_per_step // size.window)
    micro_rows = max(1, size.micro_tokens // size.window)
    tokens = rng.integers(0, size.vocab_size, (rows, size.window + 1)).astype(np.int32)
    ones = np.ones((micro_rows, size.window), dtype=np.float32)
    parts = np.split(tokens, range(micro_rows, rows, micro_rows))
    return [MicroBatch(part, ones[: len(part)]) for part in parts]
