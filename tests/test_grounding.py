"""Answers from passages: the right sentence, only words that stand there, the right place."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlx_toy.evidence import answer_places, rank_sentences
from mlx_toy.span_grammar import Region, SpanGrammar, collapse

PASSAGES = [
    "The lighthouse at Brenn was built in 1874. Its keeper was Ada Moor, who lived there alone.",
    "Sheep graze on the island. In winter the ferry\nruns twice a week, on Monday and Friday.",
]


def regions(passages):
    return [
        Region(s.passage + 1, *collapse(passages[s.passage], s.start, s.end))
        for s in rank_sentences("", passages)
    ]


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("When was the lighthouse built?", "1874"),
        ("Who was the keeper that lived there?", "Ada Moor"),
        ("How often does the ferry run in winter?", "twice a week"),
    ],
)
def test_the_sentence_that_answers_comes_first(question, expected):
    assert expected in rank_sentences(question, PASSAGES)[0].text.replace("\n", " ")


def test_offsets_of_sentences_are_exact():
    for sentence in rank_sentences("ferry", PASSAGES):
        assert PASSAGES[sentence.passage][sentence.start : sentence.end] == sentence.text


def random_answer(grammar, end_id, rng, limit=400):
    """Tokens that the grammar allows, chosen at random until it lets the answer end."""
    states, tokens = grammar.start, []
    for _ in range(limit):
        allowed = sorted(grammar.allowed(states))
        assert allowed, "the grammar must always let the answer go on or end"
        token = rng.choice(allowed)
        states = grammar.advance(states, token)
        if token == end_id:
            return tokens
        tokens.append(token)
    raise AssertionError("the answer does not end")


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_whatever_is_chosen_stands_verbatim_in_the_cited_passage(tiny_tokenizer, seed):
    rng = random.Random(seed)
    grammar = SpanGrammar(tiny_tokenizer, regions(PASSAGES))
    tokens = random_answer(grammar, tiny_tokenizer.end_id, rng)
    text = tiny_tokenizer.decode(tokens)
    span = grammar.span(tokens)
    if span is None:
        assert text == "The passages do not say."
        return
    words, _, citation = text.rpartition(" ")
    assert citation == f"[{span.number}]"
    copied = PASSAGES[span.number - 1][span.start : span.end]
    assert " ".join(copied.split()) == words


@settings(max_examples=60, deadline=None)
@given(text=st.text(min_size=1))
def test_collapsed_text_keeps_offsets(text):
    collapsed, offsets = collapse(text, 0, len(text))
    assert collapsed == " ".join(text.split()) or not text.strip()
    for character, offset in zip(collapsed, offsets, strict=True):
        assert text[offset] == character or (character == " " and text[offset].isspace())


@settings(max_examples=30, deadline=None)
@given(
    passage=st.text(min_size=1, max_size=60) | st.just("ab" * 200) | st.just("a, é. " * 60),
    seed=st.integers(0, 10**6),
)
def test_any_passage_gives_answers_that_end(tiny_tokenizer, passage, seed):
    grammar = SpanGrammar(tiny_tokenizer, regions([passage]))
    random_answer(grammar, tiny_tokenizer.end_id, random.Random(seed))


def test_an_answer_is_what_was_asked_for():
    sentence = "In 1874 the keeper Ada Moor lit the lamp."
    when = answer_places("When was the lamp lit?", sentence)
    assert {sentence[at:].split()[0] for at in when.wanted} == {"1874"}
    who = answer_places("Who lit the lamp?", sentence)
    assert {sentence[at:].split()[0] for at in who.wanted} >= {"Ada", "Moor"}
    assert sentence.index("Moor") in who.joined - who.starts  # a name is not cut
    assert sentence.index("lamp") not in who.starts  # the question holds it already


def test_nothing_near_enough_leaves_only_the_refusal(tiny_tokenizer):
    grammar = SpanGrammar(tiny_tokenizer, [], may_refuse=True)
    tokens = random_answer(grammar, tiny_tokenizer.end_id, random.Random(0))
    assert tiny_tokenizer.decode(tokens) == "The passages do not say."
    assert grammar.span(tokens) is None
