"""The reranker and what it looks at: better order, a probability, any text, any thread."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlx_toy.errors import UserError
from mlx_toy.lexicon import BUCKETS, Lexicon, question_type, stem
from mlx_toy.matching import match_features
from mlx_toy.reranker import Candidates, load_reranker, save_reranker
from mlx_toy.rows import Hit

ROME = "Rome was founded in 753 BC by Romulus, who became its first king."
HILLS = "The hills of Rome are seven. The king of the hill is a game that children play."
BREAD = "Bread needs flour and water. Knead the dough for ten minutes."
WHALES = "Blue whales eat krill in cold water and sing over long distances."


def candidates(texts: list[str]) -> Candidates:
    """Passages that both searches found in the order given."""
    count = len(texts)
    ranks = np.arange(1, count + 1, dtype=np.float32)
    cosine = np.linspace(0.6, 0.4, count, dtype=np.float32)
    score = np.linspace(9, 6, count, dtype=np.float32)
    names = [f"document {n}" for n in range(count)]
    return Candidates(texts, names, np.zeros(count, int), cosine, ranks, ranks, score)


def hit(text: str, rank: int, heading: str = "") -> Hit:
    return Hit("d" * 32, "a.txt", None, heading, text, 0, len(text), 0.4, 0.1, rank, rank, 7.0)


@pytest.fixture(scope="module")
def reranker():
    return load_reranker()


def test_the_passage_that_answers_comes_first(reranker):
    hits = [hit(text, rank) for rank, text in enumerate([HILLS, BREAD, ROME], start=1)]
    found = reranker("When was Rome founded?", hits)
    assert found[0].text == ROME
    assert sorted(one.text for one in found) == sorted([HILLS, BREAD, ROME])
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)
    assert found[0].vector_rank == 3  # where the searches had it is still known


def test_relevance_is_a_probability_that_foreign_questions_lack(reranker):
    texts = [ROME, HILLS, BREAD, WHALES]
    own = reranker.score("Who founded Rome in 753 BC?", candidates(texts))[1]
    none = candidates(texts)
    none = Candidates(texts, none.documents, none.places, none.cosine * 0.1, none.vector_rank,
                      none.text_rank + 1000, none.text_score * 0)  # fmt: skip
    foreign = reranker.score("How much does a new bicycle tyre cost?", none)[1]
    assert ((own >= 0) & (own <= 1)).all()
    assert own.argmax() == 0 and own.max() >= reranker.default_threshold > foreign.max()


def test_no_hits_stay_no_hits(reranker):
    assert reranker("anything", []) == []


@settings(max_examples=40, deadline=None)
@given(st.text(max_size=80), st.lists(st.text(max_size=200), min_size=1, max_size=5))
def test_any_text_gets_finite_scores(reranker, question, texts):
    scores, relevance = reranker.score(question, candidates(texts))
    assert np.isfinite(scores).all() and ((relevance >= 0) & (relevance <= 1)).all()


def test_threads_get_the_same_scores(reranker):
    questions = [f"Who founded town {n}, and when?" for n in range(24)]
    found = candidates([ROME, HILLS, BREAD])
    alone = [reranker.score(question, found)[0] for question in questions]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda question: reranker.score(question, found)[0], questions))
    np.testing.assert_array_equal(alone, together)


def test_saved_reranker_scores_alike(reranker, tmp_path):
    save_reranker(reranker, tmp_path)
    again = load_reranker(tmp_path)
    found = candidates([ROME, HILLS, BREAD])
    expected = reranker.score("When was Rome founded?", found)
    np.testing.assert_allclose(again.score("When was Rome founded?", found), expected, atol=0.02)
    assert again.default_threshold == reranker.default_threshold


@pytest.mark.parametrize("damage", ["missing", "config.json", "model.safetensors"])
def test_broken_reranker_is_one_clear_sentence(reranker, tmp_path: Path, damage):
    if damage != "missing":
        save_reranker(reranker, tmp_path)
        (tmp_path / damage).write_bytes(b"{}")
    with pytest.raises(UserError, match="train it again"):
        load_reranker(tmp_path)


def features(question: str, texts: list[str]) -> np.ndarray:
    lexicon = Lexicon()
    rarity = np.ones(BUCKETS, np.float32)
    numbers = np.arange(len(texts))
    rows = [lexicon.rows(text, 400) for text in texts]
    asked = lexicon.rows(question, 40)
    return match_features(question, asked, rows, lexicon, rarity, numbers, numbers * 0)


def test_features_of_a_passage_do_not_depend_on_its_place_among_them():
    texts = [ROME, HILLS, BREAD, "", WHALES]
    there = features("Which king founded Rome?", texts)
    back = features("Which king founded Rome?", texts[::-1])
    np.testing.assert_allclose(there, back[::-1], atol=1e-5)


def test_words_near_each_other_count_more_than_words_apart():
    near, far = "The red fox ran home.", "The red house stood there for long years. A fox ran."
    found = features("red fox", [near, far])
    assert (found[0] >= found[1] - 1e-6)[:3].all() and found[0].sum() != found[1].sum()
    window = slice(18, 24)  # after the whole passage and its sentences, three rows of each three
    assert (found[0, window] >= found[1, window]).all()
    assert (found[0, window] > found[1, window]).any()


@pytest.mark.parametrize(
    ("one", "other"),
    [("cities", "city"), ("played", "playing"), ("stopped", "stop"), ("foxes", "fox"),
     ("quickly", "quick"), ("movement", "moved")],
)  # fmt: skip
def test_forms_of_a_word_share_a_stem(one, other):
    assert stem(one) == stem(other)


def test_short_words_and_numbers_keep_their_form():
    assert [stem(word) for word in ("is", "the", "1984", "bus", "is")] == [
        "is", "the", "1984", "bus", "is"]  # fmt: skip


def test_kinds_of_questions_are_told_apart():
    questions = ["When did it end?", "In what year was he born?", "How many are there?",
                 "Who won?", "Where is it?", "Why?", "How?", "What is it?", "rome"]  # fmt: skip
    assert [question_type(q) for q in questions] == [0, 0, 1, 2, 3, 4, 5, 6, 7]
