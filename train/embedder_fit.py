"""How the retriever's weights are learned; `train/embedder.py` says from what.

Two parts of a loss, each a mean over the texts of a batch:

- contrast: each query must pick its own passage among all of the batch, and each passage its own
  query (InfoNCE: van den Oord et al. 2018, arXiv:1807.03748);
- a lesson: the vector of a word or a short text is the teacher's (`train/lesson.py`). It keeps the
  meaning of words that questions are too few to teach, which the rows of the table begin with.

Adam divides by the gradient's own size, so it moves a row that occurs once by several times the
rate, and a name that occurs in one article becomes the mark of that article, which helps on no
other. `epsilon` bounds that: it is about the gradient of one occurrence.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from mlx_toy.backend import mx

import numpy as np

from mlx_toy.bag import BagConfig, BagModel, to_matrix
from train.descent import Descent, Weights
from train.embedder_data import Bag, Batch, Pairs, batches
from train.lesson import Lesson


@dataclass(frozen=True)
class Recipe:
    """How to train.

    Attributes:
        steps: optimizer steps.
        batch: pairs in a batch; every other passage of it is a negative.
        group: passages taken from one group: more make negatives harder, fewer more varied.
        learning_rate: peak, for Adam; rises over `warmup` steps, a tenth of all at most, then
            falls to 0 linearly.
        rarity: gains begin as the inverse document frequency to this power.
        epsilon: of Adam.
        warmup: steps.
        temperature: cosines are divided by it.
        dropped: the share of the features of a text that a step does not see.
        taught: the weight of the lesson; 0 without a teacher.
        lesson: words and short texts a step.
        seed: of weights and batches.
    """

    steps: int = 1200
    batch: int = 1024
    group: int = 16
    learning_rate: float = 1e-2
    rarity: float = 1.5
    epsilon: float = 5e-5
    warmup: int = 20
    temperature: float = 0.05
    dropped: float = 0.0
    taught: float = 4.0
    lesson: int = 512
    seed: int = 0


@dataclass
class Inputs:
    """A step's texts as arrays: of queries, passages and the lesson, with the teacher's vectors."""

    queries: tuple[mx.array, mx.array]
    passages: tuple[mx.array, mx.array]
    lesson: tuple[mx.array, mx.array] | None = None
    lesson_taught: mx.array | None = None
    lesson_is_query: bool = False


def train(
    pairs: dict[str, Pairs],
    model: BagModel,
    recipe: Recipe,
    mixture: dict[str, float],
    lesson: Lesson | None = None,
) -> BagModel:
    """Train the network; the same arguments give the same weights.

    Args:
        pairs: by source.
        model: to begin with, from `start` or trained already; it is changed.
        recipe: how.
        mixture: parts of the batches, by source.
        lesson: from a teacher, of the network's dimensions.
    """

    def loss(weights: Weights, inputs: Inputs) -> mx.array:
        model.update(weights)
        return loss_of(model, inputs, recipe)

    descent = Descent(
        loss,
        recipe.steps,
        recipe.learning_rate,
        recipe.warmup,
        math.inf,
        "retriever",
        recipe.epsilon,
    )
    weights = model.trainable_parameters()
    for inputs in steps(pairs, recipe, mixture, lesson):
        weights = descent.step(weights, inputs)
    model.update(weights)
    return model


def steps(
    pairs: dict[str, Pairs], recipe: Recipe, mixture: dict[str, float], lesson: Lesson | None
) -> Iterator[Inputs]:
    """The inputs of every step."""
    random = np.random.default_rng(recipe.seed)
    drawn = batches(pairs, mixture, recipe.batch, recipe.group, random)
    for step, batch in zip(range(recipe.steps), drawn, strict=False):
        inputs = to_inputs(batch, recipe.dropped, random)
        if lesson and recipe.taught:
            chosen = random.choice(len(lesson.bags), min(recipe.lesson, len(lesson.bags)), False)
            inputs.lesson = to_arrays([lesson.bags[i] for i in chosen])
            inputs.lesson_taught = mx.array(lesson.taught[chosen].astype(np.float32))
            inputs.lesson_is_query = step % 2 == 0
        yield inputs


def to_inputs(batch: Batch, dropped: float, random: np.random.Generator) -> Inputs:
    """A batch as arrays."""
    return Inputs(
        to_arrays([drop(bag, dropped, random) for bag in batch.queries]),
        to_arrays([drop(bag, dropped, random) for bag in batch.passages]),
    )


def to_arrays(bags: list[Bag]) -> tuple[mx.array, mx.array]:
    """Bags as the columns and the matrix that the network reads."""
    columns, matrix = to_matrix(bags)
    return mx.array(columns), mx.array(matrix)


def drop(bag: Bag, share: float, random: np.random.Generator) -> Bag:
    """A bag without a random share of its features, but never empty."""
    if not share:
        return bag
    kept = random.random(len(bag[0])) >= share
    return (bag[0][kept], bag[1][kept]) if kept.any() else bag


def loss_of(model: BagModel, inputs: Inputs, recipe: Recipe) -> mx.array:
    """The loss of a step, in nats."""
    queries = model(*inputs.queries, True)  # [B, D]
    passages = model(*inputs.passages, False)  # [B + H, D]
    logits = queries @ passages.T / recipe.temperature  # [B, B + H]
    loss = contrastive_loss(logits)
    if inputs.lesson is not None:
        words = model(*inputs.lesson, inputs.lesson_is_query)
        loss = loss + recipe.taught * (1 - (words * inputs.lesson_taught).sum(-1).mean())
    return loss


def contrastive_loss(logits: mx.array) -> mx.array:
    """Mean negative log-likelihood of the right passage and of the right query.

    Args:
        logits: [B, B + H] of queries and passages, of which those of one number belong together.
    """
    own = logits[:, : len(logits)]
    both = mx.logsumexp(logits, 1) + mx.logsumexp(own, 0)
    return (both / 2 - mx.diagonal(own)).mean()


def start(
    pairs: dict[str, Pairs], config: BagConfig, recipe: Recipe, lesson: Lesson | None = None
) -> BagModel:
    """A network to begin with: rows as the teacher has them, gains by rarity.

    Without a teacher the rows are random directions, and texts are compared as by tf-idf.
    """
    mx.random.seed(recipe.seed)
    model = BagModel(config)
    if lesson:
        model.embedding = mx.array(lesson.rows)
    gain = mx.array(inverse_document_frequencies(pairs, config) ** recipe.rarity)
    model.query_gain, model.passage_gain = gain, gain
    return model


def inverse_document_frequencies(pairs: dict[str, Pairs], config: BagConfig) -> np.ndarray:
    """ln(passages / passages with the feature) [rows], scaled to a mean of 1."""
    counts = np.zeros(config.rows)
    total = 0
    for source in pairs.values():
        total += len(source.passages)
        for ids, _ in source.passages:
            counts[ids] += 1
    idf = np.log((total + 1) / (counts + 1)) + 1e-3
    return (idf / idf.mean()).astype(np.float32)
