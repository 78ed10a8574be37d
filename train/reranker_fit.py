"""How the reranker's weights are learned from features; `train/reranker.py` says from which.

The network learns listwise, and beside it whether a passage answers at all. What is added to its
score, and the relevance, are linear, so that a few thousand held-out questions decide them well.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from mlx_toy.backend import mx

import numpy as np

from mlx_toy.reranker import NET, Reranker, order_scores, relevance_inputs
from mlx_toy.reranker import network as apply_network
from mlx_toy.small_network import normalise
from train.progress import say
from train.reranker_data import Asked, TrainingLibrary

import mlx.optimizers as optim  # isort: skip  (after the backend, which must load the BLAS first)

FOLDS = 4  # of the held-out groups, to judge on what was not fitted
LINEAR_EPOCHS, LINEAR_RATE = 12, 2e-2  # of the last two steps


@dataclass(frozen=True)
class Recipe:
    """How to train.

    Attributes:
        library: passages of a training library, about.
        questions: asked of each training library, at most, by source.
        everyday_questions: the same, of a library of everyday documents, which are small and many.
        wiki_libraries: made from Simple Wikipedia, with few questions each.
        found: candidates of each of the two searches in training.
        foreign: questions of another library for each of a library's own.
        width: of the network's first layer; the second has half.
        epochs: passes over the training questions.
        batch: questions in a batch.
        learning_rate: peak, for AdamW; rises over `warmup` steps, then falls to 0 linearly.
        warmup: steps.
        axes: of the vectors of words.
        seed: of libraries, weights and batches.
    """

    library: int = 700
    questions: int = 500
    everyday_questions: int = 90
    wiki_libraries: int = 8
    found: int = 14
    foreign: float = 0.12
    width: int = 64
    epochs: int = 8
    batch: int = 128
    learning_rate: float = 3e-3
    warmup: int = 30
    axes: int = 128
    seed: int = 0


@dataclass
class Examples:
    """Candidates of N questions, padded to C each.

    Attributes:
        words: features of the network [N, C, F], float16.
        others: features added to its score [N, C, E], float16.
        present: which of the C are candidates [N, C].
        right: which of the C answers; -1 for none [N].
        own: whether the library holds an answer, found or not [N].
        groups: what each question is about [N].
        everyday: whether its library is of everyday documents [N].
    """

    words: np.ndarray
    others: np.ndarray
    present: np.ndarray
    right: np.ndarray
    own: np.ndarray
    groups: np.ndarray
    everyday: np.ndarray


def make_examples(
    reranker: Reranker, library: TrainingLibrary, asked: Asked, count: int, everyday: bool
) -> Examples:
    """Features of what the searches find, `count` passages each."""
    cosines, scores = library.searches(asked.questions)
    size, total = 2 * count, len(asked.questions)
    present = np.zeros((total, size), bool)
    right = np.full(total, -1)
    words, others = None, None
    for row, question in enumerate(asked.questions):
        chosen, found = library.candidates(cosines[row], scores[row], count)
        features = reranker.features(question, found)
        if words is None or others is None:
            words, others = (np.zeros((total, size, f.shape[1]), np.float16) for f in features)
        words[row, : len(chosen)], others[row, : len(chosen)] = features
        present[row, : len(chosen)] = True
        place = np.flatnonzero(chosen == asked.right[row])
        right[row] = place[0] if len(place) else -1
    assert words is not None and others is not None
    of_everyday = np.full(total, everyday)
    return Examples(words, others, present, right, asked.right >= 0, asked.groups, of_everyday)


def join(parts: list[Examples]) -> Examples:
    """Examples of several libraries, padded alike."""
    names = list(Examples.__dataclass_fields__)
    size = max(part.present.shape[1] for part in parts)

    def padded(array: np.ndarray) -> np.ndarray:
        if array.ndim == 1:
            return array
        return np.pad(array, [(0, 0), (0, size - array.shape[1]), (0, 0)][: array.ndim])

    return Examples(*(np.concatenate([padded(getattr(p, n)) for p in parts]) for n in names))


def learn_network(reranker: Reranker, examples: Examples, recipe: Recipe) -> None:
    """Train the network on the features of words."""
    random = np.random.default_rng(recipe.seed)
    seen = examples.words[examples.present].astype(np.float32)  # [M, F]
    arrays = reranker.arrays
    arrays["mean"], arrays["deviation"] = seen.mean(0), seen.std(0) + 1e-2
    sizes = [seen.shape[1], recipe.width, recipe.width // 2, 2]

    def made(rows: int, columns: int, scale: float) -> np.ndarray:
        return (random.normal(size=(rows, columns)) * scale).astype(np.float32)

    shapes = pairwise(sizes)
    layers = [made(a, b, (2 / a) ** 0.5) for a, b in shapes]
    biases = [np.zeros(size, np.float32) for size in sizes[1:]]
    straight = np.zeros((sizes[0], 2), np.float32)
    parts = [p for pair in zip(layers, biases, strict=True) for p in pair]
    weights = dict(zip(NET, [*parts, straight], strict=True))

    def loss(weights: Any, batch: np.ndarray) -> mx.array:
        x = mx.array(normalise(examples.words[batch].astype(np.float32), arrays))
        found = apply_network(weights, x)
        right, present = mx.array(examples.right[batch]), mx.array(examples.present[batch])
        told = mx.array(~examples.everyday[batch])
        return listwise(found[..., 0], present, right) + pointwise(
            found[..., 1], present, right, told
        )

    fit(weights, loss, len(examples.right), recipe, recipe.epochs)
    arrays.update({name: np.array(value) for name, value in weights.items()})


def listwise(scores: mx.array, present: mx.array, right: mx.array) -> mx.array:
    """Cross-entropy of the right passage among the candidates, over questions that have one."""
    scores = mx.where(present, scores, -1e9)
    chosen = mx.take_along_axis(scores, mx.maximum(right, 0)[:, None], 1)[:, 0]
    has = right >= 0
    return ((mx.logsumexp(scores, 1) - chosen) * has).sum() / mx.maximum(has.sum(), 1)


def pointwise(logits: mx.array, present: mx.array, right: mx.array, told: mx.array) -> mx.array:
    """Cross-entropy of whether a candidate answers, summed over those of each question told."""
    answers = mx.arange(logits.shape[1])[None] == right[:, None]
    each = mx.logaddexp(0, logits) - logits * answers
    return (each * present * told[:, None]).sum() / mx.maximum(told.sum(), 1)


def fit(
    weights: dict[str, Any],
    loss: Callable[[dict[str, Any], np.ndarray], mx.array],
    count: int,
    recipe: Recipe,
    epochs: int,
    rate: float | None = None,
) -> None:
    """Minimise a loss over batches of `count` examples; the weights are changed in place."""
    random = np.random.default_rng(recipe.seed)
    optimizer = optim.AdamW(recipe.learning_rate, weight_decay=0.01, bias_correction=True)
    step_of = mx.value_and_grad(loss)
    current = {name: mx.array(value) for name, value in weights.items()}
    size = min(recipe.batch, count)
    steps = epochs * (count // size)
    step = 0
    for epoch in range(epochs):
        order = random.permutation(count)
        total = 0.0
        for start in range(0, count - size + 1, size):
            step += 1
            scale = min(1.0, step / recipe.warmup) * (1 - (step - 1) / steps)
            optimizer.learning_rate = (rate or recipe.learning_rate) * scale
            value, gradient = step_of(current, order[start : start + size])
            current = optimizer.apply_gradients(gradient, current)
            mx.eval(current, optimizer.state)
            total += value.item()
        say(f"pass {epoch + 1}/{epochs}  loss {total / (count // size):.4f} nats")
    weights.update(current)


def learn_weights(
    reranker: Reranker, held: dict[str, Examples], recipe: Recipe
) -> dict[str, dict[str, float]]:
    """Fit what is added to the network's outputs; returns cross-validated recall by source."""
    arrays = reranker.arrays
    net = {
        name: apply_network(arrays, normalise(e.words.astype(np.float32), arrays))
        for name, e in held.items()
    }
    figures = {}
    ranks = {name: np.zeros(len(e.right)) for name, e in held.items()}
    for fold in range(FOLDS):
        chosen = {name: e.groups % FOLDS != fold for name, e in held.items()}
        weights = fit_order(held, net, chosen, recipe)
        for name, e in held.items():
            rest = ~chosen[name] & e.own
            ranks[name][rest] = ranks_of(e, net[name], weights)[rest]
    for name, e in held.items():
        own = ranks[name][e.own]
        figures[name] = {f"recall@{k}": round(float((own <= k).mean()), 4) for k in (1, 5, 10)}
        figures[name]["mrr"] = round(float((1 / own).mean()), 4)
    everything = {name: np.ones(len(e.right), bool) for name, e in held.items()}
    arrays["order"] = fit_order(held, net, everything, recipe)
    # An everyday question may share no word with what answers it, so there the relevance would
    # learn to find foreign questions relevant.
    alike = {name: e for name, e in held.items() if not e.everyday.any()}
    arrays["relevance"] = fit_relevance(alike, net, arrays["order"], recipe)
    return figures


