"""The engine: one thread owns the model, any number of callers get streamed tokens.

    with Engine.load() as engine:
        prompt = engine.render([{"role": "user", "content": "Why is the sky blue?"}])
        for chunk in engine.generate(prompt, Sampling(max_tokens=100)):
            print(chunk.text, end="", flush=True)

Requests run side by side, a token each in turn (`worker.py` says why there is one thread). Caches
and decoding are mlx-lm's. Every method may be called from any thread. A function of the caller's
that runs in the owner thread (`run`, a logits processor) must not call the engine and wait for it.
"""

import atexit
from collections.abc import Callable, Collection, Generator, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from types import GeneratorType
from typing import Any

from mlx_toy.backend import mx

import numpy as np

from mlx_toy.chat import Message
from mlx_toy.errors import UserError
from mlx_toy.generation import Chunk, Generation, Stats, decode_steps
from mlx_toy.loaded_model import LoadedModel, load, locate
from mlx_toy.sampling import GREEDY, LogitsProcessor, Sampling
from mlx_toy.scoring import score_steps
from mlx_toy.selector import Selector
from mlx_toy.token_bytes import TokenBytes
from mlx_toy.worker import Job, Worker

__all__ = ["GREEDY", "Chunk", "Engine", "Generation", "Sampling", "Stats"]


