"""The weights that come with the repository: whole, lean, documented, read by others unchanged."""

import json
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from huggingface_hub import ModelCard

from mlx_toy import model_directory
from mlx_toy.assistant import NOTHING_NEAR, Assistant
from mlx_toy.chatting import start_reply
from mlx_toy.embedder import load_embedder
from mlx_toy.engine import GREEDY, Engine
from mlx_toy.exchanges import read_exchanges
from mlx_toy.settings import Settings
from train.selector_data import read_dialogues

WEIGHTS = Path(__file__).parent.parent / "mlx_toy" / "weights"
MODELS = ("base", "chat")
WORKSPACE = "visits"


@pytest.mark.parametrize("name", MODELS)
def test_directory_is_whole_and_says_where_it_comes_from(name):
    directory = WEIGHTS / name
    model_directory.validate(directory)
    lineage = json.loads((directory / "lineage.json").read_text())
    assert lineage["sources"] and lineage["stages"]
    card = ModelCard.load(directory / "README.md")
    assert card.data.license and card.data.library_name == "mlx"
    for source, facts in lineage["sources"].items():
        if lineage["mixture"]["pretrain"].get(source):
            assert facts["attribution"] in card.text, source


def test_the_reader_comes_with_its_card_and_figures():
    card = ModelCard.load(WEIGHTS / "reader" / "README.md")
    assert card.data.license == "cc-by-sa-4.0" and "python -m train reader" in card.text
    report = json.loads((WEIGHTS / "reader" / "report.json").read_text())
    assert report["epoch"] == report["recipe"]["epochs"]
    assert f"F1 {report['held_out']['f1']} %" in card.text


def test_the_selector_has_our_dialogues_and_fits_the_bundled_retriever():
    directory = WEIGHTS / "chat" / "selector"
    assert read_exchanges(directory / "exchanges.jsonl.xz") == read_dialogues()
    config = json.loads((directory / "config.json").read_text())
    assert config["embedder"] == load_embedder().fingerprint
    report = json.loads((directory / "report.json").read_text())
    assert report["messages"] > 5_000 and report["given_fits"] > 0.55
    assert f"{report['given_fits']:.1%}" in (directory / "README.md").read_text()


def test_bundled_model_chats_with_written_replies():
    with Engine.load(None) as engine:
        begun = start_reply(engine, [{"role": "user", "content": "hello!"}], GREEDY)
        text = "".join(chunk.text for chunk in begun.generation)
        assert begun.exchange(text) is not None and begun.generation.stats.finish == "stop"


def test_what_asks_nothing_and_is_in_no_document_is_chat(tmp_path):
    with closing(Assistant(Settings(library=tmp_path / "library"))) as assistant:
        assistant.add_text(WORKSPACE, "The ferry leaves at noon. The crossing takes two hours.")

        def reply(text):
            return list(assistant.reply(WORKSPACE, [{"role": "user", "content": text}]))[-1]

        chat = reply("I am so tired today.")
        assert chat.exchange is not None and not chat.sources and not chat.abstained
        asked = reply("Who won the chess tournament in Riga?")
        assert asked.abstained and asked.exchange is None
        own_words = replace(assistant.options(), written_replies=False)
        [*_, plain] = assistant.reply(
            WORKSPACE, [{"role": "user", "content": "I am so tired today."}], own_words
        )
        assert plain.text == NOTHING_NEAR
        told = replace(assistant.options(), system_prompt="You are a librarian.")
        [*_, polite] = assistant.reply(
            WORKSPACE, [{"role": "user", "content": "I am so tired today."}], told
        )
        assert polite.text == NOTHING_NEAR
        assert reply("Is breakfast included? Thanks!").text == NOTHING_NEAR


def test_no_file_is_too_large_for_a_lean_repository():
    sizes = [path.stat().st_size for path in WEIGHTS.rglob("*") if path.is_file()]
    assert max(sizes) < 60e6 and sum(sizes) < 120e6


@pytest.mark.parametrize("name", MODELS)
def test_report_has_figures_of_held_out_text(name):
    report = json.loads((WEIGHTS / name / "report.json").read_text())
    assert 0.5 < report["bits_per_byte.stories_public"] < 3
    assert 0.5 < report["bits_per_byte.simplewiki_public"] < 3


def test_mlx_lm_loads_the_chat_model_unchanged():
    from mlx_lm import generate, load

    model, tokenizer = load(str(WEIGHTS / "chat"))
    messages = [{"role": "user", "content": "Hello!"}]
    prompt = tokenizer.apply_chat_template(messages, add_generation_prompt=True)
    assert generate(model, tokenizer, prompt=prompt, max_tokens=8).strip()
    with Engine.load(None) as engine:
        assert engine.render(messages) == list(prompt)


def test_base_model_writes_words():
    with Engine.load(WEIGHTS / "base") as engine:
        ids = [engine.tokenizer.bos_id, *engine.tokenizer.encode("Once upon a time, there was a")]
        chunks = engine.generate(ids, GREEDY)
        text = "".join(chunk.text for chunk in chunks)
    words = text.split()[:20]
    assert len(words) > 5 and sum(word.strip(".,!?\"'").isalpha() for word in words) > 15
