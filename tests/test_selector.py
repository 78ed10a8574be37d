"""Written replies: found again, told apart, said word for word, and never where none fits."""

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlx_toy.assistant import Assistant
from mlx_toy.chat import Message
from mlx_toy.chatting import start_reply
from mlx_toy.embedder import load_embedder
from mlx_toy.engine import Engine, Sampling
from mlx_toy.errors import UserError
from mlx_toy.exchange_features import NAMES, ExchangeFeatures
from mlx_toy.exchange_search import ExchangeIndex, Said
from mlx_toy.exchanges import Exchange, exchanges_of, read_exchanges, write_exchanges
from mlx_toy.model_directory import WEIGHTS as MODEL_WEIGHTS
from mlx_toy.options import AnswerOptions
from mlx_toy.reply_processor import ReplyProcessor
from mlx_toy.selector import DIRECTORY, EXCHANGES, WEIGHTS, Selector
from mlx_toy.settings import OWN_WORKSPACE, Settings
from mlx_toy.ui.chat import Request, send
from mlx_toy.ui.loading import Loading
from train import selector as training
from train.__main__ import main
from train.evaluation.openings import openings
from train.kept_nats import KeptNats
from train.selector_data import Judged, read_dialogues, read_judgements
from train.selector_fit import Recipe, fit

DIALOGUES = [
    ["what do owls eat", "Owls eat mice.", "and in winter?", "In winter owls eat mice, too."],
    ["hello there", "Hello! What is new?"],
    ["my cat is ill", "I am sorry about your cat. Can a vet look at it?"],
    ["my dog is ill", "I am sorry about your dog. Can a vet look at it?"],
    ["what is a lighthouse", "A lighthouse is a tower with a light for ships."],
    ["tell me a joke", "Why did the book see a doctor? It had hurt its back."],
    [
        "what do foxes eat",
        "Foxes eat mice.",
        "and in winter?",
        "In winter foxes eat what they find.",
    ],
    ["my name is Ida", "Nice to meet you, Ida.", "what is my name?", "Your name is Ida."],
]
JUDGED = [
    (["what does an owl eat"], ["d/0#0"], ["d/6#0", "d/4#0"]),
    (["hello"], ["d/1#0"], ["d/2#0", "d/5#0"]),
    (["our dog is so ill"], ["d/3#0"], ["d/2#0", "d/1#0"]),
    (["what do owls eat", "Owls eat mice.", "in winter as well?"], ["d/0#1"], ["d/6#1"]),
    (["how do planes fly"], [], ["d/0#0", "d/4#0", "d/5#0"]),
    (["my name is Bo"], ["d/7#0"], ["d/1#0"]),
    (["my name is Bo", "Nice to meet you, Bo.", "what is my name"], ["d/7#1"], ["d/7#0"]),
    (["I went home. what do owls eat"], ["d/0#0"], ["d/1#0", "d/7#0"]),
]
GENERAL = [("general/1", "I am sorry."), ("general/2", "That sounds lovely.")]
GENERALLY = [
    (["my bird died"], ["general/1"]),
    (["i am so sad today"], ["general/1"]),
    (["we went to the sea, it was great"], ["general/2"]),
    (["i love my new house"], ["general/2"]),
]


def user(*turns: str) -> list[Message]:
    """A conversation whose first message is the person's."""
    roles = ("user", "assistant")
    return [{"role": roles[i % 2], "content": turn} for i, turn in enumerate(turns)]


def exchanges() -> list[Exchange]:
    return [e for i, d in enumerate(DIALOGUES) for e in exchanges_of(f"d/{i}", user(*d))]


@pytest.fixture(scope="module")
def index() -> ExchangeIndex:
    return ExchangeIndex(exchanges(), load_embedder())


