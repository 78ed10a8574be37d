"""How the reader's weights are learned; `train/reader_data.py` says from what.

The loss of a pair is the negative log-likelihood of where the answer begins plus that of where it
ends, each summed over all places where it stands (Clark and Gardner 2018, arXiv:1710.10723), or of
the place that says there is none. So that the odds of a span compare between passages, each answer
must also win among the odds of all places of the passages that its question met (their "shared
normalisation", here of the odds against none). Adam with a rate that rises and then falls to 0.
"""

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mlx_toy.backend import mx

import numpy as np

from mlx_toy.reader_input import PairBatch
from mlx_toy.reader_network import NEVER, Weights, network
from train.progress import say
from train.reader_data import Examples, Question, batches

import mlx.optimizers as optim  # isort: skip


@dataclass(frozen=True)
class Recipe:
    """How to train.

    Attributes:
        questions: of the data to train on, at most, beside those on everyday documents; 0 for all.
        epochs: over them.
        batch: pairs in a batch.
        rate: peak, for Adam.
        warmup: steps until it is reached.
        norm: length to which a gradient is cut.
        dropped: share of the words' and mixed values that a step does not see.
        near_misses, spoilt: unanswerable questions beside the others (`Examples.drawn`).
        ours: how often an epoch asks each question of our own.
        shared: weight of the shared normalisation.
        kept: share of the weights it began with in a mean with what they became, which is often
            better than either (Wortsman et al. 2022, arXiv:2109.01903).
        seed: of weights and order.
    """

    questions: int = 0
    epochs: int = 3
    batch: int = 32
    rate: float = 1.5e-3
    warmup: int = 300
    norm: float = 2.0
    dropped: float = 0.15
    near_misses: float = 0.6
    spoilt: float = 0.15
    ours: int = 3
    shared: float = 0.5
    kept: float = 0.0
    seed: int = 0


def train(
    weights: Weights,
    examples: Examples,
    recipe: Recipe,
    at_epoch: Callable[[int, Weights], None],
) -> Weights:
    """Train the network; the same arguments give the same weights.

    Args:
        weights: to begin with.
        examples: maker of the pairs.
        recipe: how.
        at_epoch: called with the number of each epoch that is done, from 1, and the weights.
    """
    mx.random.seed(recipe.seed)
    begun_with = weights
    draw = random.Random(recipe.seed)
    steps = max(1, int(recipe.epochs * _pairs(examples.questions, recipe) / recipe.batch))
    optimizer = optim.Adam(recipe.rate, [0.9, 0.98], bias_correction=True)
    gradient_of = mx.value_and_grad(loss_of)
    step, total, since, begun = 0, 0.0, 0, time.monotonic()
    for epoch in range(1, recipe.epochs + 1):
        drawn = examples.drawn(recipe.near_misses, recipe.spoilt, recipe.ours, draw)
        for batch, places, groups in batches(drawn, recipe.batch, examples.vocabulary, draw):
            step += 1
            fall = max(0.0, 1 - step / steps)
            optimizer.learning_rate = recipe.rate * min(1.0, step / recipe.warmup, fall)
            wanted = targets(batch, places)
            loss, gradient = gradient_of(weights, batch, wanted, groups, recipe)
            gradient, _ = optim.clip_grad_norm(gradient, recipe.norm)
            weights = optimizer.apply_gradients(gradient, weights)
            mx.eval(weights, optimizer.state, loss)
            total, since = total + loss.item(), since + 1
            if since == 100:
                speed = step / (time.monotonic() - begun)
                left = max(0, steps - step) / speed
                say(
                    f"step {step}/{steps}  loss {total / since:.3f} nats  "
                    f"{speed * recipe.batch:.0f} pairs/s  {left:,.0f} s left"
                )
                total, since = 0.0, 0
        at_epoch(epoch, mean_of(weights, begun_with, recipe.kept))
    return mean_of(weights, begun_with, recipe.kept)


def mean_of(weights: Weights, others: Weights, share: float) -> Weights:
    """The mean of two networks' weights, with a share of the others."""
    if not share:
        return weights
    return {name: (1 - share) * value + share * others[name] for name, value in weights.items()}


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


def loss_of(
    weights: Weights, batch: PairBatch, wanted: np.ndarray, groups: np.ndarray, recipe: Recipe
) -> mx.array:
    """The mean loss of the pairs, in nats.

    Args:
        weights: by name.
        batch: of pairs.
        wanted: from `targets`.
        groups: number of each pair's group [B]; the pairs of a group have one question.
        recipe: how much is dropped, and the weight of the shared part.
    """
    start, end, none = network(weights, batch, recipe.dropped)
    together = mx.array(groups[:, None] == groups)  # [B, B]
    answered = mx.array(~wanted[0, :, -1])
    losses = mx.zeros(len(batch.passage))
    for edge, scores in enumerate((start, end)):
        absent = none[:, edge, None]
        right = mx.array(wanted[edge])
        all_places = mx.concatenate([scores, absent], 1)
        chosen = mx.logsumexp(mx.where(right, all_places, NEVER), 1)
        losses = losses + mx.logsumexp(all_places, 1) - chosen
        odds = mx.logsumexp(scores - absent, 1)  # of any place of a passage against none [B]
        among = mx.logsumexp(mx.where(together, odds, NEVER), 1)
        shared = among - (chosen - absent[:, 0])
        losses = losses + recipe.shared * mx.where(answered, shared, 0.0)
    return losses.mean()


def _pairs(questions: Sequence[Question], recipe: Recipe) -> float:
    """About how many pairs an epoch has: not every question can be spoilt, or has its answer."""
    pairs = 0.0
    for question in questions:
        times = recipe.ours if question.is_ours else 1
        more = recipe.near_misses * bool(question.near_misses) + 0.9 * recipe.spoilt
        pairs += times * (1 + more if question.answers else 1)
    return pairs
