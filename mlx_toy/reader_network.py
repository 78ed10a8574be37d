"""The reader's network: where in a passage the answer to a question begins and ends.

Question and passage pass through the same residual convolutions; every word of the passage then
looks at the question's words (attention from passage to question: Seo et al. 2017,
arXiv:1611.01603), and convolutions with growing gaps between their taps carry what was found across
the passage (Yu et al. 2018, arXiv:1804.09541, with matrix products instead of depthwise kernels,
which are the faster on a CPU). Beside that, layers of their own pool the question and each sentence
into a vector each, its gist, and compare them: which sentence means what is asked is seen there
even if no word of it is. Then the words of the passage attend to each other (self-attention: Wang
et al. 2017, ACL P17-1018) and to the question again, and each learns which of its words were met
nowhere near: that is how a passage that looks right gives itself away. More convolutions follow.
Two vectors score each word as the first and the last of the answer, and a place of its own says
that the passage holds none (Clark and Gardner 2018, arXiv:1710.10723). What is padded is 0 in every
layer.
"""

from dataclasses import dataclass
from typing import NamedTuple

from mlx_toy.backend import mx

import numpy as np

from mlx_toy.gists import GIST, GIST_FEATURES, gists, nearness
from mlx_toy.reader_input import PASSAGE_FEATURES, QUESTION_FEATURES, TINY, PairBatch
from mlx_toy.reader_layers import NEVER, SHARED, TAPS, Weights, convolve, drop, encode

SPREAD = 0.02  # deviation of the values of the table to begin with
_MIXED = (1, 2, 4, 8, 1)  # gaps of the layers that only the passage passes, question in mind
_LAST = len(SHARED) + len(_MIXED)  # number of the layer that only the end of the answer is seen in
_DEEPER = (1, 4, 2, 1)  # gaps of the layers after the second look at the question
_HEADS = 4  # of self-attention
_NEAR = (1, 2, 4, 8, 16)  # shifts whose sums, 7 and 31 words, are how far is near
_NEARS = (4, 16)  # the shifts after which what was met is looked at
_POINTS = "points_of_gists"  # which gists do not depend on
_POINTS_AT_FIRST = 3.0  # nats for a cosine of 1


@dataclass(frozen=True)
class ReaderConfig:
    """Sizes of the network.

    Attributes:
        vocab_size: word pieces of the tokenizer, each a row of the table.
        words: that have a row of their own.
        dimensions: of a word's vector that is learned.
        meaning: dimensions of what it means, which is not.
        width: of a layer.
        gist: dimensions of the vector of a question or a sentence.
    """

    vocab_size: int = 4096
    words: int = 40000
    dimensions: int = 128
    meaning: int = 128
    width: int = 128
    gist: int = 128


