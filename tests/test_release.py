"""From a run to a model directory with a card, and the scores that go into it."""

import hashlib
import json
import shutil

from mlx_toy.backend import mx

import pytest

from corpus.shards import Encoded, write_shard
from mlx_toy import model_directory
from mlx_toy.errors import UserError
from mlx_toy.training_history import read_history
from train import stages
from train.average import average
from train.card import write_card
from train.export import export
from train.presets import Preset

SIZE = Preset("tiny", 64, 1, 1, 400, 128, 32, 64, 64, 2, 2)


@pytest.fixture
def exported(tmp_path, tiny_tokenizer):
    """A model directory from two short stages on a source that names its licence."""
    (tmp_path / "tokenizer.model").write_bytes(tiny_tokenizer.model_proto)
    checksum = hashlib.sha256(tiny_tokenizer.model_proto).hexdigest()
    common = {"vocab_size": 400, "tokenizer_sha256": checksum, "licence": "CC-BY-SA-4.0"}
    ids = [1, *tiny_tokenizer.encode("a small model reads a small book") * 3, 2]
    for split in ("train", "valid"):
        texts = (Encoded(ids, None, 96) for _ in range(40))
        write_shard(tmp_path, texts, name="book", split=split, kind="text", **common)
    talks = (Encoded(ids, [0] * 10 + [1] * (len(ids) - 10), 96) for _ in range(40))
    write_shard(tmp_path, talks, name="talk", split="train", kind="conversation", **common)
    about = {"licence": "CC-BY-SA-4.0", "attribution": "A. Writer", "upstream": "x", "sha256": ""}
    mixture = {
        "stages": {"pretrain": {"book": 1}, "decay": {"book": 1}, "finetune": {"talk": 1}},
        "sources": {"book": about, "talk": about},
    }
    (tmp_path / "mixture.json").write_text(json.dumps(mixture))
    base, chat = tmp_path / "base", tmp_path / "chat"
    stages.pretrain(SIZE, tmp_path, tiny_tokenizer, base)
    checkpoint = base / "checkpoints" / "step-00000002"
    stages.finetune(SIZE, tmp_path, tiny_tokenizer, chat, checkpoint)
    out = tmp_path / "model"
    export(chat, tmp_path, tmp_path, out)
    return out


def test_exported_directory_loads_and_says_where_it_comes_from(exported):
    model_directory.validate(exported)
    lineage = json.loads((exported / "lineage.json").read_text())
    assert [stage["stage"] for stage in lineage["stages"]] == ["pretrain", "finetune"]
    assert lineage["stages"][0]["tokens"] == 2 * 64
    assert lineage["sources"]["book"]["attribution"] == "A. Writer"
    assert lineage["parameters"] > 0 and all(stage["flops"] > 0 for stage in lineage["stages"])


def test_lineage_names_every_stage(exported, tmp_path, tiny_tokenizer):
    again, chat = tmp_path / "again", tmp_path / "chat" / "checkpoints" / "step-00000002"
    stages.finetune(SIZE, tmp_path, tiny_tokenizer, again, chat, steps=1)
    export(again, tmp_path, tmp_path, tmp_path / "other")
    lineage = json.loads((tmp_path / "other" / "lineage.json").read_text())
    assert [stage["stage"] for stage in lineage["stages"]] == ["pretrain", "finetune", "finetune"]
    assert [stage["steps"] for stage in lineage["stages"]] == [2, 2, 1]


def test_a_model_directory_is_enough_to_go_on_from(exported, tmp_path, tiny_tokenizer):
    mixture = json.loads((tmp_path / "mixture.json").read_text())
    mixture["stages"] = {"pretrain": {"book": 7}, "decay": {"book": 7}, "finetune": {"talk": 3}}
    (tmp_path / "mixture.json").write_text(json.dumps(mixture))
    again, out = tmp_path / "again", tmp_path / "other"
    stages.finetune(SIZE, tmp_path, tiny_tokenizer, again, exported, steps=2)
    export(again, tmp_path, tmp_path, out, before=[exported])
    lineage = json.loads((out / "lineage.json").read_text())
    assert [stage["stage"] for stage in lineage["stages"]] == ["pretrain", "finetune", "finetune"]
    assert lineage["mixture"] == {
        "pretrain": {"book": 1},  # what the model had read before
        "decay": {"book": 1},
        "finetune": {"talk": 100},
    }
    assert [s.name for s in read_history(out)] == ["finetune", "finetune"]


