"""When to answer, to show the closest sentence, or to refuse: decided by what was measured."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlx_toy.answers import CLOSEST, verify
from mlx_toy.chat import NOT_IN_PASSAGES
from mlx_toy.confidence import (
    CALIBRATION_FILE,
    LEAST_RIGHT,
    SIGNALS,
    UNSURE,
    Calibration,
    Logistic,
    Signals,
    decide,
    evidence_signals,
    load_calibration,
    with_model,
)
from mlx_toy.embedder import load_embedder
from mlx_toy.engine import Engine
from mlx_toy.errors import UserError
from mlx_toy.evidence import missing, rank_sentences
from mlx_toy.grounding import answer_question
from train import logistic
from train.__main__ import main
from train.calibrate import SOURCE, Outcome, calibrate, fit_answerable
from train.calibration_questions import Item
from train.evaluation import pictures
from train.retrieval_data import is_held_out

PASSAGES = ["The lighthouse at Brenn was built in 1874. Ada Moor kept it."]
ON, OFF = 1.0, 0.0  # thresholds that no probability, and that every probability reaches


def constant(threshold: float, *signals: str) -> Logistic:
    """A probability of one half."""
    return Logistic(0.0, dict.fromkeys(signals, 0.0), threshold)


def write_calibration(directory: Path, answerable: float, correct: float | None = None) -> None:
    half = {"bias": 0.0, "weights": {"score": 0.0}}
    content = {
        "format": 1,
        "embedder": "",
        "answerable": [half | {"threshold": answerable}],
        "correct": [half | {"threshold": correct}] if correct is not None else [],
    }
    (directory / CALIBRATION_FILE).write_text(json.dumps(content))


@pytest.fixture
def calibrated(tiny_model_dir: Path, tmp_path: Path) -> Path:
    """A copy of the tiny model that is given a calibration."""
    return Path(shutil.copytree(tiny_model_dir, tmp_path / "calibrated"))


def signals_of(question: str):
    return evidence_signals(question, PASSAGES, rank_sentences(question, PASSAGES))


def test_a_question_about_something_else_has_other_signals():
    about, other = signals_of("When was the lighthouse built?"), signals_of("Who is Mary Brown?")
    assert about.score > other.score and about.missing < other.missing
    assert (about.missing_names, other.missing_names) == (0, 2)
    assert about.kind == 1
    assert missing("When did Brenn burn in 1875?", PASSAGES[0]).names == 1


def test_signals_of_a_model_are_means_that_no_token_dominates():
    asked = with_model(signals_of("When?"), [-1.0, -float("inf")], [-2.0], None)
    assert asked.chosen == pytest.approx((-1 + UNSURE) / 2)
    assert (asked.own, asked.refusal) == (-2.0, -2.0 - UNSURE)
    assert with_model(signals_of("When?"), [], [], -1.0).chosen == UNSURE


def test_the_first_fit_that_knows_all_its_signals_decides():
    signals = signals_of("When was the lighthouse built?")
    both = Calibration((constant(ON, "nearness"), constant(OFF, "score")))
    assert decide(both, signals) == ("answer", 0.5)
    assert decide(Calibration((constant(ON, "score"),)), signals) == ("refuse", 0.5)
    unsure = Calibration((constant(OFF, "score"),), (constant(ON, "score"),))
    assert decide(unsure, signals) == ("closest", 0.5)
    assert decide(None, signals) == ("answer", None)


def test_words_are_an_answer_only_where_there_is_likely_one_and_they_are_it():
    signals = signals_of("When was the lighthouse built?")
    some, whole = Logistic(-0.2, {"score": 0.0}, OFF), Logistic(9.0, {"score": 0.0}, OFF)
    likely, sure = some.probability(signals), whole.probability(signals)
    assert likely * likely < LEAST_RIGHT < likely * sure
    for answerable, correct, decision in (
        *((some, some, "closest"), (some, whole, "answer")),
        *((whole, some, "answer"), (whole, whole, "answer")),
    ):
        assert decide(Calibration((answerable,), (correct,)), signals)[0] == decision
    assert decide(Calibration((), (some,)), signals) == ("answer", None)


@pytest.mark.parametrize("question", ["When was the lighthouse built?", "What is it?"])
def test_a_calibration_decides_what_is_said(calibrated: Path, question: str):
    expected = {(OFF, None): "[1]", (OFF, ON): CLOSEST, (ON, None): NOT_IN_PASSAGES}
    for thresholds, said in expected.items():
        write_calibration(calibrated, *thresholds)
        with Engine.load(calibrated) as engine:
            answer = answer_question(engine, question, PASSAGES)
        assert said in answer.answer
        assert answer.abstained == (said == NOT_IN_PASSAGES)
        assert answer.confidence == 0.5
        verify(answer, PASSAGES)
        assert answer.abstained or answer.span in answer.quote


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"format": 2}, "format is 2"),
        ({"answerable": [{"bias": 0, "weights": {"mood": 1}, "threshold": 0.5}]}, "mood"),
        ({"answerable": [{"bias": 1e999, "weights": {}, "threshold": 0.5}]}, "finite"),
        ({"answerable": [{"bias": 0, "weights": {}, "threshold": 7}]}, "no probability"),
        ({"answerable": [{"weights": {}, "threshold": 0.5}]}, "bias"),
        ({"correct": None}, "TypeError"),
    ],
)
def test_a_broken_calibration_is_one_sentence(calibrated: Path, change: dict, reason: str):
    write_calibration(calibrated, OFF)
    file = calibrated / CALIBRATION_FILE
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    with pytest.raises(UserError, match=f"is no calibration of this version .*{reason}"):
        Engine.load(calibrated)
    file.write_text("{")
    with pytest.raises(UserError, match="delete it, or make it again"):
        Engine.load(calibrated)


def test_without_a_calibration_there_is_none(tiny_model_dir: Path):
    assert load_calibration(tiny_model_dir) is None


# --- fitting one ----------------------------------------------------------------------------------


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 1000))
def test_a_fit_finds_the_probabilities_that_made_the_data(seed: int):
    rng = np.random.default_rng(seed)
    signals = rng.normal(size=(4000, 2)) * [1, 50] + [3, 0]
    truth = logistic.predict(signals, -1.0, np.array([0.5, 0.02]))
    outcome = rng.random(4000) < truth
    predicted = logistic.predict(signals, *logistic.fit(signals, outcome))
    assert np.abs(predicted - truth).mean() < 0.04
    for part in logistic.reliability(predicted, outcome):
        assert part["predicted"] == pytest.approx(part["observed"], abs=0.12)


def test_the_area_is_the_share_of_pairs_in_order():
    outcome = np.array([True, False, True, False])
    assert logistic.area(np.array([0.9, 0.1, 0.8, 0.2]), outcome) == 1.0
    assert logistic.area(np.array([0.9, 0.95, 0.1, 0.2]), outcome) == 0.25


def write_questions(data: Path) -> None:
    """Articles of towns, some of them held out, each of three passages with a question."""
    import lzma

    titles = [title for title in (f"Town {n}" for n in range(400)) if is_held_out(title)][:8]
    (data / "qa").mkdir(parents=True)
    with lzma.open(data / f"{SOURCE}.jsonl.xz", "wt") as file:
        for title in titles:
            for thing, year in (("bridge", 1811), ("mill", 1822), ("harbour", 1833)):
                record = {
                    "title": title,
                    "context": f"The {thing} of {title} was built in {year}. People like it.",
                    "question": f"When was the {thing} of {title} built?",
                    "answers": [str(year)],
                    "id": f"{title} {thing}",
                }
                file.write(json.dumps(record) + "\n")


def test_of_neither_kind_of_questions_more_are_refused_than_may_be():
    rng, outcomes = np.random.default_rng(0), []
    for number in range(2000):  # few of them everyday ones, which seem to answer less
        everyday, answered = number % 10 == 0, bool(rng.random() < 0.5)
        score = rng.normal() + 2 * answered - everyday
        answers = ["yes"] if answered else []
        item = Item(str(number), "Is it?", ["It is."], answers, is_everyday=everyday)
        outcomes.append(Outcome(item, Signals(score, 0, 0, 0, 0, 0, 0)))
    fitted = fit_answerable(outcomes, ("score",), 0.15)
    assert fitted["false_refusals_of_everyday"] == pytest.approx(15, abs=1)
    assert fitted["false_refusals"] < 5


def test_calibrate_writes_what_the_engine_reads(calibrated: Path, tmp_path: Path, capsys):
    data = tmp_path / "data"
    write_questions(data)
    asked = ["--data", str(data), "--questions", "24"]
    assert main(["calibrate", "--model", str(calibrated), *asked]) == 0
    out = capsys.readouterr().out
    assert "% of the answerable" in out and "predicted  observed  questions" in out
    written = json.loads((calibrated / CALIBRATION_FILE).read_text())
    # 24 answered and 24 near misses, and as many of our own on everyday documents
    given = [sum(part["questions"] for part in one["reliability"]) for one in written["answerable"]]
    assert given[2:] == [72, 72] and 48 <= given[0] == given[1] <= 72  # of a search before them
    assert written["questions"] == given[0] + 72
    assert 24 < written["answerable_questions"] < 96 and written["articles"] > 8
    assert "relevance" in written["answerable"][0]["weights"]
    assert "relevance" not in written["answerable"][2]["weights"]
    found = load_calibration(calibrated)
    assert found is not None and found.embedder == load_embedder("").fingerprint
    assert {name for one in found.answerable for name in one.weights} <= set(SIGNALS)
    [passage] = ["The bridge of Town was built in 1811."]
    with Engine.load(calibrated) as engine:
        question = "When was the bridge built?"
        answer = answer_question(engine, question, [passage], embedder=load_embedder(""))
        without = answer_question(engine, question, [passage])
    assert answer.confidence is not None and without.confidence is not None
    assert answer.confidence != without.confidence  # each by what it knows


def test_the_report_draws_the_curves_of_a_calibration(tmp_path: Path):
    write_questions(tmp_path / "data")
    fitted = calibrate(None, tmp_path / "data", 24, 0.1)
    figure = pictures.calibration({}, fitted)
    assert figure is not None
    [_, drawn] = figure.axes[0].lines
    points = [part["predicted"] for part in fitted["answerable"][0]["reliability"]]
    assert list(drawn.get_xdata()) == points


def test_calibrating_the_evidence_needs_no_model(tmp_path: Path, capsys):
    write_questions(tmp_path / "data")
    asked = ["--data", str(tmp_path / "data"), "--questions", "24"]
    assert main(["calibrate", *asked, "--out", str(tmp_path)]) == 0
    found = load_calibration(tmp_path)
    assert found is not None and not found.correct
    assert main(["calibrate", *asked]) == 2
    assert "to which directory" in capsys.readouterr().err
