"""What an experiment reads: windows of the text, easy documents first if it has a curriculum, and
the held-out text, whole.
"""

from collections.abc import Callable

import numpy as np

from bench.experiment_text import ExperimentText
from train.batches import MicroBatch, WindowBatches
from train.schedule import WarmupStableDecay
from train.shards import Mixture, Shard

LOGITS_BYTES = 16 << 20  # of one micro-batch: larger arrays leave the CPU's caches
MOST_ROWS = 4  # of one micro-batch
EASY_SHARES = (0.2, 0.4, 0.6, 0.8)  # of the tokens, easiest first, one after the other
EASY_PART = 0.4  # of the steps; the rest reads everything


def training_batches(
    data: ExperimentText,
    schedule: WarmupStableDecay,
    *,
    window: int,
    rows: int,
    seed: int,
    curriculum: bool,
) -> Callable[[int], list[MicroBatch]]:
    """Windows from anywhere in the text.

    With a curriculum (Bengio et al. 2009) the first steps draw from a growing part of the
    documents, the easiest ones; within it they stand in the same order as without.
    """

    def windows(tokens: np.ndarray) -> WindowBatches:
        offsets = np.array([0, len(tokens)])
        shard = Shard("text", tokens, offsets, None, 0, "", len(data.bytes_of_id))
        text = Mixture([shard], [1.0])
        micro_rows = _micro_rows(data, window)
        return WindowBatches(
            text, text, schedule, window=window, rows=rows, micro_rows=micro_rows, seed=seed
        )

    everything = windows(data.tokens)
    if not curriculum:
        return everything
    stages = [windows(data.easiest(share)) for share in EASY_SHARES]
    stage_steps = EASY_PART * schedule.steps / len(stages)

    def batches(step: int) -> list[MicroBatch]:
        stage = int(step / stage_steps)
        return stages[stage](step) if stage < len(stages) else everything(step)

    return batches


def held_out_batches(data: ExperimentText, window: int) -> list[MicroBatch]:
    """All held-out text, window after window; the last one is padded, so that none is lost."""
    targets = len(data.held_out) - 1
    rows = -(-targets // window)
    ids = np.zeros(rows * window + 1, dtype=np.int32)
    ids[: targets + 1] = data.held_out
    tokens = np.stack([ids[i * window : (i + 1) * window + 1] for i in range(rows)])
    mask = (np.arange(rows * window) < targets).astype(np.float32).reshape(rows, window)
    cuts = range(_micro_rows(data, window), rows, _micro_rows(data, window))
    parts = zip(np.split(tokens, cuts), np.split(mask, cuts), strict=True)
    return [MicroBatch(*part) for part in parts]


def _micro_rows(data: ExperimentText, window: int) -> int:
    row_bytes = 4 * window * len(data.bytes_of_id)
    return max(1, min(MOST_ROWS, LOGITS_BYTES // row_bytes))
