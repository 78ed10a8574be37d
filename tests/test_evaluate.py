"""The command that measures a model: every row, resumed, on ours and on others' models."""

import json
import shutil

import pytest
from evaluation_fixtures import write_sets
from training_fixtures import write_shards

from mlx_toy.errors import UserError
from train.__main__ import main
from train.evaluate import ROWS
from train.evaluation import openings
from train.evaluation.replies import read_verdicts
from train.evaluation.report import Report

SMALL = [f"--{name}" for name in ("texts", "pairs", "questions", "citations", "samples")]
SMALL = [word for flag in SMALL for word in (flag, "4")] + ["--seeds", "1"]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_sets(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module", autouse=True)
def few_openings(tmp_path_factory):
    """Three of the sixty openings, the last of two turns: an untrained model never stops."""
    file = tmp_path_factory.mktemp("openings") / "openings.jsonl"
    lines = openings.FILE.read_text(encoding="utf-8").splitlines(keepends=True)
    file.write_text("".join([*lines[:2], lines[-1]]), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(openings, "FILE", file)
        yield


@pytest.fixture(scope="module")
def evaluated(data, tiny_model_dir, tiny_tokenizer, tmp_path_factory):
    """The tiny model, measured in every row beside the baselines."""
    folder = tmp_path_factory.mktemp("evaluated")
    model = shutil.copytree(tiny_model_dir, folder / "model")
    metrics = [
        {"step": i, "tokens": 100 * i, "loss": 4 - i, "bits_per_byte": {"text": 3 - i}}
        for i in (1, 2)
    ]
    texts = [{"prompt": "Once", "text": " upon $a time$"}]
    stage = {
        "stage": "pretrain",
        "metrics": metrics,
        "samples": [{"step": 1, "tokens": 100, "texts": texts}],
    }
    (model / "training.json").write_text(json.dumps({"stages": [stage]}))
    shards = write_shards(folder / "shards", tiny_tokenizer)
    arguments = ["evaluate", "--model", str(model), "--data", str(data), *SMALL]
    assert main([*arguments, "--shards", str(shards), "--baselines"]) == 0
    return model


def test_report_holds_every_row_with_its_count_and_how_it_was_obtained(evaluated):
    report = json.loads((evaluated / "report.json").read_text())
    assert set(report["rows"]) == {*ROWS, "baselines"} - {"chats"}
    for name, details in report["details"].items():
        assert isinstance(report[name], int | float) and details["how"] and details["n"] > 0
    assert 0 <= report["blimp_public.accuracy"] <= 100
    assert set(report["details"]["blimp_public.accuracy"]["parts"]) == {"agreement", "islands"}
    assert (
        report["squad_dev_public.answerable_questions"] == 1 or report["squad_dev_public.f1"] >= 0
    )
    assert set(report["baselines"]) >= {"first sentence", "nearest sentence"}
    assert any("5-gram" in name for name in report["baselines"])


def test_card_and_figures_are_written_beside_the_report(evaluated):
    card = (evaluated / "report.md").read_text()
    assert "BLiMP" in card and "first sentence" in card and "at least 78 %" in card
    for name in ("loss", "samples", "phenomena"):
        assert (evaluated / "figures" / f"{name}.png").stat().st_size > 1000
        assert f"(figures/{name}.png)" in card
    assert not list(evaluated.rglob("*.partial"))


def test_a_row_is_measured_again_only_for_other_sizes(evaluated, data, tmp_path, capsys):
    arguments = ["evaluate", "--model", str(evaluated), "--data", str(data), *SMALL]
    assert main([*arguments, "--only", "text", "grammar"]) == 0
    assert capsys.readouterr().err.count("measured already") == 2
    out = tmp_path / "other"
    shutil.copytree(evaluated, out)
    assert main([*arguments, "--only", "grammar", "--pairs", "2", "--out", str(out)]) == 0
    report = json.loads((out / "report.json").read_text())
    assert report["details"]["blimp_public.accuracy"]["n"] == 6
    assert "bits_per_byte.stories_public" in report  # of the row that was not asked for


def test_a_set_that_is_missing_costs_its_own_row_alone(evaluated, data, tmp_path, capsys):
    part = shutil.copytree(data, tmp_path / "data")
    (part / "eval" / "blimp_public.jsonl.xz").unlink()
    out = tmp_path / "out"
    arguments = ["evaluate", "--model", str(evaluated), "--data", str(part), "--out", str(out)]
    assert main([*arguments, *SMALL, "--only", "grammar", "text"]) == 2
    assert "not measured: grammar" in capsys.readouterr().err
    assert "bits_per_byte.stories_public" in json.loads((out / "report.json").read_text())
    assert "BLiMP" not in (out / "report.md").read_text()


def test_a_report_of_other_weights_is_dropped(tmp_path):
    path = tmp_path / "report.json"
    path.write_text(json.dumps({"model": {"sha256": "a"}, "rows": {"text": {"settings": {}}}}))
    assert Report(path, {"sha256": "a"}).has("text", {})
    assert not Report(path, {"sha256": "b"}).has("text", {})
    path.write_text('{"squad_dev_public.f1": 1.0}')  # as it was before there were rows
    assert not Report(path, {"sha256": "b"}).has("text", {})


def test_a_model_of_others_becomes_a_row_of_the_table(evaluated, data, tiny_model_dir, tmp_path):
    foreign = shutil.copytree(tiny_model_dir, tmp_path / "peer")
    config = json.loads((foreign / "config.json").read_text())
    del config["mlx_toy_format"]  # then mlx-lm loads it as any Llama
    (foreign / "config.json").write_text(json.dumps(config))
    common = ["evaluate", "--data", str(data), *SMALL, "--only", "text", "grammar"]
    assert main([*common, "--model", str(foreign)]) == 0
    own, peer = str(evaluated), foreign / "report.json"
    assert main([*common, "--model", own, "--peers", str(peer), "--out", str(tmp_path)]) == 0
    report = json.loads((tmp_path / "report.json").read_text())
    ours, theirs = report["bits_per_byte.stories_public"], json.loads(peer.read_text())
    assert theirs["bits_per_byte.stories_public"] == pytest.approx(ours, abs=0.002)
    assert "| peer |" in (tmp_path / "report.md").read_text()
    (tmp_path / "no.json").write_text("{}")
    with pytest.raises(UserError, match="no report"):
        Report(tmp_path / "report.json", {"sha256": ""}).put_peer(tmp_path / "no.json")


def test_replies_command_writes_a_row_for_each_opening(tiny_model_dir, tmp_path):
    out = tmp_path / "replies.md"
    assert main(["replies", "--model", str(tiny_model_dir), "--out", str(out)]) == 0
    assert [verdict for _, verdict in read_verdicts(out)] == [""] * 3


def test_an_unknown_model_is_one_sentence(data, capsys):
    assert main(["evaluate", "--model", "/nowhere", "--data", str(data)]) == 2
    assert "no model" in capsys.readouterr().err
