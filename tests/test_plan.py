"""`python -m train plan`: real steps are timed, and the rest is arithmetic that adds up."""

import json

from mlx_toy.backend import info

import pytest

from train import plan as planner
from train import timing
from train.__main__ import main
from train.plan import bytes_per_token, plan_row
from train.plan_table import as_text
from train.presets import PRESETS, preset
from train.scaling_law import Law, Run, ScalingLaw
from train.timing import Timing, flops_per_token

LAW_OF_FIT = Law(0.9, 60.0, 150.0, 0.35, 0.33)
LAW = ScalingLaw(
    LAW_OF_FIT,
    (Law(0.8, 60.0, 150.0, 0.35, 0.33), Law(1.0, 60.0, 150.0, 0.35, 0.33)),
    (0.0,),
    (Run(1e6, 4e6, 2.0), Run(2e6, 8e6, 1.9)),
    (Run(4e6, 1.6e7, 0.9 * LAW_OF_FIT(4e6, 1.6e7)),),
)
TIMED = Timing("mini", tokens_per_s=2_000, flops_per_s=50e9, peak_memory_bytes=10**9)


def row(name, hours=8.0, **more):
    given = {"memory_bytes": 2e9, "room_bytes": 4e9, **more}
    return plan_row(preset(name), TIMED, LAW, hours, **given)


def test_the_timed_preset_is_planned_by_its_own_speed():
    mini = row("mini", price_per_hour=1.5, text_bytes=50_000_000)
    assert mini.timed and mini.fits
    assert mini.in_hours.tokens == 8 * 3600 * 2_000
    assert mini.in_hours.hours == pytest.approx(8) and mini.in_hours.cost == pytest.approx(12)
    assert mini.own.tokens == preset("mini").pretrain_tokens
    assert mini.own.hours == pytest.approx(mini.own.tokens / 2_000 / 3600)
    assert mini.own.cost == pytest.approx(1.5 * mini.own.hours)
    read = mini.own.tokens * bytes_per_token(4096)
    assert mini.own.epochs == pytest.approx(read / 50_000_000)
    assert mini.own.prediction == LAW.predict(mini.parameters, read)
    assert mini.own.times_text == pytest.approx(read / 8e6)


def test_another_preset_is_planned_by_its_operations():
    toy = row("toy")
    assert not toy.timed and toy.own.cost is None and toy.own.epochs is None
    assert toy.tokens_per_s == pytest.approx(50e9 / flops_per_token(preset("toy")))
    assert toy.in_hours.flops == pytest.approx(8 * 3600 * 50e9)
    assert toy.own.far and toy.own.times_model == pytest.approx(toy.parameters / 2e6)


def test_twice_the_hours_are_twice_the_tokens_and_no_worse():
    once, twice = row("toy", hours=4.0).in_hours, row("toy", hours=8.0).in_hours
    assert twice.tokens == pytest.approx(2 * once.tokens)
    assert twice.prediction.bits_per_byte < once.prediction.bits_per_byte


def test_operations_are_those_of_parameters_and_attention():
    mini = preset("mini")
    assert flops_per_token(mini) == 6 * mini.parameters + 12 * 6 * 192 * 256


def test_larger_vocabularies_pack_more_bytes_into_a_token():
    packed = [bytes_per_token(size) for size in (1024, 2048, 3000, 4096, 8192, 16_384, 32_768)]
    assert packed == sorted(packed) and packed[0] == packed[1] and packed[-1] == packed[-2]


def test_memory_grows_with_the_preset_and_holds_at_least_its_state():
    totals = [timing.memory(size, lanes=1) for size in PRESETS.values()]
    assert [m.total for m in totals] == sorted(m.total for m in totals)
    for size, estimate in zip(PRESETS.values(), totals, strict=True):
        assert estimate.total > 4 * 4 * size.parameters  # weights, gradients, two moments


def test_table_says_what_is_estimated_far_and_too_large():
    rows = [
        row("mini", chosen=True, price_per_hour=2.0),
        row("small", memory_bytes=5e9, price_per_hour=2.0),
    ]
    text = as_text(TIMED, rows, LAW, 8.0, 2.0)
    mini, small = (line for line in text.splitlines()[4:6])
    assert mini.startswith("* mini") and "~" not in mini
    assert "~5.0 GB, does not fit" in small and " far" in small
    assert "which cost 16.00" in text and "far: up to 61 times the parameters" in text
    assert as_text(TIMED, rows, LAW, 1.0, None).splitlines()[2].startswith("In 1 hour here")
    assert "A run of 2.0 times the parameters and 2.0 times the text came out 10.0% better" in text


@pytest.mark.skipif(info().device != "cpu", reason="names what a GPU could time")
def test_a_preset_that_is_too_slow_or_too_large_here_is_not_timed(monkeypatch):
    monkeypatch.setattr(timing, "peak_flops", lambda: 1e11)
    assert planner._timeable(preset("small"), 10**12).name == "mini"
    monkeypatch.setattr(timing, "peak_flops", lambda: 1e15)
    assert planner._timeable(preset("small"), 10**13).name == "small"
    nano = timing.memory(preset("nano")).total
    assert planner._timeable(preset("small"), nano).name == "nano"


def test_command_trains_real_steps_and_plans_all_presets(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(planner.scaling_law, "load", lambda: LAW)
    text = tmp_path / "book.txt"
    text.write_text("Once upon a time.\n" * 1000)
    flags = ["--preset", "nano", "--hours", "0.5", "--price-per-hour", "2"]
    assert main(["plan", *flags, "--seed-text", str(text), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["timed"]["preset"] == "nano" and found["timed"]["tokens_per_s"] > 0
    rows = {one["preset"]: one for one in found["presets"]}
    assert list(rows) == list(PRESETS)
    assert [one["preset"] for one in found["presets"] if one["chosen"]] == ["nano"]
    nano = rows["nano"]
    assert nano["timed"] and not rows["mini"]["timed"] and nano["fits"]
    assert nano["memory_bytes"] == pytest.approx(found["timed"]["peak_memory_bytes"])
    assert nano["in_hours"]["cost"] == pytest.approx(1.0)
    for one in rows.values():
        for outcome in (one["in_hours"], one["own"]):
            likely = outcome["prediction"]
            assert likely["low"] <= likely["high"] and outcome["epochs"] > 0


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--preset", "huge", "--hours", "1"], "unknown preset 'huge'"),
        (["--hours", "0"], "--hours 0: must be a number above 0"),
        (["--hours", "-3"], "--hours -3: must be"),
        (["--hours", "nan"], "--hours nan: must be"),
        (["--hours", "inf"], "--hours inf: must be"),
        (["--hours", "1", "--price-per-hour", "-1"], "--price-per-hour -1: must be 0 or"),
        (["--hours", "1", "--seed-text", "/no/such/file"], "cannot read /no/such/file"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(flags, sentence, capsys):
    assert main(["plan", *flags]) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.startswith(f"error: {sentence}")
    assert said.err.count("\n") == 1


def test_hours_that_are_no_number_exit_with_code_2(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["plan", "--hours", "many"])
    assert stopped.value.code == 2 and "invalid float value" in capsys.readouterr().err
