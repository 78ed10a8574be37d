"""Gists: a question and each sentence of a passage as a vector each, by meaning.

Layers of their own pool the words of a text into its gist (`train/gist_fit.py` draws them to a
larger embedder's vectors). Which sentence means what is asked is seen there even if no word of it
is.
"""

from mlx_toy.backend import mx

import numpy as np

from mlx_toy.reader_input import TINY, PairBatch
from mlx_toy.reader_layers import NEVER, Weights, drop, encode

GIST = "gist_"  # how the names of the weights begin that gists depend on
SHARPNESS = 12.0  # nats of the odds among sentences for a cosine of 1 between gists
GIST_FEATURES = 3  # of a word: how near its sentence is, against the nearest, and its share


def gists(weights: Weights, batch: PairBatch, dropped: float = 0.0) -> tuple[mx.array, mx.array]:
    """Unit vectors of the questions [B, G] and of the passages' sentences [B, S, G].

    Each word has a weight in the mean of its sentence, as in attentive pooling (Lin et al. 2017,
    arXiv:1703.03130). A sentence that a passage does not have is 0.

    Args:
        weights: by name; those count whose names begin with `GIST`.
        batch: pairs of a question and a passage.
        dropped: share of the words' values that a training step does not see.
    """
    words = drop(mx.array(batch.meanings), dropped)
    question, passage = encode(weights, batch, words, GIST)
    belongs = _belongs(batch.sentences)
    asked = mx.array(batch.question_mask)[:, None] > 0  # [B, 1, J]
    found = []
    for name, ids, x, inside in (
        ("asked", batch.question, question, asked),
        ("said", batch.passage, passage, belongs),
    ):
        values = mx.concatenate([words[mx.array(ids)], x], -1) @ weights[f"{GIST}values"]
        shares = mx.where(inside, (x @ weights[GIST + name]).swapaxes(1, 2), NEVER)
        pooled = _unit(mx.softmax(shares, axis=-1) @ values)
        hidden = mx.maximum(pooled @ weights[f"{GIST}up"], 0)
        there = inside.any(-1, keepdims=True)
        found.append(_unit(pooled + hidden @ weights[f"{GIST}down"]) * there)
    return found[0][:, 0], found[1]


def nearness(
    asked: mx.array, said: mx.array, sentences: np.ndarray
) -> tuple[mx.array, mx.array, mx.array]:
    """How near the sentence of each word is to the question in meaning; 0 in the headings.

    Args:
        asked: gists of the questions [B, G].
        said: of the sentences [B, S, G].
        sentences: of the words [B, T].

    Returns:
        features [B, T, GIST_FEATURES + G], cosines [B, T], and that of the nearest [B, 1].
    """
    belongs = _belongs(sentences).swapaxes(1, 2).astype(mx.float32)  # [B, T, S]
    products = said * asked[:, None]
    cosines = products.sum(-1)  # [B, S]
    real = mx.where(belongs.max(1) > 0, cosines, NEVER)
    best = real.max(1, keepdims=True)
    shares = mx.softmax(SHARPNESS * real, axis=-1)
    seen = mx.stack([cosines, cosines - best, shares], -1)
    # a product of unit vectors is small: scaled, it is of the size of the other features
    seen = mx.concatenate([seen, products * said.shape[-1] ** 0.5], -1)
    by_word = belongs @ seen
    return by_word, by_word[:, :, 0], best


def _belongs(sentences: np.ndarray) -> mx.array:
    """Whether a token is of a sentence: bool [B, S, T], by the numbers of sentences [B, T]."""
    numbers = mx.arange(int(sentences.max(initial=0)) + 1)[None, :, None]
    return mx.array(sentences)[:, None] == numbers


def _unit(x: mx.array) -> mx.array:
    return x * mx.rsqrt(x.square().sum(-1, keepdims=True) + TINY)
