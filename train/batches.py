"""What one optimizer step reads: windows of a token stream, or whole conversations.

A batch is a pure function of (seed, step). So a resumed run needs to remember nothing but its step,
and two runs with one seed read the same text.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from mlx_toy.errors import UserError
from train.packing import Row, lay_out, pack
from train.schedule import WarmupStableDecay
from train.shards import Mixture, Shard

EMPTY_DRAWS = 1_000  # conversations in a row with nothing to learn, before we give up
ASSISTANT_WEIGHT = 5  # of the assistant's words in pretraining, where all words count
TRIES = 8  # conversations drawn for a place in a row, before a longer one is cut


@dataclass(frozen=True)
class MicroBatch:
    """Rows for one forward and backward pass.

    Attributes:
        tokens: int32 [B, T + 1]; inputs are all but the last column, targets all but the first.
        mask: float32 [B, T]: how much the target counts; 0 where it does not.
        documents: int32 [B, T]: the number of each input's document, where several share a row and
            none may see another; None where a row is one text.
    """

    tokens: np.ndarray
    mask: np.ndarray
    documents: np.ndarray | None = None


class Batches(Protocol):
    """What the training loop asks of its data."""

    def __call__(self, step: int) -> list[MicroBatch]:
        """The micro-batches of a step."""


def _rng(seed: int, step: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key=[seed, step]))


class WindowBatches:
    """Windows from anywhere in the token streams, sources drawn by their parts.

    A source of conversations gives whole ones, as many as fill a row, so that none sees another;
    all their words count here, as those of any text do, and the assistant's `ASSISTANT_WEIGHT`
    times: answers from passages are a fiftieth of the words, and what they ask of a model, to find
    a place and to copy from it, is learned from nothing else.

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
        choices = rng.choice(len(share), size=self._rows, p=share)
        rows = [_window_row(mixture.shards[choice], self._window, rng) for choice in choices]
        starts = range(0, self._rows, self._micro_rows)
        return [_micro_batch(rows[start : start + self._micro_rows]) for start in starts]


def _window_row(shard: Shard, window: int, rng: np.random.Generator) -> Row:
    if shard.loss_mask is not None:
        return _row_of_conversations(shard, window, rng)
    start = rng.integers(0, len(shard.tokens) - window)
    ids = shard.tokens[start : start + window + 1]
    return lay_out([(ids, np.ones(len(ids), dtype=np.uint8))], window)


def _row_of_conversations(shard: Shard, window: int, rng: np.random.Generator) -> Row:
    """As many as fit; whole ones if possible, because the end of one is what it leads up to."""
    documents: list[tuple[np.ndarray, np.ndarray]] = []
    room = window + 1
    while room > 1:  # one token alone has nothing to foretell
        for record in rng.integers(0, len(shard.offsets) - 1, size=TRIES):
            start, stop = int(shard.offsets[record]), int(shard.offsets[record + 1])
            if stop - start <= room:
                break
        stop = min(stop, start + room)
        weights = 1 + (ASSISTANT_WEIGHT - 1) * shard.loss_mask[start:stop]
        documents.append((shard.tokens[start:stop], weights))
        room -= stop - start
    return lay_out(documents, window)


def _micro_batch(rows: list[Row]) -> MicroBatch:
    tokens, mask = np.stack([row.tokens for row in rows]), np.stack([row.mask for row in rows])
    if not any(row.documents.any() for row in rows):
        return MicroBatch(tokens, mask)  # each row is one text
    return MicroBatch(tokens, mask, np.stack([row.documents for row in rows]))


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
    """Whole conversations, packed into rows in which none sees another.

    Rows have one of two lengths, because attention in a longer row costs more: a conversation that
    is longer than `window` tokens has a row of `context`, whose rest shorter ones fill. Plain-text
    sources of the mixture (replay) give windows of `window` tokens in which every target counts.

    Args:
        mixture: shards with their parts of the tokens.
        context: longest row in tokens; longer conversations are cut.
        window: tokens of a replayed text, and of a row of short conversations.
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
        documents: list[tuple[np.ndarray, np.ndarray]] = []
        tokens = empty = 0
        while tokens < self._tokens_per_step:
            shard = self._shards[rng.choice(len(self._shards), p=self._chances)]
            ids, mask = self._draw(shard, rng)
            if mask[1:].any():
                documents.append((ids, mask))
                tokens, empty = tokens + len(ids), 0
            elif (empty := empty + 1) == EMPTY_DRAWS:
                raise UserError(
                    f"the conversations in {shard.name!r} hold no assistant's words in their first "
                    f"{self._context} tokens: give shorter ones, or ones with answers"
                )
        return self._packed(documents)

    def _draw(self, shard: Shard, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        if shard.loss_mask is None:
            length = min(self._window, len(shard.tokens))
            start = rng.integers(0, len(shard.tokens) - length + 1)
            return shard.tokens[start : start + length], np.ones(length, dtype=np.uint8)
        record = rng.integers(0, len(shard.offsets) - 1)
        start, stop = shard.offsets[record], shard.offsets[record + 1]
        stop = min(stop, start + self._context)
        return shard.tokens[start:stop], shard.loss_mask[start:stop]

    def _packed(self, documents: list[tuple[np.ndarray, np.ndarray]]) -> list[MicroBatch]:
        lengths = (self._window, self._context)
        shares = pack([len(ids) for ids, _ in documents], [length + 1 for length in lengths])
        batches = []
        for length in sorted(set(lengths)):
            of_length = [share for places, share in shares if places == length + 1]
            rows = [lay_out([documents[index] for index in share], length) for share in of_length]
            most = max(1, self._micro_tokens // length)
            batches += [_micro_batch(rows[i : i + most]) for i in range(0, len(rows), most)]
        return batches
