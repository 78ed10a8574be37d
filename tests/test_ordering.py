"""The order of what was found for a question that leans on the conversation."""

from mlx_toy.ordering import in_order
from mlx_toy.reranker import load_reranker
from mlx_toy.rows import Hit

OPENED = "The bakery was opened in 1962 by Ada Brown, who baked only rye bread."
LOAF = "A rye loaf costs four crowns, a seeded roll sixty cents."
FIRE = "In 1987 a fire destroyed the ovens. The neighbours lent their kitchens."
TEXTS = [OPENED, LOAF, FIRE]
QUESTION, QUERY = (
    "What does a loaf cost there?",
    "What does a loaf cost there? opened bakery Ada Brown",
)


def hits() -> list[Hit]:
    return [
        Hit(
            "a" * 32,
            "bakery.md",
            None,
            "Bakery",
            text,
            100 * n,
            100 * n + len(text),
            0.5,
            1.0,
            n,
            n,
        )
        for n, text in enumerate(TEXTS, start=1)
    ]


def test_the_question_decides_the_order_and_the_query_what_is_relevant():
    reranker = load_reranker()
    plain = in_order(reranker, QUESTION, hits())
    assert in_order(reranker, QUESTION, hits(), QUESTION) == plain
    whole = in_order(reranker, QUERY, hits())
    mixed = in_order(reranker, QUESTION, hits(), QUERY)
    assert {hit.text for hit in mixed} == set(TEXTS)
    assert mixed[0].text == LOAF
    alone, with_query, found = ({hit.text: hit for hit in some} for some in (plain, whole, mixed))
    for text in TEXTS:
        assert found[text].odds == alone[text].odds  # it was read as it was typed
        assert found[text].relevance == max(alone[text].relevance, with_query[text].relevance)


def test_of_nothing_nothing_is_ordered():
    assert in_order(load_reranker(), QUESTION, [], QUERY) == []
