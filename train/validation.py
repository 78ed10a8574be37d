"""Bits per byte on held-out text: the one figure that compares models of different tokenizers."""

import math
from collections.abc import Callable
from pathlib import Path

from mlx_toy.backend import mx

import numpy as np

from train.batches import MicroBatch
from train.lanes import Lanes
from train.shards import open_shard, read_mixture_file

VALIDATION_ROWS = 24  # windows of each validation shard; the same ones every time


def validator(
    shards: Path, window: int
) -> Callable[[Lanes, dict[str, mx.array]], dict[str, float]]:
    """A function that measures bits per byte of each plain-text validation shard."""
    names = read_mixture_file(shards)["stages"]["pretrain"]
    found = [open_shard(shards, name, "valid") for name in names]
    sets = [s for s in found if s is not None and s.loss_mask is None and len(s.tokens) > window]
    batches = {}
    for shard in sets:
        rows = min(VALIDATION_ROWS, (len(shard.tokens) - 1) // window)
        starts = np.linspace(0, len(shard.tokens) - window - 1, rows).astype(int)
        tokens = np.stack([shard.tokens[s : s + window + 1] for s in starts]).astype(np.int32)
        ones = np.ones((4, window), dtype=np.float32)
        batches[shard.name] = [
            MicroBatch(part, ones[: len(part)]) for part in np.split(tokens, range(4, rows, 4))
        ]

    def validate(lanes: Lanes, weights: dict[str, mx.array]) -> dict[str, float]:
        return {
            f"bits per byte {shard.name}": lanes.loss(weights, batches[shard.name])
            / math.log(2)
            / shard.bytes_per_token
            for shard in sets
        }

    return validate
