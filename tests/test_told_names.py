"""Names that people tell are recognised, and written replies say them instead of their own."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlx_toy.exchanges import Exchange
from mlx_toy.told_names import OTHER, OWN, asks_for_name, asks_own_name, told_names, with_names

MEET = Exchange("d/1#0", "my name is Ida", "Nice to meet you, Ida. How are you?")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("My name is Rosa.", {OWN: "Rosa"}),
        ("hi! im leo and im 9", {OWN: "leo"}),
        ("I'm Maria, and you?", {OWN: "Maria"}),
        ("you can call me Bo", {OWN: "Bo"}),
        ("her name was Molly. She was seventeen.", {OTHER: "Molly"}),
        ("I have a dog named Rex", {OTHER: "Rex"}),
        ("my name is Ana and my cat is called Pim", {OWN: "Ana", OTHER: "Pim"}),
        ("my name is Heidi Klum", {OWN: "Heidi"}),
        ("hi this is Levi :)", {OWN: "Levi"}),
        ("My name’s Rosa :)", {OWN: "Rosa"}),
        ("I'm José.", {OWN: "José"}),
        ("I'm Alexander, but call me Alex.", {OWN: "Alex"}),
        ("My name is Dr. Smith", {}),
        ("so you are called bob?", {}),
        ("baby dogs are called puppies", {}),
        ("call me later", {}),
        ("I am Tired", {}),
        ("I'm German", {}),
        ("my name is always spelled wrong", {}),
        ("what is your name?", {}),
    ],
)
def test_names_are_told_in_plain_ways_only(text, told):
    assert told_names(text) == told


def test_a_reply_says_the_name_that_was_told_now():
    filled = with_names(MEET, told_names("hello, my name is rosa"))
    assert filled.reply == "Nice to meet you, Rosa. How are you?"
    assert filled.message == "my name is Rosa" and filled.id == MEET.id


def test_names_of_different_kinds_are_kept_apart():
    cat = Exchange("d/2#0", "my cat is called Pim", "Pim is a fine name for a cat.")
    assert with_names(cat, {OWN: "Rosa"}) == cat
    assert with_names(cat, {OTHER: "Momo"}).reply == "Momo is a fine name for a cat."


def test_names_change_places_and_words_that_look_like_names_stay():
    both = Exchange("d/3#0", "my name is Ana and my cat is called Pim", "Hello Ana! Pim is lovely.")
    assert with_names(both, {OWN: "Pim", OTHER: "Ana"}).reply == "Hello Pim! Ana is lovely."
    will = Exchange("d/4#0", "my name is Will", "Hello Will, I will remember it.")
    assert with_names(will, {OWN: "Rosa"}).reply == "Hello Rosa, I will remember it."


@given(message=st.text(max_size=60), reply=st.text(max_size=60), told=st.text(max_size=60))
def test_without_a_name_on_either_side_nothing_is_changed(message, reply, told):
    exchange = Exchange("d/5#0", message, reply)
    if not told_names(message) or not told_names(told):
        assert with_names(exchange, told_names(told)) == exchange


def test_a_reply_that_asks_for_the_name_is_known():
    assert asks_for_name("Hello! What is your name?") and asks_for_name("What may I call you?")
    assert asks_for_name("Only if you told me. Please tell me your name again.")
    assert not asks_for_name("Your name is Rosa. How are you?")


def test_a_question_after_ones_own_name_is_known():
    assert asks_own_name("do you remember my name?") and asks_own_name("who am i")
    assert asks_own_name("do you know what my name is?")
    assert not asks_own_name("my name is Rosa") and not asks_own_name("what is your name")
