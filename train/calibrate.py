"""Fit when the app answers, when it shows the closest sentence and when it says that it cannot.

    python -m train calibrate --model DIR --data DIR      writes DIR/calibration.json
    python -m train calibrate --data DIR --out mlx_toy/weights      evidence alone, for other models

On which questions stands in `train/calibration_questions.py`, of given passages, and in
`train/searched_questions.py`, of passages that were found. Every figure in the file is of articles
that the fit which gave it had not seen.
"""

import argparse
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from mlx_toy.confidence import (
    CALIBRATION_FILE,
    FORMAT,
    Signals,
    evidence_signals,
    load_calibration,
)
from mlx_toy.embedder import Embedder, load_embedder
from mlx_toy.engine import Engine
from mlx_toy.errors import UserError
from mlx_toy.grounding import (
    below_heading,
    find_spans,
    nearness,
    plan,
    signals_of,
    start_answer,
)
from train import logistic
from train.arguments import positive
from train.calibration_questions import SOURCE, Item, read_items
from train.records import write_json
from train.searched_questions import read_searched_items
from train.squad import f1

EVIDENCE = (
    *("score", "margin", "missing", "missing_here", "missing_names", "sentences"),
    *("found", "picked"),
)
GIVEN = ("likeliest",)  # beside the evidence of passages that were given
SEARCH = ("relevance", "gist")  # and of those that were found
NEAR = ("nearness",)
MODEL = ("chosen", "own", "refusal")
CORRECT = ("chosen", "own", "kind", "margin", "found", "picked")
FALSE_REFUSALS = 10.0  # percent; of bench/everyday_library's questions twice as many are
RIGHT_F1 = 0.5  # from this overlap with a gold answer on, the model's words count as the answer
LIKELIER = 0.5


@dataclass(frozen=True)
class Outcome:
    """An item, its signals, and the overlap of the model's words with the right answer."""

    item: Item
    signals: Signals
    f1: float = 0.0


def measure(engine: Engine | None, embedder: Embedder, items: Sequence[Item]) -> list[Outcome]:
    """Let the model answer every item; without one, look at the evidence alone."""
    outcomes = []
    for number, item in enumerate(items, start=1):
        if engine is None:
            asked, above, standings = item.question, item.headings, item.standings
            ranked, found = find_spans(asked, item.passages, above, standings)
            near = nearness(embedder, asked, below_heading(ranked[0], above))
            signals = evidence_signals(asked, item.passages, ranked, near, found, above, standings)
            outcomes.append(Outcome(item, signals))
        else:
            outcomes.append(_ask(engine, embedder, item))
        if number % 100 == 0:
            print(f"{number}/{len(items)} questions", file=sys.stderr, flush=True)
    return outcomes


def _ask(engine: Engine, embedder: Embedder, item: Item) -> Outcome:
    asked = plan(
        engine,
        item.question,
        item.passages,
        least_odds=-math.inf,
        headings=item.headings,
        standings=item.standings,
    )
    near = nearness(embedder, item.question, below_heading(asked.ranked[0], item.headings))
    chunks = list(start_answer(engine, asked))
    signals = signals_of(engine, asked, chunks)
    assert asked.processor is not None
    spans = asked.processor.grammar.read([c.token for c in chunks if c.token is not None]).spans
    said = "".join(item.passages[s.number - 1][s.start : s.end] for s in spans[:1])
    overlap = f1(said, item.answers) if item.answers else 0.0
    return Outcome(item, replace(signals, nearness=near), overlap)


def fit_answerable(
    outcomes: Sequence[Outcome], signals: Sequence[str], false_refusals: float
) -> dict[str, Any]:
    """Whether the passages answer, from these signals.

    Args:
        outcomes: of questions that they answer and of others.
        signals: names of those that count.
        false_refusals: share of the answerable questions that may be refused, of those on articles
            and of those on everyday documents; it sets the threshold, on predictions for articles
            that their fit had not seen.
    """
    answerable = np.array([bool(outcome.item.answers) for outcome in outcomes])
    fitted, predicted = _fit(outcomes, signals, answerable)
    twins = np.array([outcome.item.is_twin for outcome in outcomes])
    everyday = np.array([outcome.item.is_everyday for outcome in outcomes])
    kinds = [predicted[answerable & kind] for kind in (everyday, ~everyday)]
    threshold = min(float(np.quantile(kind, false_refusals)) for kind in kinds if len(kind))
    refused = predicted < threshold
    return fitted | {
        "threshold": round(threshold, 4),
        "false_refusals": _percent(refused[answerable]),
        "correct_refusals": _percent(refused[~answerable & ~twins & ~everyday]),
        "correct_refusals_of_twins": _percent(refused[~answerable & twins]),
        "false_refusals_of_everyday": _percent(refused[answerable & everyday]),
        "correct_refusals_of_everyday": _percent(refused[~answerable & everyday]),
    }


def fit_correct(outcomes: Sequence[Outcome], signals: Sequence[str]) -> dict[str, Any]:
    """Whether the model's words are the answer, of questions that the passages answer.

    The threshold is one half: words that are likelier wrong than right are not given as an answer.
    """
    asked = [outcome for outcome in outcomes if outcome.item.answers]
    right = np.array([outcome.f1 >= RIGHT_F1 for outcome in asked])
    fitted, predicted = _fit(asked, signals, right)
    given = predicted >= LIKELIER
    return fitted | {
        "threshold": LIKELIER,
        "given": _percent(given),
        "right_of_given": _percent(right[given]),
        "right_of_all": _percent(right),
    }


