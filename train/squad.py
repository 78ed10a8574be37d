"""The official SQuAD score of an answer: exact match and F1 after normalisation.

Rajpurkar et al. 2016 (arXiv:1606.05250): lower case, punctuation and the articles a, an, the
removed, white space collapsed; F1 over the bag of words; the best over all gold answers.
"""

import re
import string
from collections import Counter
from collections.abc import Sequence

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalize(answer: str) -> str:
    """Lower case, without punctuation and articles, single spaces."""
    return " ".join(_ARTICLES.sub(" ", answer.lower().translate(_PUNCTUATION)).split())


def exact_match(answer: str, gold: Sequence[str]) -> float:
    """1.0 if the answer equals one of the gold answers, else 0.0; no gold answer means ""."""
    return float(any(normalize(answer) == g for g in _normalized(gold)))


def f1(answer: str, gold: Sequence[str]) -> float:
    """The best word-overlap F1 of the answer over the gold answers, 0 to 1."""
    return max(_f1(normalize(answer).split(), g.split()) for g in _normalized(gold))


def _normalized(gold: Sequence[str]) -> list[str]:
    """The gold answers of which something is left, else the empty one, as the official script."""
    return list(filter(None, map(normalize, gold))) or [""]


def _f1(answer: list[str], gold: list[str]) -> float:
    if not answer or not gold:
        return float(answer == gold)
    common = sum((Counter(answer) & Counter(gold)).values())
    if not common:
        return 0.0
    precision, recall = common / len(answer), common / len(gold)
    return 2 * precision * recall / (precision + recall)