def test_pretraining_goes_on_from_a_model_directory(exported, tmp_path, tiny_tokenizer):
    more, out = tmp_path / "more", tmp_path / "longer"
    mixture = json.loads((tmp_path / "mixture.json").read_text())
    mixture["stages"]["pretrain"] = {"book": 1, "talk": 1}
    (tmp_path / "mixture.json").write_text(json.dumps(mixture))
    done = stages.pretrain(SIZE, tmp_path, tiny_tokenizer, more, steps=1, init=exported)
    assert done.step == 1
    export(more, tmp_path, tmp_path, out)
    lineage = json.loads((out / "lineage.json").read_text())
    assert [stage["stage"] for stage in lineage["stages"]] == ["pretrain", "finetune", "pretrain"]
    # Two thirds of the tokens were read of the first mixture, one of the second.
    assert lineage["mixture"]["pretrain"] == {"book": 83.33, "talk": 16.67}
    assert lineage["mixture"]["finetune"] == {"talk": 1}
    last = tmp_path / "last"
    stages.finetune(SIZE, tmp_path, tiny_tokenizer, last, more / "checkpoints" / "step-00000001")
    export(last, tmp_path, tmp_path, out)
    after = json.loads((out / "lineage.json").read_text())
    assert len(after["stages"]) == 4
    assert after["mixture"]["pretrain"] == lineage["mixture"]["pretrain"]


def test_a_model_that_does_not_say_how_it_was_made_is_refused(exported, tmp_path, tiny_tokenizer):
    (exported / "lineage.json").unlink()
    with pytest.raises(UserError, match="does not say how the model was made"):
        stages.finetune(SIZE, tmp_path, tiny_tokenizer, tmp_path / "again", exported)


def test_an_average_lies_between_its_models_and_names_all_stages(
    exported, tmp_path, tiny_tokenizer
):
    again, other, out = tmp_path / "again", tmp_path / "other", tmp_path / "mean"
    base = tmp_path / "base" / "checkpoints" / "step-00000002"
    stages.finetune(SIZE, tmp_path, tiny_tokenizer, again, base, steps=1, seed=1)
    export(again, tmp_path, tmp_path, other)
    average([exported, other], [0.75, 0.25], out)
    one, two, mean = (
        mx.load(str(path / model_directory.WEIGHTS)) for path in (exported, other, out)
    )
    for name, weight in mean.items():
        wanted = 0.75 * one[name].astype(mx.float32) + 0.25 * two[name].astype(mx.float32)
        assert mx.allclose(weight.astype(mx.float32), wanted, rtol=1e-2, atol=1e-4)
    lineage = json.loads((out / "lineage.json").read_text())
    assert [stage["steps"] for stage in lineage["stages"]] == [2, 2, 1]  # the base counts once
    assert [(part["share"], part["tokens"]) for part in lineage["averaged"]] == [
        (0.75, 256),
        (0.25, 128),
    ]
    assert "75% of that of 256 tokens and 25% of that of 128" in write_card(out, True).read_text()
    assert read_history(out) == read_history(exported)


@pytest.mark.parametrize("shares", [[1.0], [0.5, 0.6], [1.5, -0.5]])
def test_shares_that_are_none_are_refused(exported, tmp_path, shares):
    with pytest.raises(UserError, match="as many shares"):
        average([exported, exported], shares, tmp_path / "mean")


def test_models_of_two_kinds_are_not_averaged(exported, tiny_model_dir, tmp_path):
    lineage = json.loads((exported / "lineage.json").read_text())
    odd = tmp_path / "odd"
    shutil.copytree(tiny_model_dir, odd)
    (odd / "lineage.json").write_text(json.dumps(lineage | {"architecture": {}}))
    with pytest.raises(UserError, match="another architecture or tokenizer"):
        average([exported, odd], [0.5, 0.5], tmp_path / "mean")
    assert not (tmp_path / "mean").exists()


def test_card_names_sources_licences_and_figures(exported):
    name = "squad_dev_public.f1"
    details = {name: {"n": 1234, "of": "questions", "how": "asked", "standard_error": 1.5}}
    figures = {name: 12.345, "bits_per_byte.stories_public": 0.7, "details": details}
    figures["baselines"] = {"first sentence": {name: 10.5}}
    (exported / "report.json").write_text(json.dumps(figures))
    card = write_card(exported, chat=True).read_text()
    assert "A. Writer" in card and "CC-BY-SA-4.0" in card
    assert "12.3 ± 1.5 % | 1,234 | at least 55 % | no" in card
    assert "0.700 |  | at most 0.75 | yes" in card
    assert "first sentence" in card and "10.5 %" in card
    assert "not measured" in card
    assert card.startswith("---\nlanguage: en\nlicense: cc-by-sa-4.0")
    assert "kWh" in card and "Assumed, not measured" in card


def test_card_of_a_base_model_leaves_out_what_only_the_chat_model_read(exported):
    lineage = json.loads((exported / "lineage.json").read_text())
    lineage["sources"]["book"]["licence"] = "CC0-1.0"
    (exported / "lineage.json").write_text(json.dumps(lineage))
    base = write_card(exported, chat=False).read_text()
    assert "license: apache-2.0" in base and "| talk |" not in base and "finetune |" in base
    assert "Not measured yet." in base
    chat = write_card(exported, chat=True).read_text()
    assert "license: cc-by-sa-4.0" in chat and "talk (CC-BY-SA-4.0)" in chat


def test_card_of_a_foreign_directory_is_refused(tmp_path):
    with pytest.raises(UserError, match="train export"):
        write_card(tmp_path, chat=True)
