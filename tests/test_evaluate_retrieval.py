"""`python -m train evaluate-retrieval`: metrics by hand, sets from records, ranks from all ways."""

import json
import lzma
import math
from pathlib import Path

import numpy as np
import pytest
from library_fixtures import DIMENSIONS, embed

from corpus.bm25 import Bm25
from train.__main__ import main
from train.evaluate_retrieval import open_embedder
from train.retrieval_metrics import figures, rank_of_right
from train.retrieval_rows import CachedEmbedder, best, in_app, in_memory
from train.retrieval_sets import (
    DISTRACTORS_FILE,
    FILES,
    distractors,
    from_articles,
    from_questions,
    splitter,
    take_definition,
    together,
)

SPLIT = splitter(lambda text: len(text.split()))
OWL = {
    "title": "Owl",
    "text": "An owl (Strigiformes) is a bird of prey that hunts at night and can turn its head "
    "far. Most owls live alone.\n\nFood\n\n"
    + "Owls eat mice, and they swallow them whole. " * 6
    + "\n\nReferences\n\n"
    + "Books about owls are many, and some are good. " * 6,
}
ROCK = {"title": "Rock", "text": "Rocks are hard.\n\nUses\n\nToo short."}
QUESTIONS = [
    {"title": "Fox", "context": "A fox sleeps.", "question": "What sleeps?", "answers": ["A fox"]},
    {"title": "Fox", "context": "A fox sleeps.", "question": "Who flies?", "answers": []},
    {"title": "Fox", "context": "It eats hens.", "question": "Who eats?", "answers": ["It"]},
    {"title": "Owl", "context": "An owl calls.", "question": "Who calls?", "answers": ["An owl"]},
]