class Engine:
    """A loaded model and the thread that owns it. Make one with `Engine.load`.

    Attributes:
        name: of the model, for people.
        is_ours: whether mlx-toy trained it; then `tokenizer` is a `mlx_toy.tokenizer.Tokenizer`.
        tokenizer: `encode`, `decode`, `vocab_size`, `bos_id`, and more for our own models.
        context_length: prompt and answer together, in tokens.
        stop_ids: tokens that end an answer.
        parameters: number of weights.
        calibration: when an answer from passages is refused; None if that was not measured.
    """

    def __init__(self, load_model: Callable[[], LoadedModel]):
        # MLX asks a thread to clear what it keeps for it; unasked, it does so too late and aborts
        self._worker = Worker("mlx-toy engine", at_end=mx.clear_streams)
        atexit.register(self.close)  # MLX must not be at work when the interpreter goes down
        try:
            loading = Job(lambda: _steps(lambda: _prepare(load_model())))
            self._loaded, self.parameters = self._worker.submit(loading).result()
        except BaseException:
            self.close()
            raise
        self.name, self.is_ours = self._loaded.name, self._loaded.is_ours
        self.tokenizer = self._loaded.tokenizer
        self.context_length = self._loaded.context_length
        self.stop_ids = self._loaded.stop_ids
        self.calibration = self._loaded.calibration

    @classmethod
    def load(cls, path_or_name: str | Path | None = None) -> "Engine":
        """Load a model in a new thread of its own and wait until it is ready.

        Args:
            path_or_name: a model directory, the name of any mlx-lm chat model on the Hugging Face
                hub, or None or "" for the bundled model.

        Raises:
            UserError: there is no such model, or it is broken.
        """
        path, name = locate(path_or_name)  # in this thread, so that Ctrl-C ends a download
        return cls(lambda: load(path, name))

    @cached_property
    def token_bytes(self) -> TokenBytes:
        """What each token spells; made when it is first asked for."""
        return self._loaded.token_bytes()

    @cached_property
    def selector(self) -> Selector | None:
        """What chooses among the replies that were written for the model; None without any.

        Raises:
            UserError: it is broken.
        """
        load = self._loaded.selector
        return load(self.reply_nats, self.reply_states) if load else None

    def render(self, messages: Sequence[Message], add_generation_prompt: bool = True) -> list[int]:
        """A conversation to prompt ids, in the chat format of the model."""
        return self._loaded.render(messages, add_generation_prompt)

    def generate(
        self,
        prompt_ids: Sequence[int],
        sampling: Sampling | None = None,
        stop_ids: Collection[int] | None = None,
        logits_processors: Sequence[LogitsProcessor] = (),
    ) -> Generation:
        """Continue a prompt.

        Args:
            prompt_ids: at least one id.
            sampling: how to choose tokens; None for the default settings.
            stop_ids: tokens that end the answer; None for the model's own.
            logits_processors: functions (all tokens so far [T], logits [1, V]) -> logits, called
                in the owner thread, one token ahead of the chunks.

        Raises:
            UserError: the prompt leaves no room for an answer.
        """
        sampling = sampling or Sampling()
        stops = self.stop_ids if stop_ids is None else frozenset(stop_ids)
        prompt = self._checked(prompt_ids)
        room = self.context_length - len(prompt)
        if room < 1:
            raise UserError(
                f"the text has {len(prompt)} tokens but this model reads at most "
                f"{self.context_length - 1}: make it shorter"
            )
        sampling = replace(sampling, max_tokens=min(sampling.max_tokens, room))
        generation = Generation(
            prompt,
            lambda self_: decode_steps(
                self_, self._loaded, prompt, sampling, stops, logits_processors
            ),
        )
        self._worker.submit(generation.job)
        return generation

    def score(
        self, texts: Sequence[Sequence[int]], counted: Sequence[int] | None = None
    ) -> list[tuple[float, int]]:
        """Summed nats of texts, and the number of tokens summed over.

        Args:
            texts: ids, each beginning with bos.
            counted: how many of the last tokens of each are summed over; None for all but the
                first, which nothing predicts.
        """
        checked = [self._checked(ids) for ids in texts]
        model, length = self._loaded.model, self.context_length
        job = Job(lambda: score_steps(model, checked, length, counted))
        return self._worker.submit(job).result()

    def reply_nats(self, pairs: Sequence[tuple[Sequence[Message], str]]) -> list[tuple[float, int]]:
        """How surprised the model is by replies, the token that ends them included.

        For our own models.

        Args:
            pairs: a conversation and a reply to its last message.

        Returns:
            For each the summed nats of the reply, and its number of tokens.
        """
        texts: dict[tuple[tuple[int, ...], int], int] = {}  # each is read once
        places = []
        for messages, reply in pairs:
            said = [*self.tokenizer.encode(reply), self.tokenizer.end_id]
            text = (*self.render(messages), *said), len(said)
            places.append(texts.setdefault(text, len(texts)))
        scored = self.score([ids for ids, _ in texts], [count for _, count in texts])
        return [scored[place] for place in places]

    def reply_states(self, conversations: Sequence[Sequence[Message]]) -> np.ndarray:
        """What the model makes of conversations just before it replies [N, hidden size], float32.

        The last layer's normalised state, from which the first token of a reply is foretold. For
        our own models.
        """
        prompts = [self.render(messages) for messages in conversations]

        def states(model: Any, tokenizer: Any) -> list[mx.array]:
            found = []
            for prompt in prompts:
                found.append(model.model(mx.array([prompt]))[0, -1].astype(mx.float32))
                mx.eval(found[-1])
            return found

        return np.array([np.array(state) for state in self.run(states)])

    def submit(self, function: Callable[[Any, Any], Any]) -> Job[Any]:
        """Run a function of (model, tokenizer) in the owner thread.

        A generator function takes turns with other requests at each `yield`, where it can also be
        cancelled; what it returns is the result. Arrays in the result (in lists, tuples and
        dictionaries too) are computed before it crosses threads.

        Returns:
            The job, with `result()` to wait and `cancel()`.
        """
        return self._worker.submit(
            Job(lambda: _steps(lambda: function(self._loaded.model, self.tokenizer)))
        )

    def run(self, function: Callable[[Any, Any], Any]) -> Any:
        """`submit`, and wait for the result; interrupting the wait cancels."""
        return self.submit(function).result()

    def close(self) -> None:
        """End every request and the thread; returns once it has ended."""
        atexit.unregister(self.close)
        self._worker.close()

    def __enter__(self) -> "Engine":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _checked(self, ids: Sequence[int]) -> list[int]:
        """The ids, none of which lies outside the embedding, where MLX would read other memory."""
        ids = list(ids)
        if not ids or min(ids) < 0 or max(ids) >= self.tokenizer.vocab_size:
            raise ValueError("give at least one id, each from the model's own tokenizer")
        return ids


def _steps(function: Callable[[], Any]) -> Generator[Any, None, Any]:
    """The steps of a function: one, or those of the generator that it returns."""
    result = function()
    if isinstance(result, GeneratorType):
        result = yield from result
    mx.eval(result)
    return result


def _prepare(loaded: LoadedModel) -> tuple[LoadedModel, int]:
    """The model and its number of parameters, with its memory kept resident on Apple's GPUs."""
    from mlx_lm.utils import get_total_parameters, maybe_set_recommended_wired_limit

    maybe_set_recommended_wired_limit()
    return loaded, int(get_total_parameters(loaded.model))
