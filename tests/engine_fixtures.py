"""What the tests of the engine share: settings, prompts, and a gate to hold it at."""

import threading

from mlx_toy.backend import mx

from mlx_toy.engine import Engine, Generation, Sampling

TEXTS = ["The chat format", "a token", "One model definition", "shards in, model out", "ids"]
NO_STOP: tuple[int, ...] = ()


def greedy(tokens: int) -> Sampling:
    return Sampling(temperature=0, top_p=1, top_k=0, repetition_penalty=1, max_tokens=tokens)


def prompt_of(engine: Engine, text: str) -> list[int]:
    return [engine.tokenizer.bos_id, *engine.tokenizer.encode(text)]


def tokens_of(generation: Generation) -> list[int]:
    return [chunk.token for chunk in generation if chunk.token is not None]


class Gate:
    """A logits processor that changes nothing and, at one call, waits until it is opened."""

    def __init__(self, after: int):
        self.after, self.calls = after, 0
        self.reached, self.open = threading.Event(), threading.Event()

    def __call__(self, tokens: mx.array, logits: mx.array) -> mx.array:
        self.calls += 1
        if self.calls == self.after:
            self.reached.set()
            assert self.open.wait(20)
        return logits