def first_weights(config: ReaderConfig, seed: int) -> Weights:
    """Weights to begin training with, at random."""
    random, d = np.random.default_rng(seed), config.width
    table = random.normal(0, SPREAD, (config.vocab_size + config.words, config.dimensions))
    weights = {"table": mx.array(table.astype(np.float32))}

    def add(name: str, rows: int, columns: int, gain: float = 1.0) -> None:
        values = random.normal(0, gain * rows**-0.5, (rows, columns))
        weights[name] = mx.array(values.astype(np.float32))

    for prefix, vector, layers in (
        ("", config.dimensions + config.meaning, _LAST + 1 + len(_DEEPER)),
        (GIST, config.meaning, len(SHARED)),
    ):
        add(f"{prefix}question_in", vector + QUESTION_FEATURES, d)
        add(f"{prefix}passage_in", vector + PASSAGE_FEATURES, d)
        for layer in range(layers):
            weights[f"{prefix}norm_{layer}"] = mx.ones((d,))
            add(f"{prefix}taps_{layer}", TAPS * d, d, 2**0.5)
            add(f"{prefix}out_{layer}", d, d, 0.5)
    for name in ("itself", "again"):
        weights[f"norm_{name}"] = mx.ones((d,))
    add("itself", d, 3 * d)
    add("itself_out", d, d, 0.5)
    add("again_keys", d, d)
    add("again_queries", d, d)
    add("threshold", d, 1)
    add("again_out", (3 + len(_NEARS)) * d, d, 0.5)
    add("keys", d, d)
    add("queries", d, d)
    add("asked", d, 1)
    add(f"{GIST}values", config.meaning + d, config.gist)
    for name in ("asked", "said"):
        add(f"{GIST}{name}", d, 1, 0.1)
    add(f"{GIST}up", config.gist, 2 * config.gist, 2**0.5)
    add(f"{GIST}down", 2 * config.gist, config.gist, 0.1)
    weights[_POINTS] = mx.full((3,), _POINTS_AT_FIRST)  # of the start, of the end, and of none
    add("mix", 4 * d + PASSAGE_FEATURES + 2 + GIST_FEATURES + config.gist, d, 2**0.5)
    for name in ("start", "end"):
        weights[f"norm_{name}"] = mx.ones((d,))
        add(name, d, 1, 0.1)
        add(f"{name}_asked", d, d, 0.1)
    add("none", 2 * d, d, 2**0.5)
    add("none_out", d, 2, 0.1)
    return weights


class Scores(NamedTuple):
    """What the network says of a batch.

    Attributes:
        start, end: scores of each place as the first word of the answer and as the last, `NEVER`
            where padded [B, T].
        none: scores of the place that says there is none, for the start and for the end [B, 2].
        asked, said: gists of the questions [B, G] and of the sentences [B, S, G].
        nearest: cosine of the question's gist and that of its nearest sentence [B].
    """

    start: mx.array
    end: mx.array
    none: mx.array
    asked: mx.array
    said: mx.array
    nearest: mx.array


def network(weights: Weights, batch: PairBatch, dropped: float = 0.0) -> Scores:
    """Read questions and passages.

    Args:
        weights: by name.
        batch: pairs of a question and a passage.
        dropped: share of the words' and the mixed values that a training step does not see
            (Srivastava et al. 2014).
    """
    rows = weights["table"][mx.array(batch.ids)] * mx.array(batch.used)[:, :, None]
    words = mx.concatenate([rows.sum(1), mx.array(batch.meanings)], -1)
    question, passage = encode(weights, batch, drop(words, dropped))
    asked, said = gists(weights, batch, dropped)
    near = nearness(asked, said, batch.sentences)
    start, end, none = _answer(weights, batch, question, passage, near, dropped)
    return Scores(start, end, none, asked, said, near[2][:, 0])


def _answer(
    weights: Weights,
    batch: PairBatch,
    question: mx.array,
    passage: mx.array,
    near: tuple[mx.array, mx.array, mx.array],
    dropped: float = 0.0,
) -> tuple[mx.array, mx.array, mx.array]:
    """Scores of start, end and none, from what was read and from `nearness`."""
    width = weights["keys"].shape[0]
    q_mask, p_mask = mx.array(batch.question_mask), mx.array(batch.passage_mask)
    p_features = mx.array(batch.passage_features)
    alike = (passage @ weights["keys"]) @ (question @ weights["queries"]).swapaxes(1, 2)
    alike = alike * width**-0.5 + ((q_mask - 1) * -NEVER)[:, None]  # [B, T, J]
    seen = mx.softmax(alike, axis=-1) @ question
    asked = mx.softmax((question @ weights["asked"])[:, :, 0] + (q_mask - 1) * -NEVER, axis=-1)
    asked = asked[:, None] @ question  # [B, 1, D]
    nearest = mx.stack([alike.max(-1), mx.logsumexp(alike, axis=-1)], -1) * p_mask[:, :, None]
    gist_features, cosines, best = near
    parts = [passage, seen, passage * seen, passage * asked, p_features, nearest, gist_features]
    mixed = drop(mx.concatenate(parts, -1), dropped) @ weights["mix"] * p_mask[:, :, None]
    for layer, gap in enumerate(_MIXED, start=len(SHARED)):
        mixed = convolve(weights, layer, mixed, gap, p_mask)
    padded = (p_mask - 1) * -NEVER
    mixed = _look_at_itself(weights, mixed, p_mask)
    met = alike + padded[:, :, None]
    mixed = _look_again(weights, mixed, question, met, p_mask, q_mask)
    for layer, gap in enumerate(_DEEPER, start=_LAST + 1):
        mixed = convolve(weights, layer, mixed, gap, p_mask)
    last = convolve(weights, _LAST, mixed, 1, p_mask)

    of_start, of_end, of_none = weights[_POINTS]
    start = _point(weights, "start", mixed, asked) + of_start * cosines + padded
    end = _point(weights, "end", last, asked) + of_end * cosines + padded
    highest = (last + padded[:, :, None]).max(1)  # [B, D]
    none = mx.maximum(mx.concatenate([highest, asked[:, 0]], -1) @ weights["none"], 0)
    return start, end, none @ weights["none_out"] + of_none * best


