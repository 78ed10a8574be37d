"""What the model is compared with: copying, and a model that only counts.

They stand in the report under `baselines`, with the same names of figures as the model.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mlx_toy.scoring import with_start
from train.evaluation import ngram
from train.evaluation.copying import copying_figures
from train.evaluation.figure import Figure
from train.evaluation.grammar import grammar_figures
from train.evaluation.questions import shuffled
from train.evaluation.subject import Subject
from train.evaluation.text import text_figures
from train.shards import open_mixture

NGRAM_TOKENS = 20_000_000  # of the training text at most, in the mixture's parts


def measure(subject: Subject) -> dict[str, dict[str, Figure]]:
    """The figures of each baseline; the n-gram model only where the shards are at hand."""
    found = copying_figures(shuffled(subject.data)[: subject.sizes.questions])
    if subject.shards is None or not subject.engine.is_ours:
        print("baselines: no n-gram model without --shards", file=sys.stderr)
        return found
    tokens = sample(subject.shards, NGRAM_TOKENS)
    print(f"baselines: counting {len(tokens):,} tokens", file=sys.stderr)
    tokenizer, stops = subject.engine.tokenizer, subject.engine.stop_ids
    model = ngram.NGramModel(tokens, tokenizer.vocab_size)

    def score(texts: Sequence[str], name: str) -> list[float]:
        print(f"baselines: {name}", file=sys.stderr)
        return model.nats(with_start(tokenizer, stops, text) for text in texts)

    name = f"{ngram.ORDER}-gram, {len(tokens) / 1e6:.3g}M tokens"
    found[name] = {
        **text_figures(score, subject.data, subject.sizes.texts),
        **grammar_figures(score, subject.data, subject.sizes.pairs),
    }
    return found


def sample(shards: Path, most: int) -> np.ndarray:
    """The beginnings of the shards that pretraining reads, each by its part, ids [N]."""
    mixture = open_mixture(shards, "pretrain")
    total = sum(mixture.parts)
    return np.concatenate(
        [
            shard.tokens[: int(most * part / total)]
            for shard, part in zip(mixture.shards, mixture.parts, strict=True)
        ]
    )
