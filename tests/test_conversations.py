"""Context questions: what is shown, what is asked, and what the model learns to answer."""

import random
import re
from collections import Counter

import pytest

from corpus.bm25 import Bm25
from corpus.conversations import GAP, ContextRecipe, chat_messages, context_questions
from corpus.short_answers import as_sentence, whole_sentence
from mlx_toy.chat import NOT_IN_PASSAGES
from mlx_toy.regions import Region, collapse
from mlx_toy.sentences import split_sentences
from mlx_toy.span_grammar import SpanGrammar
from mlx_toy.token_bytes import TokenBytes


def towns(count, answers=True):
    """Questions on articles of ten paragraphs each."""
    return [
        {
            "title": f"Town {i // 10}",
            "context": f"Alm{i} lies by a lake. Its mayor is Bo Strand{i}. It has a mill. "
            + f"The mill of Alm{i} grinds rye for the bakers of the coast, year in and year out. "
            * 4,
            "question": f"Who is the mayor of Alm{i}?",
            "answers": [f"Bo Strand{i}"] if answers else [],
        }
        for i in range(count)
    ]


def passages_of(conversation):
    question, *passages = conversation[0]["content"].split("\n")
    assert question == conversation[1]["content"]
    return [line.split("] ", 1)[1] for line in passages]


def exchanges(conversation):
    """Questions with their answers."""
    turns = [turn["content"] for turn in conversation[1:]]
    return list(zip(turns[::2], turns[1::2], strict=True))


def cited(answer):
    """The span and the number of an answer."""
    span, number = re.fullmatch(r"(.+) \[(\d)\]", answer).groups()
    return span, int(number)


def test_context_answers_cite_the_passage_that_holds_them():
    refused, places, counts = 0, Counter(), Counter()
    conversations = list(context_questions(towns(600)))
    for conversation in conversations:
        assert [m["role"] for m in conversation[:3]] == ["context", "user", "assistant"]
        passages = passages_of(conversation)
        counts[len(passages)] += 1
        assert len(set(passages)) == len(passages)
        refused += conversation[2]["content"] == NOT_IN_PASSAGES
        for _, answer in exchanges(conversation):
            if answer != NOT_IN_PASSAGES:
                span, number = cited(answer)
                assert span in passages[number - 1]
                assert sum(span in passage for passage in passages) == 1
                places[number] += 1
    assert 0.22 < refused / len(conversations) < 0.34
    assert set(counts) == {1, 2, 3, 4}
    assert places[1] and places[2] and places[3]


def test_refused_questions_have_passages_that_do_not_answer():
    by_question = {r["question"]: r["answers"][0] for r in towns(300)}
    for conversation in context_questions(towns(300), ContextRecipe(cloze=0)):
        for question, answer in exchanges(conversation):
            if answer == NOT_IN_PASSAGES:
                assert by_question[question] not in conversation[0]["content"]


def test_further_questions_are_on_the_same_passages():
    by_question = {r["question"]: r["answers"][0] for r in towns(600)}
    seen = Counter()
    for conversation in context_questions(towns(600), ContextRecipe(cloze=0)):
        asked = [question for question, _ in exchanges(conversation)]
        assert len(set(asked)) == len(asked)
        for question, answer in exchanges(conversation)[1:]:
            seen[answer == NOT_IN_PASSAGES] += 1
            assert answer == NOT_IN_PASSAGES or cited(answer)[0] == by_question[question]
    assert seen[True] > 50
    assert seen[False] > 50
    alone = ContextRecipe(more=0)
    assert {len(exchanges(c)) for c in context_questions(towns(60), alone)} == {1}


def test_half_of_the_questions_are_clozes_of_the_passage_that_answers():
    shown = Counter()
    for conversation in context_questions(towns(600), ContextRecipe(more=0, unanswerable=0)):
        (question, answer), *_ = exchanges(conversation)
        span, number = cited(answer)
        shown[GAP in question] += 1
        if GAP in question:
            filled = question.replace(f" {GAP} ", f" {span} ").replace(f" {GAP}", f" {span}")
            passage = passages_of(conversation)[number - 1]
            assert filled.replace(" .", ".") in passage
    assert 200 < shown[True] < 400


def test_every_answer_is_one_that_the_span_grammar_can_write(tiny_tokenizer):
    texts = [
        (
            "It opened in 1985. The U.S. Army (the 3rd) paid $5.",
            ["the U.S.", "$5", "5", "(the 3rd)"],
        ),
        ("Prices rose 4% in May; “Blue” was the shade.", ["4%", "“Blue”", "rose 4"]),
        ("Dr. Ames saw it. He left at dawn.", ["Dr. Ames", "it. He", "dawn."]),
        ("Then he ran to the old mill. All slept.", ["ran to the old mill", "All slept."]),
    ]
    records = [
        {"title": t, "context": t, "question": "What?", "answers": [answer]}
        for t, answers in texts
        for answer in answers
    ]
    written = []
    for conversation in context_questions(records, ContextRecipe(unanswerable=0)):
        regions = [
            Region(number, *collapse(passage, start, end))
            for number, passage in enumerate(passages_of(conversation), start=1)
            for start, end in split_sentences(passage)
        ]
        grammar = SpanGrammar(TokenBytes.ours(tiny_tokenizer), regions)
        states = grammar.start
        tokens = [*tiny_tokenizer.encode(conversation[2]["content"]), tiny_tokenizer.end_id]
        for token in tokens:
            assert token in grammar.allowed(states), conversation[2]["content"]
            states = grammar.advance(states, token)
        assert states
        written.append(cited(conversation[2]["content"])[0])
    assert {"$5", "4%", "“Blue”", "Dr. Ames", "dawn", "Then he ran to the old mill"} <= set(written)
    assert "it. He" not in written  # no span of one sentence


