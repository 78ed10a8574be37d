"""What one optimizer step reads: windows of a token stream, or whole conversations.

A batch is a pure function of (seed, step). So a resumed run needs to remember nothing but its step,
and two runs with one seed read the same text.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from mlx_toy.errors import UserError
from train.schedule import WarmupStableDecay
from train.shards import Mixture, Shard

EMPTY_DRAWS = 1_000  # conversations in a row with nothing to learn, before we give up
LENGTH_STEP = 32  # conversations are padded to a multiple of this, so that few shapes occur


@dataclass(frozen=True)
class MicroBatch:
    """Rows for one forward and backward pass.

    Attributes:
        tokens: int32 [B, T + 1]; inputs are all but the last column, targets all but the first.
        mask: float32 [B, T]: 1 where the target counts.
    """

    tokens: np.ndarray
    mask: np.ndarray


class Batches(Protocol):
    """What the training loop asks of its data."""

    def __call__(self, step: int) -> list[MicroBatch]:
        """The micro-batches of a step."""


def _rng(seed: int, step: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key=[seed, step]))


class WindowBatches:
    """Windows from anywhere in the token streams, sources drawn by their parts.

    Args:
        trunk: mixture of the warm-up and constant stretch.
        decay: mixture of the decay.
        schedule: says which stretch a step lies in.
        window: tokens a row T.
        rows: of one step.
        micro_rows: of one micro-batch.
        seed: of the draws.

    Raises:
        UserError: a shard is shorter than a window.
    """

    def __init__(
        self,
        trunk: Mixture,
        decay: Mixture,
        schedule: WarmupStableDecay,
        *,
        window: int,
        rows: int,
        micro_rows: int,
        seed: int,
    ):
        self._trunk, self._decay = _long_enough(trunk, window), _long_enough(decay, window)
        self._schedule = schedule
        self._window, self._rows, self._micro_rows, self._seed = window, rows, micro_rows, seed

    def __call__(self, step: int) -> list[MicroBatch]:
        """The micro-batches of a step."""
        rng = _rng(self._seed, step)
        mixture = self._decay if self._schedule.decays(step) else self._trunk
        share = np.asarray(mixture.parts) / sum(mixture.parts)
        length = self._window + 1
        rows = []
        for choice in rng.choice(len(share), size=self._rows, p=share):
            tokens = mixture.shards[choice].tokens
            start = rng.integers(0, len(tokens) - length + 1)
            rows.append(tokens[start : start + length])
        stacked = np.stack(rows).astype(np.int32)
        mask = np.ones((self._micro_rows, self._window), dtype=np.float32)
        return [
            MicroBatch(part, mask[: len(part)])
            for part in np.split(stacked, range(self._micro_rows, self._rows, self._micro_rows))
        ]


def _long_enough(mixture: Mixture, window: int) -> Mixture:
    kept = [
        (s, p) for s, p in zip(mixture.shards, mixture.parts, strict=True) if len(s.tokens) > window
    ]
    if not kept:
        names = ", ".join(sorted(shard.name for shard in mixture.shards))
        raise UserError(
            f"too little text: no shard ({names}) is as long as a window of {window + 1} tokens; "
            "give more text"
        )
    return Mixture([shard for shard, _ in kept], [part for _, part in kept])


class ConversationBatches:
    """Whole conversations, one a row, so that no conversation sees another.

    Rows of similar length share a micro-batch and are padded to its longest. Plain-text sources of
    the mixture (replay) give windows of `window` tokens in which every target counts.

    Args:
        mixture: shards with their parts of the tokens.
        context: longest row in tokens; longer conversations are cut.
        window: tokens of a replayed text.
        tokens_per_step: about, before padding.
        micro_tokens: rows times length of one micro-batch, at most.
        seed: of the draws.
    """

    def __init__(
        self,
        mixture: Mixture,
        *,
        context: int,
        window: int,
        tokens_per_step: int,
        micro_tokens: int,
        seed: int,
    ):
        self._shards = mixture.shards
        self._context, self._window = context, window
        self._tokens_per_step, self._micro_tokens, self._seed = tokens_per_step, micro_tokens, seed
        mean_length = np.asarray([self._mean_length(shard) for shard in mixture.shards])
        chances = np.asarray(mixture.parts) / mean_length
        self._chances = chances / chances.sum()

    def _mean_length(self, shard: Shard) -> float:
        if shard.loss_mask is None:
            return float(min(self._window, len(shard.tokens)))
        return float(np.minimum(np.diff(shard.offsets), self._context).mean())

    def __call__(self, step: int) -> list[MicroBatch]:
        """The micro-batches of a step."""
        rng = _rng(self._seed, step)
        rows: list[tuple[np.ndarray, np.ndarray]] = []
        tokens = empty = 0
        while tokens < self._tokens_per_step:
            shard = self._shards[rng.choice(len(self._shards), p=self._chances)]
            ids, mask = self._draw(shard, rng)
            if mask[1:].any():
                rows.append((ids, mask))
                tokens, empty = tokens + len(ids), 0
            elif (empty := empty + 1) == EMPTY_DRAWS:
                raise UserError(
                    f"the conversations in {shard.name!r} hold no assistant's words in their first "
                    f"{self._context} tokens: give shorter ones, or ones with answers"
                )
        rows.sort(key=lambda row: len(row[0]))
        return list(self._group(rows))

    def _draw(self, shard: Shard, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        if shard.loss_mask is None:
            length = min(self._window, len(shard.tokens))
            start = rng.integers(0, len(shard.tokens) - length + 1)
            return shard.tokens[start : start + length], np.ones(length, dtype=np.uint8)
        record = rng.integers(0, len(shard.offsets) - 1)
        start, stop = shard.offsets[record], shard.offsets[record + 1]
        stop = min(stop, start + self._context)
        return shard.tokens[start:stop], shard.loss_mask[start:stop]

    def _group(self, rows: list[tuple[np.ndarray, np.ndarray]]):
        while rows:
            length = -(-len(rows[-1][0]) // LENGTH_STEP) * LENGTH_STEP
            count = max(1, self._micro_tokens // length)
            part, rows = rows[-count:], rows[:-count]
            tokens = np.zeros((count, length + 1), dtype=np.int32)
            mask = np.zeros((count, length), dtype=np.float32)
            for index, (ids, learned) in enumerate(part):
                tokens[index, : len(ids)] = ids
                mask[index, : len(ids) - 1] = learned[1:]
            yield MicroBatch(tokens, mask)
