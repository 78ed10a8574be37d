"""Experiments measure recipes under one measure, in runs that can stop and go on."""

import json
import math
import re
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any
from unittest.mock import ANY

from mlx_toy.backend import mx

import numpy as np
import pytest

from bench import ablations, ablations_report, experiment_text
from bench.experiment import Experiment, run, sweep
from bench.experiment_batches import held_out_batches, training_batches
from bench.experiment_text import difficulties
from mlx_toy.tokenizer import Tokenizer
from train import records
from train.initial import initial_weights
from train.lanes import Lanes, counted_targets
from train.optimizer import OptimizerSettings, initial_state, update
from train.schedule import WarmupStableDecay

TINY = Experiment(
    name="tiny",
    hidden_size=64,
    layers=1,
    kv_heads=1,
    vocab_size=400,
    window=32,
    steps=6,
    tokens_per_step=128,
)
EASY, HARD = "the cat sat on the mat .", "Perspicacious {0}onauts, {0}ologists, {0}ographers all"


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Documents of two kinds, one after the other: short common words, and long rare ones."""
    rng = np.random.default_rng(0)
    names = ["".join(rng.choice(list("abcdefghijklmnopqrstuvwxyz"), 8)) for _ in range(300)]
    documents = [f"{EASY} it was {i} ." for i in range(300)] + [HARD.format(n) for n in names]
    file = tmp_path_factory.mktemp("text") / "text.jsonl"
    file.write_text("".join(json.dumps({"text": d}) + "\n" for d in documents))
    return file


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("work")


@pytest.fixture(scope="module")
def record(text: Path, work: Path) -> dict[str, Any]:
    return run(TINY, text, work)


def test_a_run_learns_and_is_the_same_every_time(
    record: dict[str, Any], text: Path, work: Path
) -> None:
    assert run(TINY, text, work) == record | {"seconds": ANY}
    assert record["bits_per_byte"] < run(replace(TINY, steps=1), text, work)["bits_per_byte"]
    assert record["bits_per_byte"] != run(replace(TINY, seed=1), text, work)["bits_per_byte"]


def test_a_record_is_flat_and_counts_what_was_read(record: dict[str, Any]) -> None:
    assert Experiment.from_record(json.loads(json.dumps(record))) == TINY
    assert record["tokens"] == TINY.steps * TINY.tokens_per_step
    assert record["tokens"] < record["bytes_read"] < 10 * record["tokens"]
    attention = 12 * TINY.layers * TINY.hidden_size * TINY.window
    assert record["flops"] == record["tokens"] * (6 * record["parameters"] + attention)


@pytest.mark.parametrize(
    "changes",
    [
        {"optimizer": "adamw", "matrix_rate": 3e-3},
        {"qk_norm": True},
        {"curriculum": True},
        {"zero_residual": False},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_every_choice_of_a_recipe_has_an_effect(
    record: dict[str, Any], text: Path, work: Path, changes: dict[str, Any]
) -> None:
    found = run(replace(TINY, **changes), text, work)["bits_per_byte"]
    assert math.isfinite(found)
    assert found != record["bits_per_byte"]


def test_every_vocabulary_is_measured_on_the_same_text(text: Path, work: Path) -> None:
    small, large = (experiment_text.load(text, work, size) for size in (400, 420))
    assert small.held_out_bytes == large.held_out_bytes
    assert len(small.held_out) > len(large.held_out)
    tokenizers = [Tokenizer.load(work / small.sha256[:12] / str(size)) for size in (400, 420)]
    texts = [
        tokenizer.decode(data.held_out.tolist())
        for tokenizer, data in zip(tokenizers, (small, large), strict=True)
    ]
    assert texts[0] == texts[1]
    assert len(texts[0].encode()) == small.held_out_bytes


def test_held_out_documents_are_not_trained_on(text: Path, work: Path) -> None:
    data = experiment_text.load(text, work, 400)
    tokenizer = Tokenizer.load(work / data.sha256[:12] / "400")
    trained, held_out = (tokenizer.decode(ids.tolist()) for ids in (data.tokens, data.held_out))
    assert trained.count("onauts") + held_out.count("onauts") == 300
    names = re.findall(r"[a-z]{8}onauts", held_out)
    assert names
    assert not any(name in trained for name in names)


def test_a_model_that_knows_nothing_needs_log2_of_the_vocabulary(text: Path, work: Path) -> None:
    data, args = experiment_text.load(text, work, 400), TINY.model_args()
    nothing = {name: mx.zeros_like(a) for name, a in initial_weights(args, seed=0).items()}
    mx.eval(nothing)  # the lane, another thread, reads it
    batches = held_out_batches(data, TINY.window)
    assert counted_targets(batches) == len(data.held_out) - 1
    with Lanes(args, lanes=1) as team:
        assert team.loss(nothing, batches) == pytest.approx(math.log(400), rel=1e-4)


def test_rare_words_and_long_sentences_are_hard() -> None:
    easy, rare, long = difficulties([EASY, "Perspicacious philologists.", EASY[:-1] + EASY * 3])
    assert easy < rare
    assert easy < long


def test_a_curriculum_begins_with_easy_documents(text: Path, work: Path) -> None:
    data = experiment_text.load(text, work, 400)
    tokenizer = Tokenizer.load(work / data.sha256[:12] / "400")
    schedule = WarmupStableDecay(100, 5, 30)

    def read(step: int, curriculum: bool) -> str:
        batches = training_batches(
            data, schedule, window=32, rows=16, seed=0, curriculum=curriculum
        )
        return tokenizer.decode([i for part in batches(step) for i in part.tokens.ravel().tolist()])

    assert "onauts" not in read(0, curriculum=True)
    assert "onauts" in read(0, curriculum=False)
    assert read(99, curriculum=True) == read(99, curriculum=False)


def test_a_sweep_goes_on_where_it_stopped(text: Path, work: Path, tmp_path: Path) -> None:
    results = tmp_path / "results" / "tiny.jsonl"
    first, second = replace(TINY, steps=2), replace(TINY, steps=2, seed=1)
    sweep([first], text, work, results, jobs=1)
    with open(results, "a") as file:
        file.write('{"name": "cut in ha\n')  # a crash while writing
    found = sweep([second, first], text, work, results, jobs=2)
    assert [Experiment.from_record(record) for record in found] == [second, first]
    assert len(records.read(results)) == 2
    before = results.read_bytes()
    assert sweep([second, first], text, work, results) == found
    assert results.read_bytes() == before
    assert found[1]["bits_per_byte"] == run(first, text, work)["bits_per_byte"]


def test_adamw_moves_matrices_by_its_own_rule() -> None:
    name = "model.layers.0.mlp.up_proj.weight"
    weights, gradients = {name: mx.array([[1.0, -2.0]])}, {name: mx.array([[0.5, -0.25]])}
    rates = OptimizerSettings(0.1, 0.0, matrices="adamw", weight_decay=0.5, clip_norm=9)
    new, state, _ = update(weights, gradients, initial_state(weights), rates, step=0, scale=1.0)
    # the first step of AdamW is the sign of the gradient; the weight shrinks by rate * decay
    assert np.allclose(np.array(new[name]), [[0.95 - 0.1, -1.9 + 0.1]], atol=1e-5)
    assert np.allclose(np.array(state[f"second.{name}"]), 0.05 * np.array([[0.25, 0.0625]]))
    again, _, _ = update(new, gradients, state, rates, step=1, scale=1.0)
    expected = np.array(new[name]) * 0.95 + [[-0.1, 0.1]]
    assert np.allclose(np.array(again[name]), expected, atol=1e-5)
    with pytest.raises(ValueError, match="'sgd'"):
        OptimizerSettings(0.1, 0.1, matrices="sgd")


def test_variations_spend_the_compute_of_the_baseline_and_change_what_they_say() -> None:
    rates = {"muon": 0.01, "adamw": 3e-3, "other": 2e-3}
    every = ablations.experiments(steps=200, rates=rates)
    baseline = every[0]
    assert len(set(every)) == len(every) == 3 * (1 + len(ablations.VARIATIONS))
    for experiment in every:
        spent = experiment.flops_per_step() * experiment.steps
        assert spent == pytest.approx(baseline.flops_per_step() * baseline.steps, rel=0.01)
        allowed = {"name", "seed", "steps"}
        if experiment.name in ablations.VARIATIONS:
            allowed |= ablations.VARIATIONS[experiment.name].changes.keys()
        if experiment.optimizer == "adamw":
            allowed.add("matrix_rate")
        same = replace(baseline, **{field: getattr(experiment, field) for field in allowed})
        assert same == experiment


def test_a_difference_counts_if_it_is_larger_than_chance() -> None:
    assert ablations_report.verdict(-0.03, standard_error=0.01) == "kept"
    assert ablations_report.verdict(0.03, standard_error=0.01) == "rejected"
    assert ablations_report.verdict(-0.01, standard_error=0.01) == "no difference"
    assert ablations_report.verdict(math.nan, standard_error=0.01) == "rejected"
    groups = [[1.0, 2.0, 3.0], [5.0, 5.0, 5.0], [7.0]]  # variances 1 and 0
    assert ablations_report.pooled_deviation(groups) == pytest.approx(math.sqrt(0.5))


def test_the_best_probes_choose_the_rates_and_none_that_diverged_does() -> None:
    measured = {
        ("muon", 0.02, 4e-3): 2.3,
        ("adamw", 1e-3, 4e-3): 2.4,
        ("adamw", 1e-2, 4e-3): math.nan,
        ("muon", 0.01, 8e-3): 2.2,
    }
    found = [asdict(experiment) for experiment in ablations.probes(200)]
    for record in found:
        key = record["optimizer"], record["matrix_rate"], record["other_rate"]
        record["bits_per_byte"] = measured.get(key, 2.5)
    assert ablations.chosen_rates(found) == {"muon": 0.02, "adamw": 1e-3, "other": 8e-3}


def test_the_report_is_what_the_results_say() -> None:
    found = records.read(ablations.RESULTS)
    assert ablations.REPORT.read_text(encoding="utf-8") == ablations_report.report(
        found, ablations.VARIATIONS
    )