def test_answers_inside_other_words_are_not_cited():
    record = {"title": "A", "context": "It is 1985.", "question": "?", "answers": ["98"]}
    assert list(context_questions([record], ContextRecipe(unanswerable=0))) == []


def test_passages_of_a_chat_begin_with_the_question_that_follows_them():
    turns = [("context", "[1] Rye."), ("user", "What\ngrain?"), ("assistant", "Rye [1]")]
    messages = [{"role": role, "content": content} for role, content in turns]
    assert chat_messages({"messages": messages})[0]["content"] == "What grain?\n[1] Rye."


@pytest.mark.parametrize("natural", [0.1, 0.5])
def test_share_of_unanswerable_questions_holds_however_many_there_are_at_first(natural):
    records = towns(1500)
    for record in records:
        if random.Random(record["question"]).random() < natural:
            record["answers"] = []
    answers = [c[2]["content"] for c in context_questions(records)]
    assert 0.22 < answers.count(NOT_IN_PASSAGES) / len(answers) < 0.34


def test_articles_are_dressed_the_same_whatever_stands_before_them():
    records = towns(40)
    assert list(context_questions(records))[-5:] == list(context_questions(records[20:]))[-5:]


def test_bm25_ranks_rare_shared_words_first():
    texts = ["the mill by the lake", "the wren sings", "the lake", "the the the the"]
    assert Bm25(texts).ranking("Where does the wren sing?")[0] == 1
    assert Bm25(texts).ranking("the mill of the lake")[:2] == [0, 2]
    assert Bm25([]).ranking("x") == []


@pytest.mark.parametrize(
    ("question", "answer", "written"),
    [
        ("What is the capital of Germany?", "berlin", "Berlin."),
        ("Who wrote Dracula?", "Bram Stoker", "Bram Stoker."),
        ("What are chickpeas also called?", "garbanzo beans", "Garbanzo beans."),
        ("What phone has she?", "iPhone", "iPhone."),
        ("Do whales breathe air?", "yes, they do", "Yes, they do."),
        # Left alone: finished, a figure, a list, a formula, an address; too long; no question; a
        # question about words or code; several lines.
        ("Who wrote Dracula?", "Bram Stoker did!", "Bram Stoker did!"),
        ("How many legs has a spider?", "8", "8"),
        ("What do I need?", "1. eggs\n2. milk", "1. eggs\n2. milk"),
        ("What is the area of a circle?", "pi * r^2", "pi * r^2"),
        ("Where is it described?", "example.org", "example.org"),
        ("What is it?", "one two three four five six seven", "one two three four five six seven"),
        ("Name a bird.", "wren", "wren"),
        ("What is the plural of mouse?", "mice", "mice"),
        ("What is 'hello' in French?", "bonjour", "bonjour"),
        ("Which command lists files?", "ls", "ls"),
        ("Which is odd?\ncat, dog, car", "car", "car"),
    ],
)
def test_bare_answers_to_plain_questions_become_sentences(question, answer, written):
    assert as_sentence(question, answer) == written


def test_only_single_questions_without_passages_are_answered_in_sentences():
    def answer(*turns):
        record = {"messages": [{"role": role, "content": content} for role, content in turns]}
        return chat_messages(record)[-1]["content"]

    single = [("user", "Where is the wren?"), ("assistant", "in the hedge ")]
    assert answer(*single) == "In the hedge."
    assert answer(*single, *single) == "in the hedge"
    assert answer(("context", "[1] It sits in the hedge."), *single) == "in the hedge"


@pytest.mark.parametrize(
    ("answer", "sentence", "becomes_it"),
    [
        ("ran to the mill", "So he ran to the mill.", True),
        ("it rained all day long", "However, it rained all day long!", True),
        ("the witch with three eyes", "I serve the witch with three eyes.", False),  # lacks a verb
        ("Bread, salt and old cheese", "Bread, salt and old cheese were sold.", False),
        ("Bo Strand", "He is Bo Strand.", False),  # a name
        ("left (at noon) for the sea", "He left (at noon) for the sea.", False),
        ("ran to the mill", "He ran to the mill", False),  # cut off
        ("ran" + " to the mill" * 12, "He ran" + " to the mill" * 12 + ".", False),  # long
    ],
)
def test_answers_that_are_nearly_a_sentence_become_it(answer, sentence, becomes_it):
    assert whole_sentence(answer, sentence) == (sentence[:-1] if becomes_it else answer)
