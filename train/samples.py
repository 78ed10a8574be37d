"""What the model writes at every checkpoint, from the same beginnings with the same dice.

Kept in `samples.jsonl` of the run, so that one can page through how it learned to speak. Drawn at a
low temperature and not greedily, because a small model that always takes the likeliest token goes
in circles. Each sample has its own random key, so a run stays the same bit for bit.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

from mlx_toy.backend import mx

from mlx_toy.chat import Message, render
from mlx_toy.model import Model
from mlx_toy.tokenizer import Tokenizer
from train.lanes import Lanes
from train.shards import open_shard, read_mixture_file

PIECES = 48  # tokens of a sample
TEMPERATURE = 0.6
TEXT_PROMPTS = ("Once upon a time", "The sun is", "In the morning, she")
QUESTIONS = ("Hello! Who are you?", "What is a river?", "Name three animals.")
OWN_PROMPT_PIECES = 12  # tokens of a validation text that the model is to continue

Prompt = tuple[str, list[int]]  # what is shown, and its ids
Sample = Callable[[Lanes, dict[str, mx.array]], list[dict[str, str]]]


def text_prompts(shards: Path, tokenizer: Tokenizer) -> list[Prompt]:
    """The fixed beginnings, after that of a validation text, which is of the run's own kind."""
    prompts = [(text, [tokenizer.bos_id, *tokenizer.encode(text)]) for text in TEXT_PROMPTS]
    for name in read_mixture_file(shards)["stages"]["pretrain"]:
        shard = open_shard(shards, name, "valid")
        if shard is not None and shard.loss_mask is None:
            ids = shard.tokens[:OWN_PROMPT_PIECES].tolist()
            return [(tokenizer.decode(ids[1:]), ids), *prompts]
    return prompts


def chat_prompts(tokenizer: Tokenizer) -> list[Prompt]:
    """Fixed questions, each the first turn of a conversation."""
    prompts = []
    for question in QUESTIONS:
        messages: list[Message] = [{"role": "user", "content": question}]
        ids = render(messages, tokenizer, add_generation_prompt=True).ids
        prompts.append((f"{question} → ", ids))
    return prompts


def sampler(prompts: Sequence[Prompt], tokenizer: Tokenizer) -> Sample:
    """A function that continues every prompt with the weights of the moment."""
    stop = {tokenizer.eos_id, tokenizer.end_id}

    def sample(lanes: Lanes, weights: dict[str, mx.array]) -> list[dict[str, str]]:
        written = lanes.with_model(
            weights, lambda model: [_continue(model, ids, stop) for _, ids in prompts]
        )
        return [
            {"prompt": shown, "text": tokenizer.decode(ids)}
            for (shown, _), ids in zip(prompts, written, strict=True)
        ]

    return sample


def _continue(model: Model, ids: list[int], stop: set[int]) -> list[int]:
    caches = [_Cache() for _ in model.layers]
    key, inputs = mx.random.key(0), ids
    written: list[int] = []
    while len(written) < PIECES:
        logits = model(mx.array([inputs]), caches)[0, -1].astype(mx.float32)  # [V]
        key, own = mx.random.split(key)
        token = int(mx.random.categorical(logits / TEMPERATURE, key=own).item())
        if token in stop:
            break
        written.append(token)
        inputs = [token]
    return written


class _Cache:
    """Keys and values so far; mlx-lm has a better one, whose import takes longer than a sample."""

    def __init__(self) -> None:
        self.offset = 0
        self._kept: tuple[mx.array, mx.array] | None = None

    def update_and_fetch(self, keys: mx.array, values: mx.array) -> tuple[mx.array, mx.array]:
        """Append [B, Hkv, T, Dh] of new tokens and give all."""
        if self._kept is not None:
            keys = mx.concatenate([self._kept[0], keys], axis=2)
            values = mx.concatenate([self._kept[1], values], axis=2)
        self._kept, self.offset = (keys, values), keys.shape[2]
        return keys, values
