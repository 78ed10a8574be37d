"""Whether the passages answer a question: a probability from a few signals, and what follows.

A logistic model (a weighted sum of signals through 1 / (1 + e^-x)) says how likely it is that the
passages answer at all, another how likely the model's own words are the answer. Below one threshold
the app refuses, below the other it shows the best sentence instead of the model's choice of words.
Weights and thresholds are fitted by `python -m train calibrate` and lie beside the model's weights;
without them the rule is a least score of the best sentence.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

from mlx_toy.errors import UserError
from mlx_toy.evidence import Sentence, has_kind, missing
from mlx_toy.reader import FoundSpan
from mlx_toy.second_look import Standing

CALIBRATION_FILE = "calibration.json"
FORMAT = 1
MOST_NAMES = 3  # missing names and numbers that count; more say no more
LEAST_RIGHT = 0.25  # probability that there is an answer and that the words are it; see `decide`
UNSURE = -12.0  # nats of a token that was never considered: about as improbable as any gets

Decision = Literal["answer", "closest", "refuse"]


@dataclass(frozen=True)
class Signals:
    """What speaks for an answer and against it.

    Attributes:
        score: of the best sentence (see `evidence`); 0 without one.
        margin: of the best sentence over the second.
        missing: share of the question's telling words that no passage has.
        missing_names: names and numbers of the question that no passage has.
        missing_here: share of the question's telling words that the best sentence lacks.
        sentences: natural logarithm of their number.
        kind: 1 if the question asks for a number or a name and the best sentence has one, else 0.
        nearness: cosine of the question and the best sentence, by the retriever that the
            calibration names; None with another.
        found: how much likelier the reader holds the span that comes first than that there is no
            answer, as the natural logarithm of the odds; None if it was not asked.
        picked: log-probability of that span among all spans, with what else speaks for their
            passages, in nats.
        relevance: natural logarithm of the odds that the passage of that span holds an answer, by
            the reranker; None of a passage that was given, not found.
        likeliest: as `found`, of the span that is likeliest by itself.
        gist: cosine of the gists of the question and of the nearest sentence of the passage that
            was found first, by the reader; None of passages that were given.
        chosen: mean log-probability of the answer's tokens among those that were allowed, in nats.
        own: the same among all tokens.
        refusal: log-probability of the answer's first token less that of the refusal's.
    """

    score: float
    margin: float
    missing: float
    missing_names: float
    missing_here: float
    sentences: float
    kind: float
    nearness: float | None = None
    found: float | None = None
    picked: float | None = None
    relevance: float | None = None
    likeliest: float | None = None
    gist: float | None = None
    chosen: float | None = None
    own: float | None = None
    refusal: float | None = None


SIGNALS = tuple(field.name for field in fields(Signals))


def evidence_signals(
    question: str,
    passages: Sequence[str],
    ranked: Sequence[Sentence],
    nearness: float | None = None,
    found: Sequence[FoundSpan] | None = None,
    headings: Sequence[str] = (),
    standings: Sequence[Standing] = (),
) -> Signals:
    """What is known before a model is asked.

    Args:
        question: as the user wrote it.
        passages: at least one.
        ranked: their sentences, best first.
        nearness: as in `Signals`.
        found: the reader's spans, best first; None if it was not asked.
        headings: what stands above each passage; its words count as theirs.
        standings: what the search says of each; none of passages that were given.
    """
    best = ranked[0].score if ranked else 0.0
    second = max((sentence.score for sentence in ranked[1:]), default=0.0)
    everywhere = missing(question, "\n".join([*headings, *passages]))
    above = headings[ranked[0].passage] if headings and ranked else ""
    here = missing(question, f"{above}\n{ranked[0].text}" if ranked else "")
    return Signals(
        score=best,
        margin=best - second,
        missing=everywhere.share,
        missing_names=float(min(everywhere.names, MOST_NAMES)),
        missing_here=here.share,
        sentences=math.log(max(1, len(ranked))),
        kind=float(bool(ranked) and has_kind(question, ranked[0].text)),
        nearness=nearness,
        found=None if found is None else max(found[0].odds if found else UNSURE, UNSURE),
        picked=None if found is None else max(found[0].logprob if found else UNSURE, UNSURE),
        relevance=standings[found[0].passage].relevance if standings and found else None,
        likeliest=None if found is None else max([UNSURE, *(span.odds for span in found)]),
        gist=standings[0].nearness if standings else None,
    )


def with_model(
    signals: Signals,
    chosen: Sequence[float],
    own: Sequence[float],
    refusal: float | None,
) -> Signals:
    """The signals once the model has written its answer.

    Args:
        signals: from `evidence_signals`.
        chosen: log-probability of each token among those that were allowed.
        own: the same among all tokens; the last may be missing.
        refusal: log-probability that the model would have begun to refuse.
    """
    first = own[0] if own else UNSURE
    return replace(
        signals,
        chosen=_mean(chosen),
        own=_mean(own),
        refusal=max(first, UNSURE) - max(UNSURE if refusal is None else refusal, UNSURE),
    )


def _mean(logprobs: Sequence[float]) -> float:
    """The mean, in which no single token counts for more than `UNSURE`."""
    return sum(max(value, UNSURE) for value in logprobs) / len(logprobs) if logprobs else UNSURE


@dataclass(frozen=True)
class Logistic:
    """A probability from signals.

    Attributes:
        bias: of the weighted sum.
        weights: by signal; the others do not count.
        threshold: probability under which the answer is no.
    """

    bias: float
    weights: dict[str, float]
    threshold: float

    def knows(self, signals: Signals) -> bool:
        """Whether every signal that counts is there."""
        return all(getattr(signals, name) is not None for name in self.weights)

    def probability(self, signals: Signals) -> float:
        """Between 0 and 1; all signals that count must be there."""
        total = sum(weight * getattr(signals, name) for name, weight in self.weights.items())
        x = self.bias + total
        return 1 / (1 + math.exp(-x)) if x > -700 else 0.0


@dataclass(frozen=True)
class Calibration:
    """What was fitted, each for the signals that may be at hand; the first that knows all decides.

    Attributes:
        answerable: whether the passages answer the question.
        correct: whether the model's own words are the answer, if they do.
        embedder: fingerprint of the retriever whose nearness counts; "" if none does.
    """

    answerable: tuple[Logistic, ...]
    correct: tuple[Logistic, ...] = ()
    embedder: str = ""


def decide(calibration: Calibration | None, signals: Signals) -> tuple[Decision, float | None]:
    """What to do with an answer, and the probability that the passages answer the question.

    The words are given as an answer only where it is likely enough that there is one and that they
    are it; else the sentence around them is shown. With `LEAST_RIGHT`, of questions on everyday
    documents that were looked up, those that are not answered there get words for 22 % instead of
    43, those that are answered get the right ones for 39 % instead of 47, wrong ones for 14 instead
    of 23, and a sentence for 38 instead of 20 (the questions of `python -m train calibrate`).
    """
    if calibration is None:
        return "answer", None
    confidence = None
    if answerable := _first(calibration.answerable, signals):
        confidence = answerable.probability(signals)
        if confidence < answerable.threshold:
            return "refuse", confidence
    if correct := _first(calibration.correct, signals):
        right = correct.probability(signals)
        there = 1.0 if confidence is None else confidence
        if right < correct.threshold or right * there < LEAST_RIGHT:
            return "closest", confidence
    return "answer", confidence


def _first(fitted: Sequence[Logistic], signals: Signals) -> Logistic | None:
    return next((one for one in fitted if one.knows(signals)), None)


def load_calibration(directory: Path) -> Calibration | None:
    """The calibration of a model directory; None if it has none.

    Raises:
        UserError: it has one that cannot be used.
    """
    path = directory / CALIBRATION_FILE
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] != FORMAT:
            raise ValueError(f"its format is {content['format']!r}, not {FORMAT}")
        return Calibration(
            answerable=tuple(_logistic(one) for one in content["answerable"]),
            correct=tuple(_logistic(one) for one in content["correct"]),
            embedder=str(content["embedder"]),
        )
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise UserError(
            f"{path} is no calibration of this version ({reason}): "
            "delete it, or make it again with `python -m train calibrate`"
        ) from error


def _logistic(content: dict[str, Any]) -> Logistic:
    weights = {name: float(weight) for name, weight in content["weights"].items()}
    one = Logistic(float(content["bias"]), weights, float(content["threshold"]))
    if unknown := sorted(set(weights) - set(SIGNALS)):
        raise ValueError(f"there is no signal {unknown[0]!r}")
    if not all(map(math.isfinite, (one.bias, one.threshold, *weights.values()))):
        raise ValueError("a number in it is not finite")
    if not 0 <= one.threshold <= 1:
        raise ValueError(f"the threshold {one.threshold} is no probability")
    return one
