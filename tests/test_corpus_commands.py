"""The commands: from a person's own files to shards, and a look at what is in them."""

import json
import random
import re

from corpus.__main__ import main
from corpus.budgets import BUDGETS
from corpus.catalog import load_catalog
from corpus.show import GREEN, PLAIN, paint
from mlx_toy.chat import render
from train.presets import PRESETS
from train.shards import open_mixture

WORDS = [a + b + c for a in "bdfgklmnprst" for b in "aeiou" for c in "dlmnrst"]


def prose(words, seed=0):
    """Sentences of eight made-up words, without a line break."""
    rng = random.Random(seed)
    sentences = (" ".join(rng.choices(WORDS, k=8)).capitalize() for _ in range(words // 8))
    return ". ".join(sentences) + "."


def build(tmp_path, *files):
    texts = [str(file) for file in files]
    return main(["build", "--text", *texts, "--out", str(tmp_path / "run"), "--workers", "1"])


def test_own_files_become_shards_and_can_be_looked_at(tmp_path, tiny_tokenizer, capsys):
    (tmp_path / "huge_line.txt").write_text(prose(30_000))
    (tmp_path / "latin.txt").write_bytes(
        ("Caf\xe9 au lait.\r\n\r\n" + prose(900, 1)).encode("cp1252")
    )
    files = [tmp_path / "huge_line.txt", tmp_path / "latin.txt"]
    assert build(tmp_path, *files) == 0
    said = capsys.readouterr()
    assert "learn them by heart" in said.err and "python -m train tokenizer" in said.out
    run = tmp_path / "run"
    lines = (run / "text.jsonl").read_text(encoding="utf-8").splitlines()
    sample = [json.loads(line)["text"] for line in lines]
    assert any(text.startswith("Café au lait.\n") for text in sample)
    assert max(len(text.split()) for text in sample) <= 900

    (run / "tokenizer").mkdir()
    (run / "tokenizer" / "tokenizer.model").write_bytes(tiny_tokenizer.model_proto)
    assert build(tmp_path, *files) == 0
    names = {s.name for s in open_mixture(run / "shards", "pretrain").shards}
    assert names == {"own-text", "own-dialogues"}
    assert open_mixture(run / "shards", "pretrain", "valid").shards
    names = {s.name for s in open_mixture(run / "shards", "finetune").shards}
    assert names == {"own-text", "own-dialogues"}
    report = json.loads((run / "corpus.json").read_text())
    assert 30_000 < report["sources"]["own/text"]["words"] < 31_000

    capsys.readouterr()
    assert main(["show", "--stage", "finetune", "--n", "4", "--build", str(run)]) == 0
    out = capsys.readouterr().out
    assert out.count("— own-") == 4 and "«" in out and "<|assistant|>" in out


def test_what_is_learned_is_green(tiny_tokenizer):
    rendered = render(
        [{"role": "user", "content": "Hi \x1b[2J"}, {"role": "assistant", "content": "Hello."}],
        tiny_tokenizer,
    )
    shown = paint(rendered.ids, rendered.loss_mask, tiny_tokenizer, colour=True)
    assert f"{GREEN}Hello.{PLAIN}" in shown
    assert "\x1b[2J" not in shown  # what a text says cannot steer the terminal
    plain = paint(rendered.ids, rendered.loss_mask, tiny_tokenizer, colour=False)
    assert re.findall("«(.*?)»", plain, re.DOTALL) == ["Hello.", "<|end|>\n"]


def test_show_without_shards_says_what_to_run(tmp_path, tiny_tokenizer, capsys):
    (tmp_path / "tokenizer.model").write_bytes(tiny_tokenizer.model_proto)
    arguments = ["show", "--build", str(tmp_path), "--tokenizer", str(tmp_path)]
    assert main(arguments) == 2 and "python -m corpus build" in capsys.readouterr().err


def test_missing_tokenizer_is_named_before_any_time_is_spent(tmp_path, capsys):
    arguments = ["build", "--data", str(tmp_path), "--out", str(tmp_path), "--tokenizer", "none"]
    assert main(arguments) == 2 and "no tokenizer.model in none" in capsys.readouterr().err


def test_list_names_every_source(capsys):
    assert main(["list"]) == 0
    out = capsys.readouterr().out
    assert all(source.name in out for source in load_catalog())


def test_every_preset_has_a_budget_and_a_larger_one_reads_more():
    assert set(PRESETS) <= set(BUDGETS)
    tokens = [budget.tokens for budget in BUDGETS.values()]
    samples = [budget.sample_bytes for budget in BUDGETS.values()]
    assert tokens == sorted(tokens) and samples == sorted(samples)
