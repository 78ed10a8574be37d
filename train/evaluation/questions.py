"""Row "questions": answers to SQuAD questions from their gold passage, as the app gives them.

SQuAD 2.0 (Rajpurkar et al. 2018, arXiv:1806.03822): some questions have no answer in the passage.
"""

import random
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from mlx_toy.engine import Engine
from mlx_toy.errors import UserError
from mlx_toy.grounding import ABSTAINED, Answer, answer_question
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


def measure(subject: Subject) -> dict[str, Figure]:
    """F1, EM, quotes and refusals of the app on a sample of questions."""
    records = shuffled(subject.data)[: subject.sizes.questions]
    progress = Progress("questions", len(records))
    answers = []
    for record in records:
        answers.append(ask(subject.engine, record["question"], [record["context"]]))
        progress.add(1)
    progress.end()
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
    return {f"{SET}.{name}": figure for name, figure in figures.items()}


def shuffled(data: Path) -> list[dict[str, Any]]:
    """All questions in an order that a fixed seed gives."""
    records = list(held_out(data, SET))
    random.Random(_SEED).shuffle(records)
    return records


def ask(engine: Engine, question: str, passages: Sequence[str]) -> Answer:
    """The app's answer; a question too long for the model counts as not answered."""
    try:
        return answer_question(engine, question, passages)
    except UserError:
        return ABSTAINED


def holds(text: str | None, gold: Sequence[str]) -> bool:
    """Whether a text contains one of the gold answers."""
    return any(answer in (text or "") for answer in gold)
