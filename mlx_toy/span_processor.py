"""Let a model write only what a grammar allows, and note how sure it is while it does.

The notes are what abstention is decided by: the probabilities before anything was forbidden, that
of the model's own words and that of the refusal which it has learned.
"""

import math
from typing import Any

from mlx_toy.backend import mx

from mlx_toy.span_grammar import SpanGrammar


class SpanProcessor:
    """A logits processor that lets only the grammar's tokens through.

    The first token also counts for how likely its span was before the model was asked.

    Args:
        grammar: of the answer.
        prompt_length: tokens before the answer.
        refusal_id: the first token of the refusal, as the model would write it.

    Attributes:
        grammar: as given.
        logprobs: natural logarithm of each written token's probability among all tokens; that of
            the last token is missing.
        refusal_logprob: the same of `refusal_id` as the first token; None before it was read.
    """

    def __init__(self, grammar: SpanGrammar, prompt_length: int, refusal_id: int):
        self.grammar, self._prompt_length = grammar, prompt_length
        self._refusal_id = refusal_id
        self._states, self._read = grammar.start, 0
        self._all: mx.array | None = None  # log-probabilities [1, V] of the token before this one
        self.logprobs: list[float] = []
        self.refusal_logprob: float | None = None

    def __call__(self, tokens: Any, logits: mx.array) -> mx.array:
        """Set the logits [1, V] of all other tokens to minus infinity, and add the priors."""
        written = tokens[self._prompt_length :].tolist()
        for token in written[self._read :]:
            self._states = self.grammar.advance(self._states, token)
            if self._all is not None:
                self.logprobs.append(_number(self._all[0, token]))
        self._read = len(written)
        allowed = self.grammar.allowed(self._states)
        if not allowed:
            return logits  # the answer has ended: what is computed ahead is not used
        self._all = logits - mx.logsumexp(logits, axis=-1, keepdims=True)
        if not written:
            self.refusal_logprob = _number(self._all[0, self._refusal_id])
        ids = sorted(allowed)
        priors = {} if written else self.grammar.priors()
        favour = mx.array([priors.get(token, 0.0) for token in ids], dtype=logits.dtype)
        masked = mx.full(logits.shape, -math.inf, dtype=logits.dtype)
        masked[:, mx.array(ids)] = logits[:, mx.array(ids)] + favour
        return masked


def _number(value: Any) -> float:
    return float(value.item())
