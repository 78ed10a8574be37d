"""How the reader's gists learn from a teacher's vectors (`train/gist_targets.py`)."""

import random
from itertools import islice

from mlx_toy.backend import mx

import numpy as np

from mlx_toy.errors import UserError
from mlx_toy.gists import GIST, SHARPNESS, gists
from mlx_toy.reader_layers import NEVER, Weights
from train.descent import Descent
from train.reader_data import Examples, TrainingBatch, batches
from train.reader_recipe import Recipe


def imitate(weights: Weights, examples: Examples, recipe: Recipe, draw: random.Random) -> Weights:
    """Learn the gists alone for `recipe.gist_steps` batches; every other weight stays as it is.

    Raises:
        UserError: the teacher knows none of the examples.
    """

    def loss_of(learned: Weights, batch: TrainingBatch) -> mx.array:
        assert batch.gist_targets is not None
        read = gists(learned, batch.pairs, recipe.dropped)
        return gap(*read, batch.gist_targets, batch.groups)

    descent = Descent(
        loss_of, recipe.gist_steps, recipe.gist_rate, recipe.warmup, recipe.norm, "gists"
    )
    learned = {name: weight for name, weight in weights.items() if name.startswith(GIST)}
    while (begun := descent.done) < recipe.gist_steps:
        drawn = examples.drawn(recipe.near_misses, 0.0, 1, draw)  # no teacher knows spoilt ones
        every = batches(drawn, recipe.batch, examples.vocabulary, draw)
        taught = (batch for batch in every if batch.gist_targets is not None)
        for batch in islice(taught, recipe.gist_steps - begun):
            learned = descent.step(learned, batch)
        if descent.done == begun:
            raise UserError("no question has its answer in its passage: give the whole pack")
    return weights | learned


def gap(asked: mx.array, said: mx.array, targets: np.ndarray, groups: np.ndarray) -> mx.array:
    """How far gists are from a teacher's vectors: 0 if they are the same.

    That is 1 less the cosine, in the mean, and how much the odds among the sentences that a
    question met, in whichever passage, by their cosines with it, differ from the teacher's
    (Kullback and Leibler 1951).

    Args:
        asked: of the questions [B, G].
        said: of the sentences [B, S, G].
        targets: of the questions and then of the sentences that were read, 0 where there is none
            [B, 1 + S, G].
        groups: number of each pair's group [B]; the pairs of a group have one question.
    """
    wanted = mx.array(targets)
    known = mx.array(targets.any(-1).astype(np.float32))
    ours = mx.concatenate([asked[:, None], said], 1)[:, : wanted.shape[1]]
    far = ((1 - (ours * wanted).sum(-1)) * known).sum() / mx.maximum(known.sum(), 1)
    if wanted.shape[1] == 1:
        return far
    met = mx.array((groups[:, None] == groups).astype(np.float32))  # [B, B]
    there = (met[:, :, None] * known[:, 1:]).reshape(len(groups), -1)  # [B, B S]
    compared = known[:, 0] * there.max(-1)  # [B]
    absent = (1 - there) * NEVER * compared[:, None]
    right, told = (_odds_among(vectors) + absent for vectors in (wanted, ours))
    right = right - mx.logsumexp(right, -1, keepdims=True)
    told = told - mx.logsumexp(told, -1, keepdims=True)
    missed = (mx.exp(right) * (right - told)).sum(-1) * compared
    return far + missed.sum() / mx.maximum(compared.sum(), 1)


def _odds_among(vectors: mx.array) -> mx.array:
    """How near all sentences are to their own passage's question, in each row: nats [B, B S].

    Args:
        vectors: of the questions and the sentences [B, 1 + S, G].
    """
    cosines = SHARPNESS * (vectors[:, 1:] @ vectors[:, 0, :, None])[:, :, 0]
    return mx.broadcast_to(cosines.reshape(1, -1), (len(cosines), cosines.size))
