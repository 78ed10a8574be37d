"""How surprised a model is by texts: summed negative log-likelihood, in nats.

Nats become bits per byte (divide by ln 2 and by the text's bytes), the figure that compares models
with different vocabularies. A text longer than the model's context is read in windows that overlap
by half, and each token is counted once, where it has the most text before it.
"""

from collections.abc import Collection, Generator, Sequence
from dataclasses import dataclass
from typing import Any

from mlx_toy.backend import mx

import mlx.nn as nn  # isort: skip  (after the backend, which must load the BLAS first)

MAX_WINDOW = 2048  # tokens: longer contexts change the figure little and cost memory
BATCH_LOGITS = 2**25  # logits of a batch at most: 134 MB in float32


@dataclass(frozen=True)
class Window:
    """A stretch of one text.

    Attributes:
        text: which text it is of.
        ids: its tokens.
        counted: how many of its last tokens count; those before are only read.
    """

    text: int
    ids: Sequence[int]
    counted: int


def with_start(tokenizer: Any, stop_ids: Collection[int], text: str) -> list[int]:
    """A text's ids after the token that begins a text, so that its first token counts too.

    A model without such a token is given the one that ends a text, as other evaluations do.
    """
    start = min(stop_ids) if tokenizer.bos_id is None else tokenizer.bos_id
    return [start, *tokenizer.encode(text)]


def score_steps(
    model: Any,
    texts: Sequence[Sequence[int]],
    context_length: int,
    counted: Sequence[int] | None = None,
) -> Generator[None, None, list[tuple[float, int]]]:
    """Score texts in batches of similar length, pausing after each batch.

    Args:
        model: ids [B, T] -> logits [B, T, V].
        texts: ids of each text; the first, which nothing predicts, is not counted.
        context_length: of the model, in tokens.
        counted: how many of the last tokens of each text count; None for all of them.

    Returns:
        For each text (nats, tokens): the sum over its counted tokens, and their number.
    """
    length = min(context_length, MAX_WINDOW)
    counts = [len(ids) for ids in texts] if counted is None else counted
    numbered = enumerate(zip(texts, counts, strict=True))
    windows = [w for i, (ids, count) in numbered for w in _windows(i, ids, count, length)]
    windows.sort(key=lambda window: len(window.ids))
    nats = [0.0] * len(texts)
    tokens = [0] * len(texts)
    start, vocab_size = 0, 0
    while start < len(windows):
        end = start + 1  # the first batch is one text: it shows how many logits a token has
        while vocab_size and end < len(windows):
            if (end + 1 - start) * len(windows[end].ids) * vocab_size > BATCH_LOGITS:
                break
            end += 1
        batch = windows[start:end]
        values, vocab_size = _batch_nats(model, batch)
        for window, value in zip(batch, values, strict=True):
            nats[window.text] += value
            tokens[window.text] += window.counted
        start = end
        yield
    return list(zip(nats, tokens, strict=True))


def _windows(text: int, ids: Sequence[int], count: int, length: int) -> list[Window]:
    """The stretches of a text that together count its last tokens, but never the first."""
    windows = []
    counted_to = max(1, len(ids) - count)
    while counted_to < len(ids):
        end = min(len(ids), length if counted_to == 1 else counted_to + length // 2)
        start = max(0, end - length)
        windows.append(Window(text, ids[start:end], end - counted_to))
        counted_to = end
    return windows


def _batch_nats(model: Any, batch: Sequence[Window]) -> tuple[list[float], int]:
    """Sums over the counted tokens of each window, and the size of the vocabulary."""
    longest = max(len(window.ids) for window in batch)
    padded = [[*window.ids, *[0] * (longest - len(window.ids))] for window in batch]
    ends = mx.array([len(window.ids) - 1 for window in batch])[:, None]
    counted = mx.array([window.counted for window in batch])[:, None]
    ids = mx.array(padded)  # [B, T]
    first = min(len(window.ids) - 1 - window.counted for window in batch)
    logits = model(ids[:, :-1])[:, first:]  # causal, so the padding behind changes nothing
    losses = nn.losses.cross_entropy(logits.astype(mx.float32), ids[:, 1 + first :])
    positions = mx.arange(first, longest - 1)[None]
    counts = (positions < ends) & (positions >= ends - counted)
    sums: Any = mx.where(counts, losses, 0.0).sum(axis=1).tolist()
    return sums, logits.shape[-1]
