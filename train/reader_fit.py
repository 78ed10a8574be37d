"""How the reader's weights are learned; `train/reader_data.py` says from what.

The loss of a pair is the negative log-likelihood of where the answer begins plus that of where it
ends, each summed over all places where it stands (Clark and Gardner 2018, arXiv:1710.10723), or of
the place that says there is none. So that the odds of a span compare between passages, each answer
must also win among the odds of all places of the passages that its question met (their "shared
normalisation", here of the odds against none). With a teacher, gists are drawn to its vectors
(`train/gist_fit.py`), for some steps alone and then beside everything else.
"""

import random
from collections.abc import Callable, Sequence

from mlx_toy.backend import mx

import numpy as np

from mlx_toy.reader_input import PairBatch
from mlx_toy.reader_layers import NEVER, Weights
from mlx_toy.reader_network import network
from train.descent import Descent
from train.gist_fit import gap, imitate
from train.kept import mean_of
from train.reader_data import Examples, Question, TrainingBatch, batches
from train.reader_recipe import Recipe


def train(
    weights: Weights,
    examples: Examples,
    recipe: Recipe,
    at_epoch: Callable[[int, Weights], None],
) -> Weights:
    """Train the network, its gists first; the same arguments give the same weights.

    Args:
        weights: to begin with.
        examples: maker of the pairs.
        recipe: how.
        at_epoch: called with the number of each epoch that is done, from 1, and the weights.
    """
    mx.random.seed(recipe.seed)
    draw = random.Random(recipe.seed)
    if recipe.gist_steps:
        weights = imitate(weights, examples, recipe, draw)
    begun_with = weights
    steps = max(1, int(recipe.epochs * _pairs(examples.questions, recipe) / recipe.batch))
    descent = Descent(
        lambda some, batch: loss_of(some, batch, recipe),
        *(steps, recipe.rate, recipe.warmup, recipe.norm, "reader"),
    )
    for epoch in range(1, recipe.epochs + 1):
        drawn = examples.drawn(recipe.near_misses, recipe.spoilt, recipe.ours, draw)
        for batch in batches(drawn, recipe.batch, examples.vocabulary, draw):
            weights = descent.step(weights, batch)
        at_epoch(epoch, mean_of(weights, begun_with, recipe.kept))
    return mean_of(weights, begun_with, recipe.kept)


def targets(batch: PairBatch, places: Sequence[np.ndarray]) -> np.ndarray:
    """Whether an answer begins, and ends, at each place: bool [2, B, T + 1]; the last is none."""
    count, length = batch.passage.shape
    wanted = np.zeros((2, count, length + 1), bool)
    for row, found in enumerate(places):
        if len(found):
            wanted[0, row, found[:, 0]] = True
            wanted[1, row, found[:, 1]] = True
        else:
            wanted[:, row, length] = True
    return wanted


def loss_of(weights: Weights, batch: TrainingBatch, recipe: Recipe) -> mx.array:
    """The mean loss of the pairs: in nats, and beside it the gap between gists and a teacher.

    Args:
        weights: by name.
        batch: of pairs.
        recipe: how much is dropped, and the weights of the shared part and of the teacher.
    """
    scores = network(weights, batch.pairs, recipe.dropped)
    wanted = targets(batch.pairs, batch.places)
    together = mx.array(batch.groups[:, None] == batch.groups)  # [B, B]
    answered = mx.array(~wanted[0, :, -1])
    losses = mx.zeros(len(batch.groups))
    for edge, places in enumerate((scores.start, scores.end)):
        absent = scores.none[:, edge, None]
        right = mx.array(wanted[edge])
        all_places = mx.concatenate([places, absent], 1)
        chosen = mx.logsumexp(mx.where(right, all_places, NEVER), 1)
        losses = losses + mx.logsumexp(all_places, 1) - chosen
        odds = mx.logsumexp(places - absent, 1)  # of any place of a passage against none [B]
        among = mx.logsumexp(mx.where(together, odds, NEVER), 1)
        shared = among - (chosen - absent[:, 0])
        losses = losses + recipe.shared * mx.where(answered, shared, 0.0)
    loss = losses.mean()
    if recipe.gist_weight and batch.gist_targets is not None:
        apart = gap(scores.asked, scores.said, batch.gist_targets, batch.groups)
        loss = loss + recipe.gist_weight * apart
    return loss


def _pairs(questions: Sequence[Question], recipe: Recipe) -> float:
    """About how many pairs an epoch has: not every question can be spoilt, or has its answer."""
    pairs = 0.0
    for question in questions:
        times = recipe.ours if question.is_ours else 1
        more = recipe.near_misses * bool(question.near_misses) + 0.9 * recipe.spoilt
        pairs += times * (1 + more if question.answers else 1)
    return pairs
