"""Which words of a sentence answer: the bundled scorer, any text, and training on made-up data."""

import argparse
import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from retrieval_fixtures import write_data

from mlx_toy.choices import CHOICES, likely_regions, prior_of
from mlx_toy.errors import UserError
from mlx_toy.evidence import Sentence, rank_sentences
from mlx_toy.regions import Span
from mlx_toy.span_scorer import MOST_WORDS, SENTENCES, WEIGHTS, load_span_scorer
from train import spans as command
from train.retrieval_data import sources

STORY = (
    "In 1874 the keeper Ada Moor lit the lamp. It burned oil from whales. The tower is 31 m high."
)


def best(question, text=STORY, scorer=None):
    ranked = rank_sentences(question, [text])
    span = (scorer or load_span_scorer())(question, ranked)[0]
    return ranked[span.sentence].text[span.start : span.end]


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("When was the lamp lit?", "1874"),
        ("Who lit the lamp?", "Ada Moor"),
        ("How high is the tower?", "31 m"),
    ],
)
def test_the_bundled_scorer_picks_what_was_asked_for(question, expected):
    assert expected in best(question) or best(question) in expected


@settings(max_examples=60, deadline=None)
@given(question=st.text(max_size=40), text=st.text(max_size=80) | st.just("a $5% b. " * 20))
def test_spans_of_any_text_are_whole_words_with_probabilities(question, text):
    ranked = rank_sentences(question, [text])[:SENTENCES]
    found = load_span_scorer()(question, ranked)
    for span in found:
        said = ranked[span.sentence].text[span.start : span.end]
        assert said.strip() == said
        assert 1 <= len(said.split()) <= MOST_WORDS
    if found:
        assert math.isclose(sum(math.exp(span.logprob) for span in found), 1, rel_tol=1e-3)
        assert found == sorted(found, key=lambda span: -span.logprob)


def test_the_model_may_copy_the_likeliest_spans_alone():
    passages = ["Nothing here.", STORY]
    regions = likely_regions("Who lit\nthe lamp?", rank_sentences("lamp", passages), passages)
    choices = [(region, choice) for region in regions for choice in region.choices]
    assert 1 <= len(choices) <= CHOICES
    for region, choice in choices:
        start, end = region.offsets[choice.start], region.offsets[choice.end - 1] + 1
        assert passages[region.number - 1][start:end] == region.text[choice.start : choice.end]
        assert prior_of(regions, Span(region.number, start, end)) == choice.prior
    assert prior_of(regions, Span(1, 0, 1)) is None


def test_where_nothing_but_common_words_stand_any_may_be_copied():
    (region,) = likely_regions("Who?", [Sentence(0, 0, 9, "It is so.", 1.0)], ["It is so."])
    assert region.choices == ()


def world(count=120):
    """Each town has a mayor, a founder and a year, in sentences of one form."""
    return [
        {
            "title": f"Town {i}",
            "context": f"The town of Alm{i} was founded in {1500 + i} by Ida Berg{i}. "
            f"Its mayor today is Bo Strand{i}.",
            "question": question,
            "answers": [answer],
            "query": "q",
            "passage": "p",
            "id": f"made/{i}",
        }
        for i in range(count)
        for question, answer in (
            (f"Who is the mayor of Alm{i}?", f"Bo Strand{i}"),
            (f"Who founded Alm{i}?", f"Ida Berg{i}"),
            (f"When was Alm{i} founded?", str(1500 + i)),
        )
    ]


def test_training_learns_a_made_up_world_and_writes_what_loads(tmp_path, capsys):
    data = write_data(tmp_path / "data", world(), [s.file for s in sources(command.SOURCES)])
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    out = tmp_path / "out"
    command.run(parser.parse_args(["--data", str(data), "--out", str(out), "--questions", "200"]))
    report = json.loads((out / "report.json").read_text())
    assert report["held_out"]["exact_match"] > 80
    assert "CC-BY-SA" in (out / "README.md").read_text().upper().replace(" ", "-")
    text = world(1)[0]["context"].replace("0", "999")
    assert best("Who is the mayor of Alm999?", text, load_span_scorer(out)) == "Bo Strand999"


@pytest.mark.parametrize("content", [b"", b"PK no archive", None])
def test_a_broken_table_gives_one_sentence(tmp_path, content):
    if content is None:
        np.savez(tmp_path / WEIGHTS, table=np.zeros(3))
    else:
        (tmp_path / WEIGHTS).write_bytes(content)
    with pytest.raises(UserError, match="copy it or train it again"):
        load_span_scorer(tmp_path)
