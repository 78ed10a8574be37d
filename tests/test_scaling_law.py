"""The scaling law: found again in synthetic runs, honest about noise, and stored whole."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench import scaling
from mlx_toy.errors import UserError
from train import records, scaling_law
from train.presets import best_batch, matrix_rate, other_rate
from train.scaling_law import Law, Run, fit, fit_law

SIZES = (0.37e6, 0.95e6, 1.4e6, 2.6e6, 6e6)
LENGTHS = (1e6, 2e6, 4e6, 8e6)
TRUTH = Law(E=0.9, A=60.0, B=150.0, alpha=0.35, beta=0.33)
laws = st.builds(
    lambda E, alpha, beta, size, length: Law(E, size * 1e6**alpha, length * 3e6**beta, alpha, beta),
    E=st.floats(0.3, 1.2),
    alpha=st.floats(0.2, 0.6),
    beta=st.floats(0.2, 0.6),
    size=st.floats(0.2, 0.8),  # bits per byte that the size costs in the middle of the runs
    length=st.floats(0.2, 0.8),
)


def runs_of(law, noise=0.0, seed=0, seeds=1):
    rng = np.random.default_rng(seed)
    return [
        Run(n, d, law(n, d) * float(np.exp(noise * rng.standard_normal())))
        for n in SIZES
        for d in LENGTHS
        for _ in range(seeds)
    ]


@settings(max_examples=15, deadline=None)
@given(laws)
def test_a_known_law_is_recovered_from_clean_runs(law):
    found = fit_law(runs_of(law))
    assert (found.alpha, found.beta) == pytest.approx((law.alpha, law.beta), abs=0.02)
    assert pytest.approx(law.E, abs=0.05) == found.E
    for n, d in ((3e6, 3e6), (2e7, 1e8)):
        assert found(n, d) == pytest.approx(law(n, d), rel=0.01)


def test_interval_covers_the_truth_about_as_often_as_it_says():
    covered = []
    for seed in range(10):
        fitted = fit(runs_of(TRUTH, noise=0.005, seed=seed, seeds=2), draws=20)
        likely = fitted.predict(6e6, 3e7)
        covered.append(likely.low <= TRUTH(6e6, 3e7) <= likely.high)
    assert sum(covered) >= 7  # 90% of 10 are 9


def test_interval_widens_with_distance_and_with_noise():
    def width(noise, n, d):
        likely = fit(runs_of(TRUTH, noise=noise, seeds=2), draws=20).predict(n, d)
        return likely.high - likely.low

    assert width(0.005, 2e6, 4e6) < width(0.005, 1e8, 5e9)
    assert width(0.001, 2e6, 4e6) < width(0.02, 2e6, 4e6)


def test_interval_beyond_the_runs_is_widened_by_what_was_missed():
    fitted = fit(runs_of(TRUTH, noise=0.005), draws=20)
    missed = replace(fitted, held_out=(Run(8e6, 2e7, 0.9 * fitted.law(8e6, 2e7)),))
    near = [law.predict(2e6, 4e6) for law in (fitted, missed)]
    assert near[0] == near[1]
    before, after = (law.predict(2e7, 1e8) for law in (fitted, missed))
    assert after.low == pytest.approx(0.9 * before.low) and after.high == before.high


def test_one_run_that_went_wrong_hardly_moves_the_law():
    runs = runs_of(TRUTH)
    spoiled = [replace(runs[7], bits_per_byte=1.5 * runs[7].bits_per_byte), *runs]
    assert fit_law(spoiled)(6e6, 3e7) == pytest.approx(TRUTH(6e6, 3e7), rel=0.01)


def test_order_of_the_runs_does_not_matter():
    runs = runs_of(TRUTH, noise=0.01)
    found, turned = fit_law(runs), fit_law(runs[::-1])
    assert found(1e7, 1e8) == pytest.approx(turned(1e7, 1e8), rel=1e-6)


@given(laws, st.floats(1e5, 1e9), st.floats(1e5, 1e11))
def test_more_parameters_and_more_text_never_hurt(law, parameters, read):
    assert law(2 * parameters, read) < law(parameters, read)
    assert law(parameters, 2 * read) < law(parameters, read)
    assert law(parameters, read) > law.E


def test_runs_of_one_size_are_refused():
    with pytest.raises(ValueError, match="two sizes"):
        fit([Run(1e6, d, 2.0) for d in LENGTHS])


def test_a_stored_law_predicts_as_before(tmp_path):
    fitted = fit(runs_of(TRUTH, noise=0.01), draws=10)
    path = tmp_path / "law.json"
    path.write_text(scaling_law.to_json(fitted))
    before, after = (law.predict(3e7, 1e9) for law in (fitted, scaling_law.load(path)))
    assert after.bits_per_byte == pytest.approx(before.bits_per_byte, rel=1e-3)
    assert (after.low, after.high) == pytest.approx((before.low, before.high), rel=1e-3)


@pytest.mark.parametrize("content", [None, "", "{}", '{"law": {"E": 1}}'])
def test_a_missing_or_broken_law_says_how_to_make_it(tmp_path, content):
    path = tmp_path / "law.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(UserError, match=r"bench\.scaling --report"):
        scaling_law.load(path)


def test_sweep_follows_the_rules_of_the_presets():
    names = set()
    for one in scaling.experiments():
        tokens = one.steps * one.tokens_per_step
        assert 0 <= one.tokens_per_step - best_batch(tokens) < 1.1 * scaling.BATCH_MULTIPLE
        assert one.matrix_rate == pytest.approx(matrix_rate(one.tokens_per_step), abs=1e-6)
        assert one.other_rate == pytest.approx(other_rate(one.hidden_size), abs=1e-6)
        names.add((one.name, one.seed))
    assert len(names) == len(scaling.experiments())


def test_report_without_training_from_made_up_results(tmp_path, monkeypatch):
    for name, file in (("REPORT", "r.md"), ("PLOT", "p.png")):
        monkeypatch.setattr(scaling, name, tmp_path / file)
    monkeypatch.setattr(scaling_law, "FILE", tmp_path / "law.json")
    results = tmp_path / "results.jsonl"
    for number, one in enumerate(scaling.experiments()):
        parameters = one.hidden_size * 4096 + one.layers * 11 * one.hidden_size**2
        tokens = one.steps * one.tokens_per_step
        facts = {
            "parameters": parameters,
            "tokens": tokens,
            "bytes_read": 3.27 * tokens,
            "flops": 1e12,
            "bits_per_byte": TRUTH(parameters, 3.27 * tokens) * (1 + 0.002 * (number % 3)),
            "seconds": 10.0,
            "text_sha256": "x",
        }
        records.append(results, {**vars(one), **facts})
    scaling.write_report(results)
    text = (tmp_path / "r.md").read_text()
    assert "inside the interval" in text and "| small | 122.1M" in text
    assert (tmp_path / "p.png").stat().st_size < 100_000


def test_report_and_law_in_the_repository_are_made_from_its_results():
    found, stored = records.read(scaling.RESULTS), scaling_law.load()
    assert scaling.REPORT.read_text(encoding="utf-8") == scaling.report(found, stored)
    assert scaling.PLOT.stat().st_size < 100_000
    again = scaling.fit(found)  # another machine rounds otherwise, so not digit by digit
    assert again.runs == stored.runs
    for n, d in ((1e6, 5e6), (4e6, 2e7), (3e7, 1e9)):
        now, then = again.predict(n, d), stored.predict(n, d)
        assert now.bits_per_byte == pytest.approx(then.bits_per_byte, rel=5e-3)
        assert (now.low, now.high) == pytest.approx((then.low, then.high), rel=2e-2)