class Letters:
    """The toy embedder of the library's tests, counting what it is asked."""

    dimensions, fingerprint, default_threshold = DIMENSIONS, "letters", 0.0

    def __init__(self) -> None:
        self.asked: list[str] = []

    def embed_passages(self, texts: list[str]) -> np.ndarray:
        self.asked += texts
        return embed(texts)

    embed_queries = embed_passages


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data directory with what the sets are made from."""
    articles = [OWL, ROCK]
    others = [OWL] + [{"title": f"City {n}", "text": f"City {n} is large."} for n in range(1, 90)]
    records = dict.fromkeys([FILES["squad"], FILES["fairytaleqa"]], QUESTIONS)
    records |= {FILES["simplewiki"]: articles, DISTRACTORS_FILE: others}
    for name, lines in records.items():
        file = tmp_path / "data" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        text = "".join(json.dumps({"id": "made", **line}) + "\n" for line in lines)
        file.write_bytes(lzma.compress(text.encode()))
    return tmp_path / "data"


def test_the_first_right_passage_counts_and_a_missing_one_is_infinitely_far():
    assert rank_of_right([7, 3, 5], {5, 3}) == 2
    assert rank_of_right([7], {5}) == math.inf
    assert figures([1, 2, 3, math.inf], (1, 3)) == {
        "recall@1": 0.25,
        "recall@3": 0.75,
        "mrr": round((1 + 1 / 2 + 1 / 3) / 4, 4),
    }


def test_bm25_equals_the_formula():
    scores = Bm25(["fox fox hen", "owl"]).scores("fox")
    length = 1 - 0.75 + 0.75 * 3 / 2  # of the first passage, relative to the mean of 2 words
    expected = math.log(1 + (2 - 1 + 0.5) / (1 + 0.5)) * 2 * 2.2 / (2 + 1.2 * length)
    assert scores == pytest.approx([expected, 0.0])


def test_best_numbers_come_in_order_without_those_that_do_not_match():
    assert best(np.array([0.0, 0.5, 2.0, 0.5, -1.0])) == [2, 1, 3]
    assert best(np.array([0.0, 0.5, 2.0, 0.5]), 2) == [2, 1]


def test_only_answerable_questions_are_asked_and_a_context_is_one_passage():
    found = from_questions("made", QUESTIONS)
    assert found.texts == ["A fox sleeps.", "It eats hens.", "An owl calls."]
    assert [(q.text, set(q.right)) for q in found.questions] == [
        ("What sleeps?", {0}),
        ("Who eats?", {1}),
        ("Who calls?", {2}),
    ]
    for document, passages in found.library:
        assert all(document.text[p.start : p.end] == p.text for p in passages)


def test_definition_leaves_the_article_and_does_not_name_its_title():
    gloss, rest = take_definition(OWL["title"], OWL["text"])
    assert gloss == "bird of prey that hunts at night and can turn its head far"
    assert rest.startswith("Most owls live alone.")
    assert take_definition(ROCK["title"], ROCK["text"]) == ("", ROCK["text"])  # says too little


def test_articles_give_questions_by_heading_and_by_definition():
    headings, definitions = from_articles([OWL, ROCK], SPLIT)
    assert headings.library is definitions.library
    assert [q.text for q in headings.questions] == ["Owl Food"]  # no references, no stubs
    for place in headings.questions[0].right:
        assert headings.texts[place].startswith("Owls eat mice")  # and no heading above it
    owls = {place for place, text in enumerate(headings.texts) if "wl" in text}
    assert [set(q.right) for q in definitions.questions] == [owls]


def test_sets_together_keep_their_right_passages(data):
    first = from_questions("first", QUESTIONS)
    both = from_articles([OWL, ROCK], SPLIT)
    others = distractors(data, SPLIT, 2)
    joined = together([first, *both], others)
    for before, after in zip([first, *both], joined, strict=True):
        assert len(after.texts) == len(first.texts) + len(both[0].texts) + 2
        for old, new in zip(before.questions, after.questions, strict=True):
            assert [before.texts[p] for p in sorted(old.right)] == [
                after.texts[p] for p in sorted(new.right)
            ]
    assert all("City" in document.name for document, _ in others)  # the asked article is left out


def test_cached_vectors_survive_and_are_not_made_again(tmp_path):
    made = Letters()
    texts = ["an owl", "a fox", "an owl"]
    first = CachedEmbedder(made, "made", directory=tmp_path).embed_passages(texts)
    assert sorted(made.asked) == ["a fox", "an owl"]
    again = CachedEmbedder(made, "made", directory=tmp_path)
    assert np.array_equal(again.embed_passages(texts), first)
    assert len(made.asked) == 2
    again.embed_queries(["an owl"])  # a question is not a passage
    assert len(made.asked) == 3
    assert again.embed_queries([]).shape == (0, DIMENSIONS)


def test_every_way_to_rank_finds_the_passage_that_is_repeated():
    texts = ["Foxes hunt hens at dusk.", "Owls hoot in oaks.", "Rust eats iron."]
    rows = dict(in_memory(texts, [CachedEmbedder(Letters(), "letters")]))
    assert len(rows) == 5
    assert {name: rank(texts[1])[0] for name, rank in rows.items()} == dict.fromkeys(rows, 1)


def test_app_is_searched_passage_by_passage():
    chosen = from_questions("made", QUESTIONS)
    with in_app(chosen, open_embedder("")) as (_, rankers):
        found = {name: rank("An owl calls.") for name, rank in rankers.items()}
    assert found.pop("BM25 of LanceDB") == [2]  # no other shares a word
    for ranked in found.values():
        assert ranked[0] == 2
        assert sorted(ranked) == [0, 1, 2]  # each once


def test_command_prints_a_table_for_each_set_and_writes_its_figures(data, tmp_path, capsys):
    out = tmp_path / "figures.json"
    flags = ["--data", str(data), "--out", str(out), "--questions", "2"]
    assert main(["evaluate-retrieval", *flags]) == 0
    printed = capsys.readouterr().out
    found = json.loads(out.read_text())
    assert [set(f) for f in found.values()] == [{"passages", "questions", "rows"}] * 4
    assert found["SQuAD"]["passages"] == 3
    assert found["SQuAD"]["rows"]["BM25"]["recall@5"] == 1.0
    assert f"SQuAD: 3 passages, {2} questions" in printed
    assert "ours, the app's search" in printed
    assert main(["evaluate-retrieval", *flags, "--together"]) == 0
    assert json.loads(out.read_text())["SQuAD"]["passages"] > 6


def test_command_names_the_file_that_is_missing(data, capsys):
    (data / FILES["squad"]).unlink()
    assert main(["evaluate-retrieval", "--data", str(data)]) == 2
    assert FILES["squad"] in capsys.readouterr().err
