"""`python -m train embedder` from records to a directory that loads, on a small made-up world."""

import argparse
import json
from pathlib import Path

import numpy as np
import pytest
from retrieval_fixtures import ANIMALS, PLACES, write_data, write_everyday

from mlx_toy.embedder import BUNDLED, load_embedder
from mlx_toy.errors import UserError
from train import embedder as command
from train.common_words import common_words
from train.definitions import definition_groups, without_held_out
from train.retrieval_data import SOURCES, Passage, group_records, sources, split_held_out
from train.retrieval_metrics import bm25_scores, evaluate, evaluate_apart, figures, ranks


def records() -> list[dict]:
    """Questions and pairs in one: each animal lives in its place."""
    return [
        {
            "title": f"The {animal} of the {place}",
            "context": f"Once a {animal} lived in the {place} number {index}, all alone.",
            "question": f"Where did the {animal} of {place} {index} live?",
            "answers": ["the " + place],
            "query": f"{animal} {place}",
            "passage": f"A {animal} can be found in the {place}.",
            "text": f"The {animal} of the {place} is a shy animal which sleeps by day and eats at "
            f"night. {'It lives alone and is seldom seen. ' * 8}Its place is the {place}.",
            "id": f"made/{index}/{place}",
        }
        for index, animal in enumerate(ANIMALS)
        for place in PLACES
    ]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data directory in the layout of the catalogue, and under its file names."""
    files = [source.file for source in sources(SOURCES)]
    return write_data(tmp_path / "data", records(), files)


@pytest.fixture
def everyday(tmp_path_factory) -> Path:
    return write_everyday(tmp_path_factory.mktemp("everyday"))


def options(*flags: str | Path) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return parser.parse_args([str(flag) for flag in flags])


def test_command_writes_a_directory_that_loads_and_replaces_it_whole(
    data, everyday, tmp_path, capsys
):
    out = tmp_path / "out"
    flags = ("--data", data, "--everyday", everyday, "--tokenizer", BUNDLED, "--out", out)
    flags = (*flags, "--words", 64)
    command.run(options(*flags, "--dimensions", 16, "--steps", 2))
    embedder = load_embedder(out)
    assert embedder.dimensions == 16
    report = json.loads((out / "report.json").read_text())
    assert report["calibration"]["own_questions_kept"] >= 0.95
    assert "CC-BY-SA-4.0" in (out / "README.md").read_text()
    command.run(options(*flags, "--dimensions", 16, "--steps", 2))
    assert load_embedder(out).fingerprint == embedder.fingerprint  # deterministic
    command.run(options(*flags, "--dimensions", 8, "--steps", 1))
    assert load_embedder(out).dimensions == 8
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "out"]  # nothing left over
    command.run(options(*flags, "--dimensions", 8, "--steps", 1, "--teacher", BUNDLED))
    assert "learned from" in (out / "README.md").read_text()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "out", "out.teacher"]
    capsys.readouterr()
    command.run(options("--data", data, "--evaluate", out))
    assert "| SQuAD dev |" in capsys.readouterr().out


def test_command_goes_on_from_a_retriever_of_ours(data, everyday, tmp_path, capsys):
    flags = ("--data", data, "--everyday", everyday, "--init", BUNDLED, "--steps", 1)
    command.run(options(*flags, "--out", tmp_path / "further", "--rate", 0))
    before, after = load_embedder(), load_embedder(tmp_path / "further")
    texts = ["The tower stood by the sea.", "Who built it?"]
    same = before.embed_passages(texts) @ after.embed_passages(texts).T
    assert np.allclose(np.diagonal(same), 1, atol=1e-3)
    report = json.loads((tmp_path / "further" / "report.json").read_text())
    assert "--init" in report["command"]
    bundled = json.loads((BUNDLED / "report.json").read_text())
    assert report["before"]["command"] == bundled["command"]
    assert report["teacher"] == bundled["teacher"]
    command.run(options(*flags, "--out", tmp_path / "mean", "--kept", 0.5))
    assert "--kept 0.5" in json.loads((tmp_path / "mean" / "report.json").read_text())["command"]
    begun = load_embedder()
    far = []
    for kept in (0.0, 0.9):
        out = tmp_path / f"kept {kept}"
        command.run(options(*flags, "--out", out, "--rate", 0.5, "--kept", kept))
        moved = np.array(load_embedder(out).model.query_gain - begun.model.query_gain)
        far.append(float(np.abs(moved).max()))
    assert far[1] < 0.2 * far[0]


def test_command_refuses_what_it_cannot_do(data, tmp_path):
    with pytest.raises(UserError, match="--out"):
        command.run(options("--data", data))
    with pytest.raises(UserError, match="no training data"):
        command.run(options("--data", tmp_path / "nowhere"))
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "thesis.txt").write_text("mine")
    flags = (
        "--data",
        data,
        "--tokenizer",
        BUNDLED,
        "--dimensions",
        8,
        "--words",
        64,
        "--steps",
        1,
    )
    with pytest.raises(UserError, match="--init or --teacher"):
        out = ("--data", data, "--out", tmp_path / "none", "--init", BUNDLED)
        command.run(options(*out, "--teacher", BUNDLED))
    with pytest.raises(UserError, match=r"--kept 0\.5"):
        command.run(options(*flags, "--out", tmp_path / "none", "--kept", 0.5))
    with pytest.raises(UserError, match="something else"):
        command.run(options(*flags, "--out", tmp_path / "taken"))
    assert (tmp_path / "taken" / "thesis.txt").read_text() == "mine"


def test_held_out_groups_are_apart_and_stay_so():
    groups = {f"article {index}": [Passage("text")] for index in range(200)}
    trained, held_out = split_held_out(groups)
    assert trained.keys() | held_out.keys() == groups.keys()
    assert not trained.keys() & held_out.keys()
    assert 2 <= len(held_out) <= 25
    assert split_held_out(dict(reversed(groups.items())))[1].keys() == held_out.keys()


def test_questions_of_one_passage_are_gathered_with_their_answers():
    fox = {"title": "Fox", "context": "A fox.", "answers": ["fox"]}
    twice = iter([fox | {"question": question} for question in ("Who?", "What?")])
    gathered = Passage("A fox.", ["Who?", "What?"], [["fox"], ["fox"]])
    assert group_records("question", twice) == {"Fox": [gathered]}


def test_a_definition_becomes_the_query_of_the_rest_of_its_article():
    (name, (passage,)) = next(iter(definition_groups(records()).items()))
    assert name.startswith("simplewiki/")
    assert passage.queries == ["shy animal which sleeps by day and eats at night"]
    assert "shy" not in passage.text and "seldom seen" in passage.text
    pages = {f"simplewiki/{number}": [passage] for number in range(200)}
    assert 0 < len(pages) - len(without_held_out(pages)) < 25


def test_bm25_prefers_the_rare_word_and_ranks_count_from_one():
    scores = bm25_scores(["the fox the fox", "the owl", "the crow and the owl"], ["the crow"])
    assert ranks(scores)[0].argmin() == 2
    assert figures(np.array([1, 2, 5, 20])) == {
        "recall@1": 0.25,
        "recall@5": 0.75,
        "recall@10": 0.75,
        "mrr": round((1 + 1 / 2 + 1 / 5 + 1 / 20) / 4, 4),
    }


def test_evaluation_counts_every_question_once():
    groups = {"a": [Passage("The heart pumps blood.", ["What pumps blood?", "What is the heart?"])]}
    found = evaluate(load_embedder(None), groups)
    assert (found["passages"], found["questions"]) == (1, 2)
    assert found["fused"]["recall@1"] == 1.0


PARTS = ["roof", "door", "floor", "lamp", "paint", "anchor"]


def test_groups_apart_compete_only_with_themselves():
    def group(subject: str) -> list[Passage]:
        return [Passage(f"The {part} of the {subject}.", [f"the {part}?"]) for part in PARTS]

    embedder = load_embedder(None)
    groups = {"boat": group("boat"), "house": group("house"), "few": group("barn")[:2]}
    apart = evaluate_apart(embedder, groups)
    assert (apart["passages"], apart["questions"]) == (12, 12)  # of "few" none
    assert apart["bm25"]["recall@1"] == 1.0
    assert evaluate(embedder, groups)["bm25"]["recall@1"] < 0.6
    assert evaluate_apart(embedder, {"few": groups["few"]}) == {"passages": 0, "questions": 0}


def test_common_words_are_counted_once_a_text_and_the_commonest_come_first(data, everyday):
    words = common_words(data, everyday, 1_000)
    assert words.index("key") < words.index("hangs")  # questions have the one, too
    assert words == common_words(data, everyday, 1_000)
    assert common_words(data, everyday, 5) == words[:5]
    assert {"fox", "harbour", "cupboard"} <= set(words)
