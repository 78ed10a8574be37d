"""What the reader adds to the order of found passages, and to which words answer."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from bench import everyday_library
from mlx_toy.given import scores_among
from mlx_toy.reader import bundled_reader
from mlx_toy.rows import Hit
from mlx_toy.second_look import (
    FEW,
    NATS,
    NEARNESS,
    READ,
    Standing,
    look_again,
    priors,
    standing,
)

STORY = (
    "In 1874 the keeper Ada Moor lit the lamp. It burned oil from whales. The tower is 31 m high."
)
OTHER = "The ferry to the island leaves at noon, and the crossing takes two hours."
QUESTION = "How long does the crossing take?"


def hit(text: str, score: float, relevance: float = 0.5) -> Hit:
    return Hit("a" * 32, "a.txt", None, "", text, 0, len(text), 0.5, score, 1, 1, 1.0, relevance)


def test_a_passage_that_answers_comes_before_one_that_scores_a_little_better():
    hits = [hit(STORY, 1.0), hit(OTHER, 0.9)]
    first, second = look_again(QUESTION, hits)
    assert (first.text, second.text) == (OTHER, STORY)
    assert first.odds is not None and second.odds is not None and first.odds > second.odds
    (reading,) = bundled_reader().readings(QUESTION, [OTHER])
    by_reader = reading.odds / NATS + NEARNESS * reading.nearness
    assert first.score == pytest.approx(0.9 + by_reader, abs=1e-3)
    # what no question can change: a far better score
    assert look_again(QUESTION, [hit(STORY, 30.0), hits[1]])[0].text == STORY


def test_a_question_is_read_wherever_its_mark_stands():
    hits = [hit(STORY, 1.0), hit(OTHER, 0.9)]
    for asked in ("Is the crossing long? Thanks!", "Leaves it at noon (the ferry?)"):
        assert all(one.odds is not None for one in look_again(asked, hits))


def test_what_asks_nothing_and_what_lies_behind_keep_their_order():
    hits = [hit(f"{OTHER} {n}", float(-n)) for n in range(READ + 3)]
    assert look_again("ferry island", hits) == hits
    read = look_again(QUESTION, hits)
    assert read[READ:] == hits[READ:]
    assert {one.text for one in read} == {one.text for one in hits}
    assert look_again(QUESTION, []) == []


def test_a_standing_leaves_the_odds_to_the_reader():
    one = replace(hit(OTHER, 2.0, relevance=0.8), odds=3.0, nearness=0.4)
    assert standing(one, FEW) == Standing(NATS * 2.0 - 3.0, pytest.approx(math.log(4)), 0.4)
    assert standing(one, FEW - 1) == Standing(
        NATS * 2.0 - 3.0, None, 0.4
    )  # nothing to compare with
    sure, hopeless = hit(OTHER, 1.0, relevance=1.0), hit(OTHER, 1.0, relevance=0.0)
    assert standing(sure, FEW).relevance == pytest.approx(-standing(hopeless, FEW).relevance)


def test_what_speaks_for_a_passage_decides_between_its_words_and_others():
    passages, reader = [STORY, OTHER], bundled_reader()
    plain = reader(QUESTION, passages)
    assert passages[plain[0].passage] == OTHER
    liked = reader(QUESTION, passages, priors=[100.0, 0.0])
    assert passages[liked[0].passage] == STORY
    odds = {(span.passage, span.start, span.end): span.odds for span in plain}
    for span in liked:  # the odds stay what they are
        known = odds.get((span.passage, span.start, span.end), span.odds)
        assert span.odds == pytest.approx(known, abs=1e-3)
    assert sum(math.exp(span.logprob) for span in liked) <= 1 + 1e-6


def test_of_given_passages_what_a_search_among_them_would_say_speaks_for_one():
    passages = [STORY, OTHER]
    story, other = priors(QUESTION, passages)
    assert other > story
    scores = scores_among(QUESTION, passages)
    assert scores[1] > scores[0]
    near = [one.nearness for one in bundled_reader().readings(QUESTION, passages)]
    by_search = scores[1] - scores[0] + NEARNESS * (near[1] - near[0])
    assert other - story == pytest.approx(NATS * by_search)
    assert priors(QUESTION, [OTHER]) == [0.0]  # beside no other
    # what stands above a passage is looked up with it
    ferry = "Which of the ferries leaves?"
    north, south = scores_among(ferry, [OTHER, OTHER], ["Lighthouse", "Ferries"])
    assert south > north
    # a long passage is looked up piece by piece, so that what stands at its end is seen
    late = f"{STORY} " * 40 + OTHER
    at_the_end, elsewhere = scores_among(QUESTION, [late, f"{STORY} " * 40])
    assert at_the_end > elsewhere
    # more than a search looks at: none is left out, none that is far comes to the front
    many = [f"{STORY} {number}" for number in range(70)]
    assert np.argmax(scores_among(QUESTION, [*many, OTHER])) == 70
    assert scores_among(QUESTION, []) == []
    with pytest.raises(ValueError):
        scores_among(QUESTION, [OTHER, STORY], ["Ferries"])
    found = [Standing(1.0, 0.0, 0.2), Standing(5.0, 0.0, 0.1)]
    assert priors(QUESTION, passages, (), found) == [1.0, 5.0]


def test_a_reading_has_the_odds_of_the_best_span_and_the_nearest_sentence():
    passages, reader = [STORY, "", OTHER], bundled_reader()
    story, nothing, other = reader.readings(QUESTION, passages)
    assert nothing.odds == -math.inf and nothing.nearness < other.nearness
    assert other.odds > story.odds and 1 >= other.nearness > story.nearness
    assert other.odds == pytest.approx(reader(QUESTION, [OTHER])[0].odds, abs=1e-3)
    long = f"{STORY} " * 60 + OTHER  # read in pieces, of which the last is the nearest
    (reading,) = reader.readings(QUESTION, [long])
    assert reading.nearness == pytest.approx(other.nearness, abs=0.1)


def test_plain_questions_to_everyday_documents_are_counted_by_what_came_of_them(tmp_path):
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "tower.txt").write_text(STORY)
    (tmp_path / "files" / "ferry.md").write_text(f"# Ferry\n\n{OTHER}")
    asked = [
        ("Who lit the lamp?", ["Ada Moor"], ["In 1874 the keeper Ada Moor lit the lamp."]),
        (QUESTION, ["two hours"], [OTHER]),
        ("Who repaired the bicycle in Lisbon?", [], []),
    ]
    lines = [
        json.dumps({"document": "", "question": q, "answers": a, "evidence": e})
        for q, a, e in asked
    ]
    (tmp_path / "questions.jsonl").write_text("\n".join(lines))
    found = everyday_library.figures(everyday_library.ask_all(data=tmp_path))
    assert (found["answerable"], found["unanswerable"]) == (2, 1)
    assert found["found_among_1"] == 100.0
    assert found["right"] == 100.0 and found["unanswerable_refused"] == 100.0


def test_every_answer_of_the_bench_stands_in_its_evidence_and_that_in_its_document():
    from mlx_toy.documents import read_document

    data = everyday_library.DATA
    texts = {
        file.name: " ".join(read_document(file).text.split()) for file in (data / "files").iterdir()
    }
    records = [json.loads(line) for line in (data / "questions.jsonl").read_text().splitlines()]
    assert len(records) == 160
    for record in records:
        assert bool(record["answers"]) == bool(record["evidence"])
        for sentence in record["evidence"]:
            assert any(sentence in text for text in texts.values())
