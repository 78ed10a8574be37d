"""An answer in the making: the tokens of one request, and the figures about them.

The owner thread runs `decode_steps`, which feeds a `Generation`; the caller loops over it in a
thread of its own.
"""

import queue
import time
from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any, Literal

from mlx_toy.backend import mx

from mlx_toy.loaded_model import LoadedModel
from mlx_toy.sampling import LogitsProcessor, Sampling, make_processors, make_sampler
from mlx_toy.worker import Job, JobCancelled, Steps

PREFILL_TOKENS = 256  # of a prompt read at a time: how long others wait, how late a cancel can be

Finish = Literal["stop", "length", "cancelled", "error"]


@dataclass(frozen=True)
class Chunk:
    """What one token adds.

    Attributes:
        text: whole characters only, so it may be empty; joined, the texts are the answer.
        token: its id; None for text that was held back until the token that ended the answer.
        logprob: natural logarithm of its probability, before the temperature.
    """

    text: str
    token: int | None
    logprob: float


@dataclass(frozen=True)
class Stats:
    """Figures of one generation, so far.

    Attributes:
        prompt_tokens: length of the prompt.
        tokens: length of the answer, without the token that ended it.
        time_to_first_token_s: from the request to its first token, waiting included; None before.
        tokens_per_s: speed after the first token; None before the second.
        finish: why it ended: "stop" is by itself; None while it runs.
    """

    prompt_tokens: int
    tokens: int = 0
    time_to_first_token_s: float | None = None
    tokens_per_s: float | None = None
    finish: Finish | None = None


class Generation:
    """A request and its answer: iterate over it, once, for its chunks.

    Leaving the loop early cancels it. An error in the model or in a logits processor is raised
    from the loop.

    Attributes:
        prompt_ids: what is continued.
        stats: the figures so far.
    """

    def __init__(self, prompt_ids: Sequence[int], start: Callable[["Generation"], Steps[None]]):
        self.prompt_ids = tuple(prompt_ids)
        self.stats = Stats(len(self.prompt_ids))
        self.job: Job[None] = Job(lambda: start(self))  # for the engine, which submits it
        self.job.when_done(self._end)
        self._chunks: queue.SimpleQueue[Chunk | None] = queue.SimpleQueue()
        self._began = time.perf_counter()

    def __iter__(self) -> Iterator[Chunk]:
        try:
            while (chunk := self._chunks.get()) is not None:
                yield chunk
            self._chunks.put(None)  # so that another loop ends too
            error = self.job.error()
            if error is not None and not isinstance(error, JobCancelled):
                raise error
        finally:
            self.cancel()

    def cancel(self) -> None:
        """Stop within one token; the loop over the chunks then ends."""
        self.job.cancel()

    def put(self, text: str, token: int | None, logprob: float) -> None:
        """Hand a chunk to the caller. For the owner thread, as is all below."""
        self._chunks.put(Chunk(text, token, logprob))

    def count_token(self) -> None:
        """Note that the answer has grown by a token, now."""
        elapsed = time.perf_counter() - self._began
        first = self.stats.time_to_first_token_s or elapsed
        tokens = self.stats.tokens + 1
        speed = (tokens - 1) / (elapsed - first) if elapsed > first else None
        self.stats = replace(
            self.stats, tokens=tokens, time_to_first_token_s=first, tokens_per_s=speed
        )

    def finish(self, reason: Finish) -> None:
        """Note why it ended; the first reason stands."""
        if self.stats.finish is None:
            self.stats = replace(self.stats, finish=reason)

    def _end(self) -> None:
        self.finish("cancelled" if isinstance(self.job.error(), JobCancelled) else "error")
        self._chunks.put(None)


def decode_steps(
    generation: Generation,
    loaded: LoadedModel,
    prompt_ids: Sequence[int],
    sampling: Sampling,
    stop_ids: Collection[int],
    logits_processors: Sequence[LogitsProcessor],
) -> Generator[None, None, None]:
    """The steps of one generation: the prompt in pieces, then a token a step."""
    from mlx_lm.generate import generate_step
    from mlx_lm.models.cache import make_prompt_cache

    prompt = mx.array(list(prompt_ids))
    cache = make_prompt_cache(loaded.model)
    last = len(prompt_ids) - 1
    for start in range(0, last, PREFILL_TOKENS):
        loaded.model(prompt[start : min(start + PREFILL_TOKENS, last)][None], cache=cache)
        mx.eval([layer.state for layer in cache])
        yield
    tokens: Any = generate_step(  # (id, log-probabilities [V]); mlx-lm's annotation is wrong
        prompt[last:],
        loaded.model,
        mx.default_stream(mx.default_device()),  # this thread's own
        max_tokens=sampling.max_tokens,
        sampler=make_sampler(sampling),
        logits_processors=make_processors(sampling, prompt, logits_processors),
        prompt_cache=cache,
    )
    detokenizer = loaded.detokenizer()
    with closing(tokens):  # here and now: it must not be left to the caller's thread
        for token, logprobs in tokens:
            logprob = logprobs[token].item()
            if token in stop_ids:
                if held_back := detokenizer.finish():
                    generation.put(held_back, None, 0.0)
                return generation.finish("stop")
            generation.count_token()
            text = detokenizer.add(token)
            if generation.stats.tokens == sampling.max_tokens:
                generation.put(text + detokenizer.finish(), token, logprob)
                return generation.finish("length")
            generation.put(text, token, logprob)
            yield
