"""Let a model say only one of some given replies, and choose among them by their weights.

A logits processor for `Engine.generate`, so that a reply that was written beforehand is streamed,
stopped, timed and looked at token by token as any other is.
"""

import math
from collections.abc import Sequence
from typing import Any

from mlx_toy.backend import mx


class ReplyProcessor:
    """Sets the logits to those of the replies' next tokens.

    Args:
        replies: ids of each, with the token that ends it.
        weights: of each, positive: at temperature 1 it is said in this proportion.
        prompt_length: tokens before the reply.
    """

    def __init__(
        self, replies: Sequence[Sequence[int]], weights: Sequence[float], prompt_length: int
    ) -> None:
        self._replies = [(list(ids), weight) for ids, weight in zip(replies, weights, strict=True)]
        self._prompt_length = prompt_length

    def __call__(self, tokens: Any, logits: mx.array) -> mx.array:
        """Logits [1, V]: the logarithm of the weight of all replies that go on with a token."""
        said = tokens[self._prompt_length :].tolist()
        shares: dict[int, float] = {}
        for ids, weight in self._replies:
            if len(ids) > len(said) and ids[: len(said)] == said:
                shares[ids[len(said)]] = shares.get(ids[len(said)], 0.0) + weight
        if not shares:
            return logits  # the reply has ended: what is computed ahead is not used
        masked = mx.full(logits.shape, -math.inf, dtype=logits.dtype)
        masked[:, mx.array(list(shares))] = mx.array(
            [math.log(share) for share in shares.values()], dtype=logits.dtype
        )
        return masked
