"""Row "memory": does the model write out its training text?

Samples of 50 tokens, begun with nothing but the token that begins a text, are looked for in all the
shards that it was trained on. A sample is written as text and cut into tokens again, since the same
words can be cut in several ways, and its first and last token are left out, since what stood beside
them decided how they were cut: so 48 tokens in a row count as remembered. The same is asked of
texts that people wrote and the model never read, to show how much any text repeats.
"""

import hashlib
import random
import sys
from collections.abc import Generator, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from mlx_toy.backend import mx

import numpy as np

from mlx_toy.engine import Engine, Sampling
from mlx_toy.errors import UserError
from mlx_toy.sampling import make_sampler
from train.evaluation import text, verbatim
from train.evaluation.figure import Figure, share
from train.evaluation.subject import Subject, held_out
from train.shards import open_shard, read_mixture_file

TOKENS = 50  # of a sample
VERBATIM, HELD_OUT = "memory.verbatim", "memory.held_out_verbatim"
_BATCH = 50
_HOW = (
    f"samples of {TOKENS} tokens, unprompted, at the app's temperature, top-k and top-p, of which "
    f"{TOKENS - 2} tokens in a row stand in the training shards"
)
_HOW_HELD_OUT = "the same of stretches of held-out text, for comparison"


def measure(subject: Subject) -> dict[str, Figure]:
    """Shares of samples, and of held-out text, that occur verbatim; nothing without shards."""
    engine = subject.engine
    if subject.shards is None:
        print("memory: give --shards to look for samples in the training text", file=sys.stderr)
        return {}
    if not engine.is_ours:
        print("memory: only for models trained on these shards", file=sys.stderr)
        return {}
    samples = sample(engine, subject.sizes.samples)
    others = list(islice(_held_out(subject), len(samples)))
    texts = [engine.tokenizer.encode(engine.tokenizer.decode(ids))[1:-1] for ids in samples]
    usable = [ids for ids in texts if len(ids) >= verbatim.WINDOW]
    found = verbatim.find([*usable, *others], _training_tokens(subject.shards, engine.tokenizer))
    return {
        VERBATIM: share(found[: len(usable)], "samples", _HOW),
        HELD_OUT: share(found[len(usable) :], "stretches", _HOW_HELD_OUT),
    }


def sample(engine: Engine, count: int) -> list[list[int]]:
    """Unprompted samples with fixed seeds; control tokens are not drawn, so none ends early."""
    drawn: list[list[int]] = []
    while len(drawn) < count:
        size = min(_BATCH, count - len(drawn))
        drawn += engine.run(partial(_batch, size=size, seed=len(drawn)))
        print(f"memory: {len(drawn)}/{count} samples", file=sys.stderr)
    return drawn


def _batch(
    model: Any, tokenizer: Any, size: int, seed: int
) -> Generator[None, None, list[list[int]]]:
    """Samples that are drawn side by side, a token of each at a time."""
    from mlx_lm.models.cache import make_prompt_cache

    cache, draw = make_prompt_cache(model), make_sampler(Sampling(seed=seed))
    inputs, drawn = mx.full((size, 1), tokenizer.bos_id), []
    control = [i for i in range(tokenizer.vocab_size) if not tokenizer.token_bytes(i)]
    for _ in range(TOKENS):
        logits = model(inputs, cache=cache)[:, -1].astype(mx.float32)  # [B, V]
        logits[:, mx.array(control)] = -mx.inf
        inputs = draw(logits - mx.logsumexp(logits, axis=-1, keepdims=True))[:, None]
        mx.eval(inputs)
        drawn.append(inputs[:, 0].tolist())
        yield
    return [list(ids) for ids in zip(*drawn, strict=True)]


def _held_out(subject: Subject) -> Iterator[list[int]]:
    """One stretch of each held-out document, as long as what is left of a sample."""
    dice = random.Random(0)
    for name in text.SETS:
        for record in held_out(subject.data, name):
            ids = subject.engine.tokenizer.encode(record["text"])
            if len(ids) > TOKENS:
                start = dice.randrange(len(ids) - TOKENS)
                yield ids[start + 1 : start + TOKENS - 1]


def _training_tokens(folder: Path, tokenizer: Any) -> Iterator[np.ndarray]:
    """The tokens of every shard that a stage reads.

    Raises:
        UserError: they were made by another tokenizer.
    """
    ours = hashlib.sha256(tokenizer.model_proto).hexdigest()
    stages = read_mixture_file(folder)["stages"]
    for name in sorted({name for parts in stages.values() for name in parts}):
        shard = open_shard(folder, name, "train")
        if shard is None:
            continue
        if shard.tokenizer_sha256 != ours:
            raise UserError(
                f"the shards at {folder} were made by another tokenizer than the model's: "
                "name those that it was trained on"
            )
        print(f"memory: looking in {name}", file=sys.stderr)
        yield shard.tokens
