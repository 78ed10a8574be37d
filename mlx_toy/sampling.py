"""How the next token is chosen: temperature, nucleus, top-k, repetition penalty and seed.

mlx-lm's filters do the work. The random key is a request's own, not the process's, so that a seed
gives the same text however many other requests run at the same time.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mlx_toy.backend import mx

from mlx_toy.errors import UserError

Sampler = Callable[[mx.array], mx.array]
LogitsProcessor = Callable[[mx.array, mx.array], mx.array]

WHOLE = ("top_k", "max_tokens", "seed")
MOST = 100  # of what divides logits: beyond it nothing changes any more
REPETITION_WINDOW = 64  # tokens looked back at: more than a sentence, so that loops end


@dataclass(frozen=True)
class Sampling:
    """How to choose tokens, and when to stop at the latest.

    Attributes:
        temperature: divides the logits; 0 always takes the most likely token.
        top_p: keep the most likely tokens that together have this probability; 1 keeps all.
        top_k: keep this many of the most likely tokens; 0 keeps all.
        repetition_penalty: weakens tokens that the answer used lately; 1 changes nothing. The
            prompt does not count: an answer may quote it.
        max_tokens: the longest answer.
        seed: the same seed and prompt give the same text; None is different each time.

    Raises:
        UserError: a value outside its range.
    """

    temperature: float = 0.4
    top_p: float = 0.95
    top_k: int = 50
    repetition_penalty: float = 1.1
    max_tokens: int = 200
    seed: int | None = None

    def __post_init__(self) -> None:
        for name in WHOLE:
            value = getattr(self, name)
            if not isinstance(value, int | None) or isinstance(value, bool):
                raise UserError(f"{name} is {value!r}: it must be a whole number")
        ranges = (
            ("temperature", 0 <= self.temperature <= MOST, f"0 to {MOST}"),
            ("top_p", 0 < self.top_p <= 1, "more than 0 and at most 1"),
            ("top_k", self.top_k >= 0, "0 or more"),
            ("repetition_penalty", 1 <= self.repetition_penalty <= MOST, f"1 to {MOST}"),
            ("max_tokens", self.max_tokens >= 1, "1 or more"),
            ("seed", self.seed is None or 0 <= self.seed < 2**64, "0 to 2**64 - 1"),
        )
        for name, fits, wanted in ranges:
            if not fits:
                raise UserError(f"{name} is {getattr(self, name)}: it must be {wanted}")


GREEDY = Sampling(temperature=0.0, top_p=1.0, top_k=0, repetition_penalty=1.0)


def make_sampler(sampling: Sampling) -> Sampler:
    """A function from log-probabilities [1, V] to a token [1]; call it in one thread only."""
    from mlx_lm import sample_utils

    if sampling.temperature == 0:
        return sample_utils.greedy_sampler
    seed = random.getrandbits(32) if sampling.seed is None else sampling.seed
    key = mx.random.key(seed)

    def sample(logprobs: mx.array) -> mx.array:
        nonlocal key
        if sampling.top_p < 1:
            logprobs = sample_utils.apply_top_p(logprobs, sampling.top_p)
        if 0 < sampling.top_k < logprobs.shape[-1]:
            logprobs = sample_utils.apply_top_k(logprobs, sampling.top_k)
        key, now = mx.random.split(key)
        return mx.random.categorical(logprobs / sampling.temperature, key=now)

    return sample


def make_processors(
    sampling: Sampling, prompt: mx.array, others: Sequence[LogitsProcessor]
) -> list[LogitsProcessor]:
    """What changes the logits before a token is chosen: the repetition penalty, then `others`.

    Args:
        sampling: the settings.
        prompt: ids [T]; generation starts from its last, so the rest is put back in front of the
            tokens that processors see.
        others: functions (all tokens so far [T], logits [1, V]) -> logits, in mlx-lm's convention.
    """
    from mlx_lm.sample_utils import make_repetition_penalty

    def see_whole_prompt(processor: LogitsProcessor) -> LogitsProcessor:
        return lambda tokens, logits: processor(mx.concatenate([prompt[:-1], tokens]), logits)

    processors = [see_whole_prompt(processor) for processor in others]
    if sampling.repetition_penalty == 1:
        return processors
    penalize = make_repetition_penalty(sampling.repetition_penalty, REPETITION_WINDOW)
    return [lambda tokens, logits: penalize(tokens[1:], logits), *processors]


def penalty_from(start: int, penalty: float) -> LogitsProcessor:
    """The repetition penalty for an answer that is gone on with: its first tokens count, too.

    Args:
        start: place in all tokens at which the answer begins.
        penalty: as in `Sampling`, whose own must then be 1.
    """
    from mlx_lm.sample_utils import make_repetition_penalty

    penalize = make_repetition_penalty(penalty, REPETITION_WINDOW)
    return lambda tokens, logits: penalize(tokens[start:], logits)