@pytest.fixture(scope="module")
def trained(tiny_model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model with a selector that the command made, of few dialogues judged many times."""
    folder = tmp_path_factory.mktemp("selector")
    (folder / "dialogues").mkdir()
    lines = [json.dumps({"id": f"d/{i}", "messages": user(*d)}) for i, d in enumerate(DIALOGUES)]
    (folder / "dialogues" / "few.jsonl").write_text("\n".join(lines))
    judged = [
        {"id": f"{i}", "turns": [*turns[:-1], turns[-1] + " " * i], "fits": fits, "others": others}
        for i in range(40)
        for turns, fits, others in JUDGED
    ]
    judged += [
        {
            "id": f"g{i}",
            "turns": [turns[0] + " " * i],
            "fits": [],
            "others": ["d/4#0"],
            "general": general,
        }
        for i in range(40)
        for turns, general in GENERALLY
    ]
    general = "".join(json.dumps({"id": id, "reply": reply}) + "\n" for id, reply in GENERAL)
    (folder / "general.jsonl").write_text(general)
    (folder / "judged.jsonl").write_text("".join(json.dumps(record) + "\n" for record in judged))
    model = folder / "model"
    shutil.copytree(tiny_model_dir, model)
    files = {"dialogues": "dialogues", "judged": "judged.jsonl", "general": "general.jsonl"}
    flags = [flag for name, file in files.items() for flag in (f"--{name}", str(folder / file))]
    flags += ["--own-words", "0.5", "--own-words-later", "0.5"]
    assert main(["selector", "--model", str(model), *flags]) == 0
    return model


@pytest.fixture(scope="module")
def engine(trained: Path):
    with Engine.load(trained) as engine:
        yield engine


def test_a_dialogue_has_an_exchange_for_each_reply():
    first, second = exchanges_of("d/0", user(*DIALOGUES[0]))
    assert (first.id, first.before, first.said, first.goes_on) == ("d/0#0", "", "", False)
    assert (second.id, second.before, second.said) == ("d/0#1", *DIALOGUES[0][:2])
    assert (second.message, second.reply) == tuple(DIALOGUES[0][2:])
    passages: Message = {"role": "context", "content": "[1] Owls."}
    assert exchanges_of("d/1", [passages, *user("what?", "Owls [1].")]) == []


@given(st.lists(st.builds(Exchange, *[st.text()] * 5), max_size=5))
@settings(max_examples=30)
def test_exchanges_are_read_as_they_were_written(tmp_path_factory, written):
    path = tmp_path_factory.mktemp("exchanges") / EXCHANGES
    try:
        write_exchanges(written, path)
    except UnicodeEncodeError:
        return  # a lone surrogate, which no message has: see `messages.clean`
    assert read_exchanges(path) == written


def test_search_looks_at_what_was_said_before(index):
    [first, *_] = index.search(Said("and in winter?", "do foxes eat grapes", "Yes, foxes do."))
    assert index.exchanges[first].id == "d/6#1"
    found = index.search(Said("what do owls eat"))
    assert index.exchanges[found[0]].id == "d/0#0"
    assert not any(index.exchanges[place].goes_on for place in found[:5])


@given(st.text(max_size=40), st.text(max_size=20))
@settings(max_examples=50, deadline=None)
def test_features_are_numbers_whatever_is_said(index, message, before):
    said = Said(message, before, "Yes." if before else "")
    features = ExchangeFeatures(index)(said, said, index.search(said))
    assert features.shape[1] == len(NAMES) and np.isfinite(features).all()


def test_reply_that_takes_up_other_words_is_told_by_a_feature(index):
    places = {exchange.id: place for place, exchange in enumerate(index.exchanges)}
    said = Said("the dog of my aunt is ill")
    cat, dog = ExchangeFeatures(index)(said, said, [places["d/2#0"], places["d/3#0"]])
    column = NAMES.index("words that the reply takes up, missing")
    assert cat[column] > 0.3 and dog[column] == 0


def test_fitting_reply_is_chosen_and_none_where_none_fits(engine):
    assert engine.selector is not None
    best = engine.selector(user("what does an owl eat"))[0]
    assert best.exchange.reply == "Owls eat mice." and best.probability > 0.5
    assert engine.selector(user("how do planes fly")) == []


def test_one_sentence_of_a_message_is_enough_to_find_its_reply(engine):
    assert engine.selector is not None
    best = engine.selector(user("We came home late. what does an owl eat"))[0]
    assert best.exchange.reply == "Owls eat mice."
    said = Said("haha ok.\nwhat can you do? tell me!")
    assert [view.message for view in said.views[1:]] == ["haha ok.", "what can you do?", "tell me!"]
    assert Said("what can you do?").views == [Said("what can you do?")]


def test_the_name_that_was_told_is_said_and_remembered(engine):
    assert engine.selector is not None
    told = user("my name is Rosa")
    assert engine.selector(told)[0].exchange.reply == "Nice to meet you, Rosa."
    later = [*told, *user("x", "Nice to meet you, Rosa.", "hello", "Hello!", "what is my name")[1:]]
    assert engine.selector(later)[0].exchange.reply == "Your name is Rosa."


def test_a_general_reply_is_given_where_no_exchange_is_near(engine):
    assert engine.selector is not None
    [best, *_] = engine.selector(user("my bird died"))
    assert best.exchange.reply == "I am sorry." and best.exchange.message == ""
    [best, *_] = engine.selector(user("i love my new house"))
    assert best.exchange.reply == "That sounds lovely."


def test_what_was_answered_already_is_not_said_again(engine):
    told = user("hello", "Hello! What is new?", "hello")
    assert engine.selector is not None
    assert "Hello! What is new?" not in [c.exchange.reply for c in engine.selector(told)]


def test_a_long_message_is_left_to_the_models_own_words(engine):
    assert engine.selector is not None
    assert engine.selector(user("what does an owl eat " * 30)) == []


def test_nats_of_replies_are_those_of_their_tokens(engine):
    messages = user("hello there")
    (nats, tokens), other = engine.reply_nats([(messages, "Hello!"), (user("hm"), "Hello!")])
    ids = [*engine.tokenizer.encode("Hello!"), engine.tokenizer.end_id]
    prompt = engine.render(messages)
    [(whole, _), (before, _)] = engine.score([[*prompt, *ids], prompt])
    assert tokens == len(ids) and nats == pytest.approx(whole - before, abs=1e-3)
    assert other[0] != pytest.approx(nats)


def test_written_reply_is_generated_word_for_word_and_ends(engine):
    begun = start_reply(engine, user("what does an owl eat"), Sampling(temperature=0))
    text = "".join(chunk.text for chunk in begun.generation)
    assert text == "Owls eat mice." and begun.generation.stats.finish == "stop"
    exchange = begun.exchange(text)
    assert exchange is not None and exchange.message == "what do owls eat"


def test_of_several_replies_each_is_said_by_its_weight(tiny_engine):
    tokenizer = tiny_engine.tokenizer
    prompt = tiny_engine.render(user("hello"))
    replies = [[*tokenizer.encode(text), tokenizer.end_id] for text in ("token", "tokens", "ids")]
    said = []
    for seed in range(40):
        sampling = Sampling(1.0, 1.0, 0, 1.0, 20, seed)
        processor = ReplyProcessor(replies, [0.3, 0.3, 0.4], len(prompt))
        generation = tiny_engine.generate(prompt, sampling, logits_processors=[processor])
        said.append("".join(chunk.text for chunk in generation))
    assert set(said) == {"token", "tokens", "ids"}
    assert 6 <= said.count("ids") <= 26


def test_assistant_gives_the_written_reply_or_its_own_words(trained, tmp_path):
    assistant = Assistant(Settings(model=str(trained), library=str(tmp_path / "library")))
    try:
        asked = user("what does an owl eat")
        *_, last = assistant.reply(None, asked)
        assert last.text == "Owls eat mice." and last.exchange and last.done
        for options in (AnswerOptions(written_replies=False), AnswerOptions(system_prompt="Sing")):
            *_, last = assistant.reply(OWN_WORKSPACE, asked, options)
            assert last.exchange is None and last.text != "Owls eat mice."
    finally:
        assistant.close()


def test_the_app_says_that_a_reply_was_written_beforehand(trained, tmp_path):
    settings = Settings(model=str(trained), library=str(tmp_path / "library"))
    loading = Loading(lambda: Assistant.load(settings))
    loading.start()
    try:
        *_, last = send(loading, Request("what does an owl eat", [], [], OWN_WORKSPACE, False))
        assert last.history[-1].text == "Owls eat mice."
        assert "written beforehand" in last.history[-1].figures
        assert last.sources is not None and "“what do owls eat”" in last.sources.note
        *_, last = send(loading, Request("my bird died", [], [], OWN_WORKSPACE, False))
        assert last.history[-1].text == "I am sorry." and last.sources is not None
        assert "for no message in particular" in last.sources.note
        own = AnswerOptions(written_replies=False)
        request = Request("what does an owl eat", [], [], OWN_WORKSPACE, False, own)
        *_, last = send(loading, request)
        assert "written beforehand" not in last.history[-1].figures
    finally:
        loading.close()


def test_training_writes_figures_of_messages_it_did_not_see(trained):
    directory = trained / DIRECTORY
    report = json.loads((directory / "report.json").read_text())
    count, none = 40 * len(JUDGED + GENERALLY), 40 * (1 + len(GENERALLY))
    assert report["messages"] == count
    assert report["some_reply_fits"] == round(1 - none / count, 3)
    assert report["exchanges"] == len(exchanges())
    assert 0 <= report["given_fits"] <= 1 and report["without_the_model"]["candidates"]
    assert report["conversations"]["first"]["messages"] == 40 * len(GENERALLY)
    assert f"{report['given']:.1%}" in (directory / "README.md").read_text()


def test_the_same_data_gives_the_same_weights(trained):
    judged = [([1.0], True), ([0.0], False)] * 40
    features = [np.array([x, x], np.float32) for x, _ in judged]
    fits = [np.array([y, y]) for _, y in judged]
    first, second = (fit(features, fits, Recipe(epochs=2, batch=16)) for _ in range(2))
    assert all(np.array_equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("broken", [WEIGHTS, EXCHANGES])
def test_broken_selector_is_refused_in_one_sentence(trained, tmp_path, broken):
    model = tmp_path / "model"
    shutil.copytree(trained, model)
    (model / DIRECTORY / broken).write_bytes(b"nothing")
    with Engine.load(model) as engine, pytest.raises(UserError, match="selector"):
        _ = engine.selector


def test_bad_input_to_training_gets_its_sentence(trained, tmp_path, capsys):
    (tmp_path / "judged").mkdir()
    few = tmp_path / "judged" / "few.jsonl"
    few.write_text(Path(training.JUDGEMENTS).read_text(encoding="utf-8").split("\n")[0])
    base = ["selector", "--model", str(trained)]
    for flags, part in (
        (["--own-words", "37"], "no share"),
        (["--dialogues", str(tmp_path)], "no dialogues"),
        (["--judged", str(tmp_path / "none.jsonl")], "none.jsonl"),
        (["--judged", str(few)], "too few messages"),
        (["--general", str(few)], "something else than general replies"),
    ):
        assert main([*base, *flags]) == 2
        assert part in capsys.readouterr().err


def test_measure_counts_only_what_is_given(index):
    judged = read_judged_example(index)
    figures = training.measure(judged, [np.array([0.9, 0.1]), np.array([0.2, 0.4])], 0.5)
    assert (figures["given"], figures["given_fits"], figures["some_reply_fits"]) == (0.5, 1.0, 0.5)


def read_judged_example(index):
    first = Judged(Said("a"), [0, 1], np.array([True, False]))
    return [first, Judged(Said("b"), [0, 1], np.array([False, False]))]


def test_our_judgements_name_exchanges_of_our_dialogues():
    ours = read_dialogues()
    judged = read_judgements(ours)
    records = (Path(training.JUDGEMENTS)).read_text(encoding="utf-8").splitlines()
    named = [id for line in map(json.loads, records) for id in (*line["fits"], *line["others"])]
    assert len(judged) > 3_000 and sum(len(one.places) for one in judged) == len(named)


def test_no_written_reply_is_to_an_opening_of_the_evaluation():
    asked = {turn.strip().lower() for opening in openings() for turn in opening.turns}
    first = {opening.turns[0].strip().lower() for opening in openings()}
    for exchange in read_dialogues():
        assert exchange.message.strip().lower() not in first
        assert exchange.message.strip().lower() not in asked or exchange.goes_on


def test_selector_class_is_for_several_threads_at_once(engine):
    assert isinstance(engine.selector, Selector)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(engine.selector, [user("what does an owl eat")] * 8))
    assert all(choices[0].exchange == found[0][0].exchange for choices in found)


def test_what_a_model_said_of_replies_is_asked_once_and_kept(engine, trained, tmp_path):
    file, weights, asked = tmp_path / "kept" / "nats.npz", trained / MODEL_WEIGHTS, []

    def nats(pairs):
        asked.extend(pairs)
        return engine.reply_nats(pairs)

    hello, bye = (user("hello there"), "Hello!"), (user("goodbye"), "Bye.")
    first = KeptNats(nats, weights, file)
    assert first([hello, hello]) == engine.reply_nats([hello, hello]) and asked == [hello]
    first.save()
    again = KeptNats(nats, weights, file)
    assert again([hello, bye])[0] == pytest.approx(first([hello])[0])
    assert asked == [hello, bye]
    other = tmp_path / "other.safetensors"
    other.write_bytes(b"another model")
    KeptNats(nats, other, file)([hello])
    assert asked == [hello, bye, hello]
    for broken in (tmp_path, other):
        with pytest.raises(UserError, match="name another file"):
            KeptNats(nats, weights, broken)