def fit_order(
    held: dict[str, Examples],
    net: dict[str, np.ndarray],
    chosen: dict[str, np.ndarray],
    recipe: Recipe,
) -> np.ndarray:
    """Weights [1 + E] of the network's score and of the features added to it."""
    inputs = np.concatenate([joined(held[n], net[n])[chosen[n]] for n in held])
    e = join([held[n] for n in held])
    keep = np.concatenate([chosen[n] for n in held])
    right, present = e.right[keep], e.present[keep]
    weights = {"w": np.zeros(inputs.shape[-1], np.float32)}
    weights["w"][0] = 1.0

    def loss(weights: Any, batch: np.ndarray) -> mx.array:
        scores = mx.array(inputs[batch]) @ weights["w"]
        return listwise(scores, mx.array(present[batch]), mx.array(right[batch]))

    fit(weights, loss, len(right), recipe, LINEAR_EPOCHS, LINEAR_RATE)
    return np.array(weights["w"])


def joined(e: Examples, net: np.ndarray) -> np.ndarray:
    """The network's score and the features added to it [N, C, 1 + E]."""
    return np.concatenate([net[..., :1], e.others.astype(np.float32)], -1)


def ranks_of(e: Examples, net: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The rank of each question's right passage, infinite if it is no candidate [N]."""
    scores = np.where(e.present, joined(e, net) @ weights, -np.inf)
    right = scores[np.arange(len(scores)), np.maximum(e.right, 0)]
    return np.where(e.right >= 0, 1 + (scores > right[:, None]).sum(1), np.inf)


def fit_relevance(
    held: dict[str, Examples], net: dict[str, np.ndarray], order: np.ndarray, recipe: Recipe
) -> np.ndarray:
    """Weights [3 + E] of the logistic function that is the relevance."""
    rows, answers = [], []
    for name, e in held.items():
        for row in range(len(e.right)):
            here = e.present[row]
            others = e.others[row, here].astype(np.float32)
            found = net[name][row, here]
            rows.append(relevance_inputs(found, others, order_scores(found, others, order)))
            answers.append(np.flatnonzero(here) == e.right[row])
    inputs, wanted = np.concatenate(rows).astype(np.float32), np.concatenate(answers)
    weights = {"w": np.zeros(inputs.shape[1], np.float32)}

    def loss(weights: Any, batch: np.ndarray) -> mx.array:
        logits = mx.array(inputs[batch]) @ weights["w"]
        return (mx.logaddexp(0, logits) - logits * mx.array(wanted[batch])).mean()

    many = replace(recipe, batch=4096)
    fit(weights, loss, len(wanted), many, LINEAR_EPOCHS, LINEAR_RATE)
    return np.array(weights["w"])
