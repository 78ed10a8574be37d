"""`python -m train reranker` from records to a directory that loads, on a small made-up world."""

import argparse
import json
from pathlib import Path

from mlx_toy.backend import mx

import numpy as np
import pytest
from retrieval_fixtures import ANIMALS, PLACES, write_data, write_everyday

from mlx_toy.embedder import load_embedder
from mlx_toy.errors import UserError
from mlx_toy.lexicon import Lexicon
from mlx_toy.reranker import BUNDLED, load_reranker
from mlx_toy.search_in_memory import WordIndex
from train import reranker as command
from train.reranker_data import TrainingLibrary, deal, foreign, sample
from train.reranker_fit import Recipe, pointwise
from train.retrieval_data import EVERYDAY, Passage, sources


def records() -> list[dict]:
    """Questions and pairs in one: each animal has its place and its deed."""
    return [
        {
            "title": f"The {animal} of the {place}",
            "context": f"A {animal} of the {place} met {PLACES[part]} number {index}. It {deed}.",
            "question": f"Which {animal} of the {place} {deed}?",
            "answers": ["the " + place],
            "query": f"{animal} {place} {deed}",
            "passage": f"A {animal} that {deed} can be found in the {place}.",
            "id": f"made/{animal}-{place}/{index}-{part}",
        }
        for index, animal in enumerate(ANIMALS)
        for place in PLACES
        for part, deed in enumerate(["slept", "sang all night", "stole a cake"])
    ]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data directory in the layout of the catalogue, and under its file names."""
    files = [source.file for source in sources((*command.QUESTIONS, command.TITLES))]
    return write_data(tmp_path / "data", records(), files)


def options(*flags: str | Path) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return parser.parse_args([str(flag) for flag in flags])


def test_command_writes_a_directory_that_loads_and_is_the_same_again(
    data, tmp_path, tmp_path_factory, capsys
):
    out = tmp_path / "out"
    everyday = write_everyday(tmp_path_factory.mktemp("everyday"))
    flags = ("--data", data, "--everyday", everyday, "--out", out, "--questions", 40)
    flags = (*flags, "--epochs", 1)
    command.run(options(*flags))
    first = load_reranker(out)
    report = json.loads((out / "report.json").read_text())
    assert report["calibration"]["own_questions_kept"] >= 0.95
    assert set(report["held_out"]) == {*command.QUESTIONS, EVERYDAY}
    assert "CC-BY-SA-4.0" in (out / "README.md").read_text()
    command.run(options(*flags))
    assert load_reranker(out).fingerprint == first.fingerprint
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "out"]  # nothing left over
    capsys.readouterr()
    command.run(options("--data", data, "--evaluate", out))
    assert "| SQuAD dev | 144 | 144 | reranked |" in capsys.readouterr().out


def test_a_refitted_reranker_keeps_the_network_and_takes_the_embedders_vectors(tmp_path):
    embedder = load_embedder(None)
    network = command.network_of(BUNDLED)
    refitted = command.with_vectors(embedder, network, Recipe())
    assert all(refitted.arrays[name] is network[name] for name in command.KEPT_ARRAYS)
    assert len(refitted.arrays["table"]) == embedder.model.config.rows
    with pytest.raises(UserError, match="--refit"):
        command.network_of(tmp_path / "nowhere")


def test_command_refuses_what_it_cannot_do(data, tmp_path):
    with pytest.raises(UserError, match="--out"):
        command.run(options("--data", data))
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "thesis.txt").write_text("mine")
    with pytest.raises(UserError, match="something else"):
        command.run(options("--data", data, "--out", tmp_path / "taken"))


def test_word_index_finds_other_forms_and_knows_no_stop_words():
    index = WordIndex(["Foxes jumped.", "What is it?", "A city in the north."], Lexicon())
    assert index.scores("Which cities?").argmax() == 2
    assert index.scores("a jumping fox").argmax() == 0
    assert not index.scores("what is it").any()


def test_candidates_are_what_both_searches_find():
    groups = {
        "Birds": [Passage("An owl sleeps by day.", ["When does an owl sleep?"])],
        "Bread": [Passage("Dough is kneaded."), Passage("Bread is baked.", ["What is baked?"])],
    }
    library = TrainingLibrary(groups, load_embedder(None), Lexicon(), headings=True)
    assert library.asked.right.tolist() == [0, 2]
    cosines, scores = library.searches(library.asked.questions)
    chosen, found = library.candidates(cosines[1], scores[1], 1)
    assert 2 in chosen and found.text_rank[list(chosen).index(2)] == 1
    assert found.texts[list(chosen).index(2)] == "Bread\nBread is baked."
    assert (foreign(library.asked, 5, np.random.default_rng(0)).right == -1).all()


def test_groups_are_dealt_whole():
    groups = {f"article {n}": [Passage(f"{n} {place}") for place in range(3)] for n in range(10)}
    dealt = deal(groups, 6, np.random.default_rng(0))
    assert [len(part) for part in dealt] == [2] * 5
    library = TrainingLibrary(groups, load_embedder(None), Lexicon())
    assert len(sample(library.asked, 3, np.random.default_rng(0)).questions) == 0


def test_whether_a_passage_answers_is_learned_of_the_questions_that_are_told():
    random = np.random.default_rng(0)
    logits, present = mx.array(random.normal(size=(3, 4))), mx.array(np.ones((3, 4), bool))
    right = mx.array([1, -1, 2])
    told = mx.array([True, True, False])
    alone = pointwise(logits[:2], present[:2], right[:2], told[:2])
    assert pointwise(logits, present, right, told).item() == pytest.approx(alone.item())
    assert pointwise(logits, present, right, ~told).item() > 0
    assert pointwise(logits, present, right, mx.zeros(3)).item() == 0
