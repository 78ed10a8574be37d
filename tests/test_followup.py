"""Questions that lean on a conversation are looked up with what they lean on."""

from contextlib import closing

import numpy as np
import pytest

from bench.followup import Documents, conversations, last_question
from mlx_toy.chat import Message
from mlx_toy.followup import MAX_ADDED, leans, standalone_query
from mlx_toy.small_talk import is_small_talk


def talk(*turns: str) -> list[Message]:
    roles = ("user", "assistant")
    return [{"role": roles[i % 2], "content": text} for i, text in enumerate(turns)]


@pytest.mark.parametrize(
    "question",
    [
        "And when did it end?",
        "When was it built?",
        "Who was his teacher?",
        "Why?",
        "How many died?",
        "What about that?",
        "What happened afterwards?",
    ],
)
def test_a_question_that_names_nothing_leans(question: str):
    assert leans(question)


@pytest.mark.parametrize(
    "question",
    [
        "When did the siege of Karsk begin?",
        "Who wrote Dracula?",
        "How many planets are there in our solar system?",
        "Which village council built the tower, and when did it fall?",
        "And the speed of the Kestrel?",
        "What does the man that feeds the swans wear on cold mornings?",
    ],
)
def test_a_question_that_says_what_it_is_about_does_not_lean(question: str):
    assert not leans(question)


def test_what_was_asked_about_is_added_and_stays_for_the_next_question():
    siege = ["When did the siege of Karsk begin?", "In March 1643 [1]", "And when did it end?"]
    assert standalone_query(talk(*siege)) == "And when did it end? siege Karsk begin March"
    query = standalone_query(talk(*siege, "after 203 days [2]", "Why?"))
    assert query.startswith("Why? ") and "siege Karsk" in query


def test_thanks_in_between_change_nothing():
    asked = ["When did the siege of Karsk begin?", "In March 1643 [1]"]
    thanked = talk(*asked, "Thank you!", "You are welcome.", "And when did it end?")
    assert standalone_query(thanked) == "And when did it end? siege Karsk begin March"


def test_a_new_subject_leaves_the_old_one_behind():
    turns = ["Who built the Tolvan Bridge?", "Jonas Ferrier [1]", "Who wrote Dracula?"]
    assert standalone_query(talk(*turns)) == turns[-1]
    query = standalone_query(talk(*turns, "It was Bram Stoker [1]", "When?"))
    assert query == "When? wrote Dracula Bram Stoker"


def test_a_conversation_of_any_shape_has_a_query():
    assert standalone_query([]) == ""
    assert standalone_query(talk("Why?")) == "Why?"
    assert standalone_query(talk("Hello", "Hi")) == "Hi"
    names = " ".join(f"Name{n}" for n in range(99))
    query = standalone_query(talk(f"Who are {names}?", "Nobody", "Why?"))
    assert len(query.split()) == 1 + MAX_ADDED


def test_the_app_finds_more_of_the_passages_than_either_query(tmp_path):
    total = len(list(conversations()))
    with closing(Documents(str(tmp_path))) as documents:
        typed = documents.found(last_question)
        rewritten = documents.found(standalone_query)
        found = documents.found(standalone_query, last_question)
    assert (found > np.maximum(typed, rewritten)).all()
    assert found[0] / total > 0.8 and found[1] / total > 0.95


@pytest.mark.parametrize(
    "message",
    ["Hello!", "hi there", "Good morning, how are you?", "Who are you?", "What's your name?",
     "Thank you very much.", "Hello, my name is Ada. What can you do?", "Who made you?",
     "Tell me a short story about a lost kitten.", "OK, thanks!", "Are you an AI?",
     "thanks, that is great", "I see. Thank you for your help!", "That's very helpful, thanks."],
)  # fmt: skip
def test_small_talk_is_told_from_questions(message: str):
    assert is_small_talk(message)


@pytest.mark.parametrize(
    "message",
    ["Hello, when does the bakery open?", "Who are the owners?", "Thanks. And who built it?",
     "What is the name of the ship?", "What can you bake with rye?", "", "?", "x" * 300,
     "Who made the bread?", "How are you supposed to reset the router?",
     "Is that all?", "That was cool water, was it?", "Thanks for that. Is it open?"],
)  # fmt: skip
def test_a_question_is_no_small_talk(message: str):
    assert not is_small_talk(message)
