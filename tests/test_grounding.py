"""Answers from passages: the right sentence, only words that stand there, the right place."""

import math
import random

from mlx_toy.backend import mx

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlx_toy.answers import (
    Answer,
    NotVerbatimError,
    closest,
    make_answer,
    quote_at,
    segments,
    verify,
)
from mlx_toy.evidence import rank_sentences
from mlx_toy.grounding import MIN_EVIDENCE, plan
from mlx_toy.regions import Choice, Region, collapse
from mlx_toy.replies import Source, with_quotes
from mlx_toy.rows import Hit
from mlx_toy.span_grammar import QUOTES, Reading, SpanGrammar
from mlx_toy.span_processor import SpanProcessor
from mlx_toy.token_bytes import TokenBytes

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
    grammar = SpanGrammar(TokenBytes.ours(tiny_tokenizer), regions(PASSAGES))
    tokens = random_answer(grammar, tiny_tokenizer.end_id, rng)
    text = tiny_tokenizer.decode(tokens)
    spans = grammar.read(tokens).spans
    if not spans:
        assert text == "The passages do not say."
        return
    [span] = spans
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
    grammar = SpanGrammar(TokenBytes.ours(tiny_tokenizer), regions([passage]))
    random_answer(grammar, tiny_tokenizer.end_id, random.Random(seed))


def test_a_likelier_span_is_favoured_at_the_first_token_alone(tiny_tokenizer):
    text = "Oats and rye grow here."
    choices = (Choice(0, 4, prior=-1.0), Choice(9, 12, prior=-3.0))
    grammar = SpanGrammar(
        TokenBytes.ours(tiny_tokenizer),
        [Region(1, *collapse(text, 0, len(text)), choices)],
        may_refuse=False,
    )
    processor = SpanProcessor(grammar, prompt_length=1, refusal_id=0)
    logits = mx.zeros((1, tiny_tokenizer.vocab_size))
    first = processor(mx.array([0]), logits)
    assert set(first[0].tolist()) == {-1.0, -3.0, -math.inf}
    begun = tiny_tokenizer.encode("Oats")[0]
    assert first[0, begun].item() == -1.0
    second = processor(mx.array([0, begun]), logits)
    assert set(second[0].tolist()) == {0.0, -math.inf}


def test_nothing_near_enough_leaves_only_the_refusal(tiny_tokenizer):
    grammar = SpanGrammar(TokenBytes.ours(tiny_tokenizer), [], may_refuse=True)
    tokens = random_answer(grammar, tiny_tokenizer.end_id, random.Random(0))
    assert tiny_tokenizer.decode(tokens) == "The passages do not say."
    assert grammar.read(tokens) == Reading((), True)


def test_a_question_that_leans_on_the_conversation_is_ranked_by_what_it_leans_on(tiny_engine):
    query = "And when does it run? ferry winter"
    alone = plan(tiny_engine, "And when does it?", PASSAGES)
    leaning = plan(tiny_engine, "And when does it?", PASSAGES, query=query)
    assert alone.ranked[0].score < MIN_EVIDENCE <= leaning.ranked[0].score
    assert "ferry" in leaning.ranked[0].text
    whole = plan(tiny_engine, "When was the lighthouse built?", PASSAGES, query=query)
    assert "1874" in whole.ranked[0].text  # it needs no more words


def test_the_heading_of_a_passage_counts_and_is_shown_but_not_copied(tiny_engine):
    passages = ["It is closed on Mondays.", "It is closed on Fridays."]
    headings = ["Salt museum > Opening hours", "Library > Opening hours"]
    for number, heading in enumerate(headings):
        place = heading.split(" > ")[0].lower()
        asked = plan(tiny_engine, f"When is the {place} closed?", passages, headings=headings)
        assert asked.ranked[0].passage == number
        without = plan(tiny_engine, f"When is the {place} closed?", passages)
        assert asked.signals.missing < without.signals.missing
        assert len(asked.prompt_ids) > len(without.prompt_ids)
        assert asked.processor is not None
        regions = asked.processor.grammar.regions
        assert regions and all("opening" not in region.text.lower() for region in regions)


# --- several quotes, and the check afterwards -----------------------------------------------------


def quoting_answer(tokenizer, seed: int) -> tuple[str, Answer]:
    """A random answer of several quotes, as text and as what was read from its tokens."""
    tokens = TokenBytes.ours(tokenizer)
    grammar = SpanGrammar(tokens, regions(PASSAGES), may_refuse=False, form=QUOTES)
    written = random_answer(grammar, tokenizer.end_id, random.Random(seed), limit=2000)
    text = tokenizer.decode(written).strip()
    reading = grammar.read(written)
    assert reading.whole
    quotes = [quote_at(PASSAGES, span.number, span.start, span.end) for span in reading.spans]
    return text, make_answer(text, quotes)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_several_quotes_with_connecting_phrases_pass_the_check(tiny_tokenizer, seed):
    _, answer = quoting_answer(tiny_tokenizer, seed)
    assert 1 <= len(answer.quotes) <= QUOTES.spans
    verify(answer, PASSAGES)
    sentences = [(quote.number, quote.sentence) for quote in answer.quotes]
    assert len(set(sentences)) == len(sentences)  # each of another sentence


