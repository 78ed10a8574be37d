"""Documents that share a row: few places stay empty, and none sees another."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlx_toy.model import ModelArgs
from train.batches import ConversationBatches, MicroBatch, WindowBatches
from train.initial import initial_weights
from train.lanes import Lanes
from train.packing import lay_out, pack
from train.schedule import WarmupStableDecay
from train.shards import Mixture, Shard

ARGS = ModelArgs(
    hidden_size=64,
    num_hidden_layers=2,
    intermediate_size=128,
    num_attention_heads=2,
    num_key_value_heads=1,
    head_dim=32,
    vocab_size=120,
)


def conversations(lengths: list[int], seed: int = 0) -> Shard:
    rng = np.random.default_rng(seed)
    total = sum(lengths)
    return Shard(
        name="talk",
        tokens=rng.integers(3, 120, total).astype(np.uint16),
        offsets=np.concatenate([[0], np.cumsum(lengths)]),
        loss_mask=(rng.random(total) < 0.5).astype(np.uint8),
        bytes=total,
        tokenizer_sha256="",
        vocab_size=120,
    )


@given(st.lists(st.integers(1, 50), max_size=60))
def test_every_document_has_one_place_and_no_row_is_too_full(lengths: list[int]) -> None:
    rows = pack(lengths, [20, 50])
    assert sorted(index for _, row in rows for index in row) == list(range(len(lengths)))
    for capacity, row in rows:
        places = [lengths[index] for index in row]
        assert 0 < sum(places) <= capacity
        assert capacity == 20 or max(places) > 20
    # two rows that are at most half full would have been one
    assert sum(2 * sum(lengths[i] for i in row) <= capacity for capacity, row in rows) <= 1


def test_packed_documents_learn_what_they_learn_alone() -> None:
    lengths = [7, 150, 31, 2, 60]
    shard, weights = conversations(lengths), initial_weights(ARGS, seed=0)
    documents = [
        (shard.tokens[a:b], shard.loss_mask[a:b])
        for a, b in zip(shard.offsets, shard.offsets[1:], strict=False)
    ]
    row = lay_out(documents, 260)
    packed = [MicroBatch(row.tokens[None], row.mask[None], row.documents[None])]
    alone = []
    for ids, learned in documents:
        one = lay_out([(ids, learned)], len(ids) - 1)
        alone.append(MicroBatch(one.tokens[None], one.mask[None]))
    with Lanes(ARGS, 1) as team:
        together, loss, counted = team.gradients(weights, packed)
        apart, loss_apart, counted_apart = team.gradients(weights, alone)
    assert counted == counted_apart
    assert loss == pytest.approx(loss_apart, rel=1e-5)
    for name, gradient in together.items():
        assert np.allclose(np.array(gradient), np.array(apart[name]), atol=1e-5), name


def test_conversations_are_packed_whole() -> None:
    shard = conversations([5, 9, 14, 20, 33, 70] * 10)
    batches = ConversationBatches(
        Mixture([shard], [1.0]),
        context=80,
        window=40,
        tokens_per_step=800,
        micro_tokens=160,
        seed=0,
    )
    texts = {
        tuple(shard.tokens[a:b]) for a, b in zip(shard.offsets, shard.offsets[1:], strict=False)
    }
    places = filled = 0
    for batch in batches(1):
        assert batch.tokens.shape[1] in (41, 81)
        assert batch.mask.size <= 160
        places += batch.tokens.size
        for tokens, numbers in zip(batch.tokens, _numbers(batch), strict=True):
            # the last place of a row is a target only: it belongs to the document before it,
            # or, where that is whole already, to the padding
            for number in np.unique(numbers):
                ids = tuple(tokens[:-1][numbers == number])
                longer = (*ids, tokens[-1])
                if any(ids):
                    assert ids in texts or longer in texts
                    filled += len(ids)
    assert filled > 0.8 * places


def test_windows_of_conversations_keep_them_apart() -> None:
    shard = conversations([5, 9, 14, 20, 33, 70] * 10)
    schedule = WarmupStableDecay(10, 1, 5)
    mixture = Mixture([shard], [1.0])
    batches = WindowBatches(mixture, mixture, schedule, window=64, rows=6, micro_rows=2, seed=0)
    starts = set(shard.tokens[shard.offsets[:-1]].tolist())
    for batch in batches(7):
        for tokens, mask, numbers in zip(batch.tokens, batch.mask, batch.documents, strict=True):
            first = np.flatnonzero(np.diff(numbers, prepend=-1))
            assert all(tokens[place] in starts for place in first)
            # every word counts but the first of a document, which nothing foretells
            targets = np.flatnonzero(mask == 0) + 1
            assert set(targets) == {place for place in first if place} | (
                {64} & set(targets.tolist())
            )


def _numbers(batch: MicroBatch) -> np.ndarray:
    if batch.documents is None:
        return np.zeros(batch.mask.shape, dtype=np.int32)
    return batch.documents