def _fit(
    outcomes: Sequence[Outcome], names: Sequence[str], outcome: np.ndarray
) -> tuple[dict[str, Any], np.ndarray]:
    """What the file says of a fit, and its predictions for articles that it had not seen."""
    signals = np.array([[getattr(o.signals, name) for name in names] for o in outcomes])
    predicted = logistic.held_out_predictions(signals, outcome, [o.item.article for o in outcomes])
    bias, weights = logistic.fit(signals, outcome)
    fitted = {
        "bias": round(bias, 5),
        "weights": {n: round(float(w), 5) for n, w in zip(names, weights, strict=True)},
        "area_under_roc": round(logistic.area(predicted, outcome), 3),
        "reliability": logistic.reliability(predicted, outcome),
    }
    return fitted, predicted


def _percent(flags: np.ndarray) -> float:
    return round(100 * float(flags.mean()), 1) if len(flags) else 0.0


def calibrate(
    model: str | None, data: Path, questions: int, false_refusals: float
) -> dict[str, Any]:
    """The content of `calibration.json`.

    Args:
        model: a directory or hub name, or "" for the bundled chat model; None for evidence alone.
        data: directory that holds `qa/`.
        questions: how many.
        false_refusals: share of answerable questions that may be refused.

    Raises:
        UserError: the model is not ours: then evidence alone decides.
    """
    given, found = (list(read(data, questions)) for read in (read_items, read_searched_items))
    items, embedder = [*given, *found], load_embedder("")
    own: tuple[str, ...] = ()
    correct: list[dict[str, Any]] = []
    if model is None:
        outcomes = measure(None, embedder, items)
    else:
        with Engine.load(model) as engine:
            if not engine.is_ours:
                raise UserError(
                    f"{engine.name} was not trained here: such models share the calibration of "
                    "the evidence (leave --model out)"
                )
            outcomes, own = measure(engine, embedder, items), MODEL
    of_given, of_found = outcomes[: len(given)], outcomes[len(given) :]
    parts = (
        (of_found, (*EVIDENCE, *SEARCH)),
        (of_given, (*EVIDENCE, *GIVEN)),
    )  # the first that fits decides
    if model is not None:
        correct = [fit_correct(of_found, (*CORRECT, *SEARCH)), fit_correct(of_given, CORRECT)]
    return {
        "format": FORMAT,
        "embedder": embedder.fingerprint,
        "answerable": [
            fit_answerable(part, (*names, *near, *own), false_refusals)
            for part, names in parts
            for near in (NEAR, ())
        ],
        "correct": correct,
        "source": SOURCE,
        "questions": len(items),
        "answerable_questions": sum(bool(item.answers) for item in items),
        "articles": len({item.article for item in items}),
    }


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of the command."""
    parser.add_argument("--model", help="directory (default: evidence alone, for any model)")
    parser.add_argument("--data", help="directory that holds qa/ (default: $MLX_TOY_DATA)")
    parser.add_argument("--questions", type=positive, default=600, help="how many (default: 600)")
    parser.add_argument(
        "--false-refusals",
        type=float,
        default=FALSE_REFUSALS,
        metavar="PERCENT",
        help=f"answerable ones of either kind that may be refused (default: {FALSE_REFUSALS:g})",
    )
    parser.add_argument("--out", type=Path, help="directory to write to (default: the model's)")


def run(options: argparse.Namespace) -> None:
    """Fit, write the file and print what it says."""
    from corpus.catalog import data_directory

    if not 0 < options.false_refusals < 100:
        raise UserError(f"--false-refusals {options.false_refusals:g} is not between 0 and 100")
    out = options.out or Path(options.model or "")
    if not (options.out or options.model):
        raise UserError("say with --model or --out to which directory to write")
    if not out.is_dir():
        raise UserError(
            f"{out} is no directory to write to: check --model, or say another with --out"
        )
    data = data_directory(options.data)
    fitted = calibrate(options.model, data, options.questions, options.false_refusals / 100)
    write_json(fitted, out / CALIBRATION_FILE)
    load_calibration(out)
    print(describe(fitted))
    print(out / CALIBRATION_FILE)


def describe(fitted: dict[str, Any]) -> str:
    """A calibration for people: how well it tells apart, and how far its probabilities hold."""
    lines = []
    for one in fitted["answerable"]:
        lines += [
            f"Do the passages answer? From {', '.join(one['weights'])}:",
            f"  area under the ROC curve {one['area_under_roc']:.3f}; "
            f"refused: {one['false_refusals']} % of the answerable, "
            f"{one['correct_refusals']} % of the near misses, "
            f"{one['correct_refusals_of_twins']} % of the twins; of questions on everyday "
            f"documents {one['false_refusals_of_everyday']} % of the answerable, "
            f"{one['correct_refusals_of_everyday']} % of the others",
            *_table(one),
        ]
    for one in fitted["correct"]:
        lines += [
            f"Are the model's words the answer? From {', '.join(one['weights'])}:",
            f"  given for {one['given']} % of the questions and then right in "
            f"{one['right_of_given']} %; all would be right in {one['right_of_all']} %",
            *_table(one),
        ]
    return "\n".join(lines)


def _table(one: dict[str, Any]) -> list[str]:
    rows = [f"  {'predicted':>9}  {'observed':>8}  questions"]
    rows += [
        f"  {part['predicted']:9.2f}  {part['observed']:8.2f}  {part['questions']:9d}"
        for part in one["reliability"]
    ]
    return rows