def test_an_answer_that_was_cut_off_keeps_whole_words(tiny_tokenizer):
    tokens = TokenBytes.ours(tiny_tokenizer)
    grammar = SpanGrammar(tokens, regions(PASSAGES), form=QUOTES)
    reading = grammar.read(
        tiny_tokenizer.encode("Its keeper was Ada Moor [1] and In winter the fer")
    )
    assert not reading.whole
    texts = [PASSAGES[span.number - 1][span.start : span.end] for span in reading.spans]
    assert texts == ["Its keeper was Ada Moor", "In winter the"]


def test_words_of_its_own_are_not_allowed(tiny_tokenizer):
    tokens = TokenBytes.ours(tiny_tokenizer)
    grammar = SpanGrammar(tokens, regions(PASSAGES), form=QUOTES)
    for invented in ("The passages say: 1875", "Sheep graze [2] because", "Ada Moor [2]"):
        states = grammar.start
        for token in tiny_tokenizer.encode(invented):
            states = grammar.advance(states, token)
        assert not states, invented


QUOTE_1 = quote_at(PASSAGES, 1, PASSAGES[0].index("1874"), PASSAGES[0].index(". Its"))
QUOTE_2 = quote_at(PASSAGES, 2, PASSAGES[1].index("twice"), PASSAGES[1].index(", on"))
ANSWER = make_answer("1874 [1]; twice a week [2].", [QUOTE_1, QUOTE_2])


def test_the_check_accepts_what_stands_there():
    verify(ANSWER, PASSAGES)
    verify(make_answer(closest(ANSWER.quotes[0]), ANSWER.quotes[:1]), PASSAGES)
    assert closest(ANSWER.quotes[1]) == (
        "The closest passage says: "
        "“In winter the ferry runs twice a week, on Monday and Friday.” [2]"
    )


def test_of_the_closest_passage_the_whole_sentence_is_marked():
    """Not the words in it that the model guessed at, such as half a number."""
    sources = [
        Source(n, Hit("0" * 32, "a", None, "", text, 0, len(text), 0.5, 1.0, 1, 1))
        for n, text in enumerate(PASSAGES, start=1)
    ]
    guess = quote_at(PASSAGES, 1, PASSAGES[0].index("1874"), PASSAGES[0].index("74"))
    marked, other = with_quotes(sources, make_answer(closest(guess), [guess]))
    assert [PASSAGES[0][start:end].strip() for start, end in marked.spans] == [marked.quote]
    assert marked.quote == "The lighthouse at Brenn was built in 1874." and not other.spans
    assert with_quotes(sources, ANSWER)[0].spans == ((QUOTE_1.start, QUOTE_1.end),)


@pytest.mark.parametrize(
    ("text", "passages"),
    [
        ("1875 [1]; twice a week [2].", PASSAGES),
        ("1874 [2]; twice a week [2].", PASSAGES),
        ("1874 [1] because twice a week [2].", PASSAGES),
        ("Never 1874 [1]; twice a week [2].", PASSAGES),
        ("1874 [1]; twice a week [2]. Trust me.", PASSAGES),
        ("1874 [1]", PASSAGES),
        (ANSWER.answer, [PASSAGES[0].replace("1874", "1875"), PASSAGES[1]]),
        (ANSWER.answer, [" " + PASSAGES[0], PASSAGES[1]]),
        (ANSWER.answer, PASSAGES[:1]),
    ],
)
def test_the_check_finds_what_does_not(text, passages):
    with pytest.raises(NotVerbatimError):
        verify(make_answer(text, ANSWER.quotes), passages)


def test_a_free_answer_is_marked_where_the_passages_have_it():
    text = "Well, the keeper was Ada Moor, who lived there alone [1] with 12 cats."
    marked = segments(text, PASSAGES)
    assert "".join(part.text for part in marked) == text
    [found] = [part for part in marked if part.number]
    assert found.text == "keeper was Ada Moor, who lived there alone"
    assert PASSAGES[0][found.start : found.end] == found.text
    assert [part.text for part in marked if part.unsupported] == [
        "Well, the ",
        " [1] with 12 cats.",
    ]
    assert all(part.unsupported for part in segments("Cats are nice animals.", PASSAGES))
    assert [part.number for part in segments("twice a", PASSAGES)] == [2]
    assert segments("", PASSAGES) == ()