def _look_at_itself(weights: Weights, x: mx.array, mask: mx.array) -> mx.array:
    """Self-attention with `_HEADS` heads (Vaswani et al. 2017, arXiv:1706.03762)."""
    count, length, width = x.shape
    normed = mx.fast.rms_norm(x, weights["norm_itself"], TINY)
    heads = (normed @ weights["itself"]).reshape(count, length, 3, _HEADS, width // _HEADS)
    query, key, value = heads.transpose(2, 3, 0, 1, 4)  # each [heads, B, T, D / heads]
    scores = query @ key.swapaxes(2, 3) * (width // _HEADS) ** -0.5
    scores = scores + ((mask - 1) * -NEVER)[:, None]
    seen = (mx.softmax(scores, axis=-1) @ value).transpose(1, 2, 0, 3).reshape(x.shape)
    return x + seen @ weights["itself_out"] * mask[:, :, None]


def _look_again(
    weights: Weights,
    x: mx.array,
    question: mx.array,
    met: mx.array,
    p_mask: mx.array,
    q_mask: mx.array,
) -> mx.array:
    """Attend to the question once more, and learn what of it was met nowhere near.

    Args:
        weights: by name.
        x: of the passage [B, T, D].
        question: [B, J, D].
        met: how alike their words are [B, T, J], `NEVER` where padded.
        p_mask, q_mask: 1 for a token [B, T] and [B, J].
    """
    normed = mx.fast.rms_norm(x, weights["norm_again"], TINY)
    alike = (normed @ weights["again_keys"]) @ (question @ weights["again_queries"]).swapaxes(1, 2)
    alike = alike * x.shape[-1] ** -0.5 + ((q_mask - 1) * -NEVER)[:, None]
    seen = mx.softmax(alike, axis=-1) @ question
    parts = [normed, seen, normed * seen]
    threshold = (question @ weights["threshold"])[:, :, 0][:, None]  # [B, 1, J]
    length = x.shape[1]
    for shift in _NEAR:
        around = mx.pad(met, [(0, 0), (shift, shift), (0, 0)], constant_values=NEVER)
        met = mx.maximum(met, mx.maximum(around[:, :length], around[:, 2 * shift :]))
        if shift in _NEARS:
            missed = mx.sigmoid(threshold - met) * q_mask[:, None]
            parts.append(missed @ question * 0.25)
    return x + mx.concatenate(parts, -1) @ weights["again_out"] * p_mask[:, :, None]


def _point(weights: Weights, name: str, x: mx.array, asked: mx.array) -> mx.array:
    """Scores of the places [B, T], of their vectors and the question's."""
    normed = mx.fast.rms_norm(x, weights[f"norm_{name}"], TINY)
    towards = weights[name][:, 0] + asked @ weights[f"{name}_asked"]  # [B, 1, D]
    return (normed @ towards.swapaxes(1, 2))[:, :, 0]
