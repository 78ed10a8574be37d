"""Three ways to answer without a model, by copying; what a model must beat to be worth its size."""

import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from mlx_toy.grounding import Answer
from mlx_toy.sentences import split_sentences
from train.evaluation.figure import Figure
from train.evaluation.questions import question_figures

_WORD = re.compile(r"\w+")
_NUMBER = r"\$?\d[\d,.]*\d%?|\d"
_NAME = (
    r"(?<!^)[A-Z][\w'’.-]*(?: (?:of |the |de |and )?[A-Z][\w'’-]*)*"  # not at a sentence's start
)
_NAME_OR_NUMBER = re.compile(f"{_NUMBER}|{_NAME}")


def first_sentence(question: str, passage: str) -> str:
    """The first sentence of the passage, whatever the question."""
    return _sentences(passage)[0]


def nearest_sentence(question: str, passage: str) -> str:
    """The sentence that shares most words with the question, rare words counting more."""
    sentences = _sentences(passage)
    bags = [set(_WORD.findall(sentence.lower())) for sentence in sentences]
    frequency = Counter(word for bag in bags for word in bag)
    weights = {
        word: math.log((1 + len(bags)) / frequency[word])
        for word in _WORD.findall(question.lower())
        if frequency[word]
    }
    scores = [sum(weights[word] for word in bag & weights.keys()) for bag in bags]
    return sentences[scores.index(max(scores))]


def longest_name(question: str, passage: str) -> str:
    """The longest name or number in that sentence which the question does not hold."""
    sentence = nearest_sentence(question, passage)
    asked = question.lower()
    found = [name for name in _NAME_OR_NUMBER.findall(sentence) if name.lower() not in asked]
    return max(found, key=len, default=sentence)


BASELINES: dict[str, Callable[[str, str], str]] = {
    "first sentence": first_sentence,
    "nearest sentence": nearest_sentence,
    "longest name or number in it": longest_name,
}


def copying_figures(records: Sequence[dict[str, Any]]) -> dict[str, dict[str, Figure]]:
    """The figures of each baseline on questions with their gold passage."""
    found = {}
    for name, copy in BASELINES.items():
        spans = [(copy(r["question"], r["context"]), r) for r in records]
        sentence = first_sentence if copy is first_sentence else nearest_sentence
        answers = [
            Answer(span, span, sentence(r["question"], r["context"]), False, [1])
            for span, r in spans
        ]
        found[name] = question_figures(records, answers)
    return found


def _sentences(passage: str) -> list[str]:
    return [passage[start:end] for start, end in split_sentences(passage)] or [passage]
