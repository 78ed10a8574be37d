"""Logistic regression of a few signals, and how well its probabilities hold.

Newton's method on the penalised likelihood: with a dozen signals it is exact after a few steps, so
no library is needed. Signals are standardised for the fit, and the weights given back are for the
signals as they are.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

PENALTY = 1.0  # on the squares of the standardised weights: one observation's worth
STEPS = 30
BINS = 10


def fit(signals: np.ndarray, outcome: np.ndarray) -> tuple[float, np.ndarray]:
    """The bias and the weights [S] that make the outcomes [N] of signals [N, S] likeliest."""
    mean, spread = signals.mean(axis=0), signals.std(axis=0) + 1e-9
    x = np.c_[(signals - mean) / spread, np.ones(len(signals))]  # [N, S + 1]
    weights = np.zeros(x.shape[1])
    penalty = PENALTY * np.eye(len(weights))
    penalty[-1, -1] = 1e-9  # the bias is free
    for _ in range(STEPS):
        p = 1 / (1 + np.exp(-x @ weights))
        gradient = x.T @ (p - outcome) + penalty @ weights
        weights -= np.linalg.solve((x * (p * (1 - p))[:, None]).T @ x + penalty, gradient)
    scaled = weights[:-1] / spread
    return float(weights[-1] - scaled @ mean), scaled


def predict(signals: np.ndarray, bias: float, weights: np.ndarray) -> np.ndarray:
    """Probabilities [N]."""
    return 1 / (1 + np.exp(-(signals @ weights + bias)))


def held_out_predictions(
    signals: np.ndarray, outcome: np.ndarray, groups: Sequence[str], folds: int = 5
) -> np.ndarray:
    """Probabilities [N], each from a fit that saw nothing of the same group."""
    names = sorted(set(groups))
    fold_of = {name: place % folds for place, name in enumerate(names)}
    fold = np.array([fold_of[group] for group in groups])
    predicted = np.zeros(len(outcome))
    for held in set(fold.tolist()):
        rest = fold != held
        predicted[~rest] = predict(signals[~rest], *fit(signals[rest], outcome[rest]))
    return predicted


def area(predicted: np.ndarray, outcome: np.ndarray) -> float:
    """Area under the ROC curve: how often a positive is ranked above a negative."""
    ranks = np.empty(len(predicted))
    ranks[np.argsort(predicted, kind="stable")] = np.arange(1, len(predicted) + 1)
    positive = outcome.astype(bool)
    pairs = positive.sum() * (~positive).sum()
    below = ranks[positive].sum() - positive.sum() * (positive.sum() + 1) / 2
    return float(below / pairs) if pairs else 0.5


def reliability(predicted: np.ndarray, outcome: np.ndarray) -> list[dict[str, Any]]:
    """For tenths of the questions, by rising probability: what was predicted and what was so."""
    order = np.argsort(predicted, kind="stable")
    return [
        {
            "questions": len(part),
            "predicted": round(float(predicted[part].mean()), 3),
            "observed": round(float(outcome[part].mean()), 3),
        }
        for part in np.array_split(order, BINS)
        if len(part)
    ]
