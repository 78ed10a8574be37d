"""Row "questions": answers to SQuAD questions from their gold passage, as the app gives them.

SQuAD 2.0 (Rajpurkar et al. 2018, arXiv:1806.03822): some questions have no answer in the passage.
"""

import random
import sys
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from mlx_toy.engine import Engine
from mlx_toy.errors import UserError
from mlx_toy.grounding import ABSTAINED, Answer, answer_question, retriever_for
from mlx_toy.progress import Progress
from train.evaluation.figure import Figure, mean, share
from train.evaluation.subject import Subject, held_out
from train.squad import exact_match, f1

SET = "squad_dev_public"
_SEED = 0
_F1 = "official SQuAD F1 of the copied span, best over the gold answers, gold passage given"
_EXACT = "official SQuAD exact match of the copied span, gold passage given"
_QUOTE = "the sentence that the answer is quoted from holds a gold answer, letter for letter"
_FALSE = "answerable from the passage, but the app says that it is not"
_RIGHT = "not answerable from the passage, and the app says so"
FALSE_AT_MOST = 15.0  # percent of the answerable questions that may be refused
CALIBRATION = f"{SET}.calibration_error"
_AT_BEST = (
    "correct refusals if all below some confidence were refused, the limit set as high as "
    f"{FALSE_AT_MOST:g} % of false refusals allow, on these same questions"
)
_CALIBRATION = (
    "mean distance of the app's confidence that a passage answers from the share that does, over "
    "tenths of the questions by confidence"
)
_BINS = 10


def measure(subject: Subject) -> dict[str, Figure]:
    """F1, EM, quotes and refusals of the app on a sample of questions."""
    records = shuffled(subject.data)[: subject.sizes.questions]
    asked = [(record["question"], [record["context"]]) for record in records]
    answers = ask(subject.engine, asked, "questions")
    return question_figures(records, answers)


def question_figures(
    records: Sequence[dict[str, Any]], answers: Iterable[Answer]
) -> dict[str, Figure]:
    """Figures of answers that were given to records with `answers` (none: unanswerable)."""
    pairs = list(zip(answers, records, strict=True))
    asked = [(answer, record["answers"]) for answer, record in pairs if record["answers"]]
    others = [answer for answer, record in pairs if not record["answers"]]
    of = "answerable questions"
    figures = {
        "f1": mean([f1(a.span or "", gold) for a, gold in asked], of, _F1),
        "exact_match": mean([exact_match(a.span or "", gold) for a, gold in asked], of, _EXACT),
        "quote_holds_answer": share([holds(a.quote, gold) for a, gold in asked], of, _QUOTE),
        "false_refusals": share([a.abstained for a, _ in asked], of, _FALSE),
    }
    counted = {"answerable_questions": len(asked), "unanswerable_questions": len(others)}
    for name, count in counted.items():
        figures[name] = Figure(count, len(pairs), "questions", "of the sample")
    if others:
        abstained = [answer.abstained for answer in others]
        figures["correct_refusals"] = share(abstained, "unanswerable questions", _RIGHT)
    sure = [(a.confidence, bool(r["answers"])) for a, r in pairs if a.confidence is not None]
    if others and asked and len(sure) == len(pairs):  # only a calibrated model says how sure it is
        figures["correct_refusals_at_best"] = at_best(sure)
        figures["calibration_error"] = calibration_error(sure)
    return {f"{SET}.{name}": figure for name, figure in figures.items()}


def at_best(sure: Sequence[tuple[float, bool]]) -> Figure:
    """What refusing by confidence alone could reach, of pairs (confidence, answerable)."""
    answerable = sorted(confidence for confidence, answered in sure if answered)
    limit = answerable[int(len(answerable) * FALSE_AT_MOST / 100)]
    refused = [confidence < limit for confidence, answered in sure if not answered]
    return share(refused, "unanswerable questions", _AT_BEST)


def calibration_error(sure: Sequence[tuple[float, bool]]) -> Figure:
    """Expected calibration error in percent, with the observed share of each tenth as its parts."""
    ordered = sorted(sure, key=lambda pair: pair[0])
    edges = [round(i * len(ordered) / _BINS) for i in range(_BINS + 1)]
    parts: dict[str, Figure] = {}
    distance = 0.0
    for start, end in pairwise(edges):
        tenth = ordered[start:end]
        if tenth:
            predicted = 100 * sum(confidence for confidence, _ in tenth) / len(tenth)
            observed = share([answered for _, answered in tenth], "questions", _CALIBRATION)
            distance += abs(predicted - observed.value) * len(tenth)
            parts[f"{predicted:.2f}"] = observed
    return Figure(distance / len(ordered), len(ordered), "questions", _CALIBRATION, parts=parts)


def shuffled(data: Path) -> list[dict[str, Any]]:
    """All questions in an order that a fixed seed gives."""
    records = list(held_out(data, SET))
    random.Random(_SEED).shuffle(records)
    return records


def ask(engine: Engine, asked: Sequence[tuple[str, list[str]]], name: str) -> list[Answer]:
    """The app's answers to questions with their passages.

    A question that cannot be put to the model, being too long, counts as not answered.

    Raises:
        UserError: none of them can.
    """
    progress = Progress(name, len(asked))
    answers = []
    refused: list[UserError] = []
    embedder = retriever_for(engine)
    for question, passages in asked:
        try:
            answers.append(answer_question(engine, question, passages, embedder=embedder))
        except UserError as error:
            refused.append(error)
            answers.append(ABSTAINED)
        progress.add(1)
    progress.end()
    if refused:
        print(f"{name}: {len(refused)} not asked ({refused[-1]})", file=sys.stderr)
    if asked and len(refused) == len(asked):
        raise refused[-1]
    return answers


def holds(text: str | None, gold: Sequence[str]) -> bool:
    """Whether a text contains one of the gold answers."""
    return any(answer in (text or "") for answer in gold)
