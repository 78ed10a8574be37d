"""What goes before the model: neighbours joined, repetitions out, within the budget, exact."""

from dataclasses import replace
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from mlx_toy.documents import Document
from mlx_toy.hits import select_hits
from mlx_toy.passages import split_passages
from mlx_toy.rows import Hit


def count_words(text: str) -> int:
    return len(text.split())


def hits_of(text: str, target: int = 6, document_id: str = "a", kind: str = "markdown"):
    """The passages of a text as hits, the first the best."""
    document = Document("a", text, kind=kind)
    end, found = 0, []
    for number, passage in enumerate(split_passages(document, count_words, target)):
        place = (passage.page, passage.heading, passage.text, passage.start, passage.end)
        scores = (0.5, 1 / (number + 1), number + 1, None)
        before = text[end : passage.start]
        found.append(Hit(document_id, "a", *place, *scores, passage=number, before=before))
        end = passage.end
    return found


def texts(hits):
    return [hit.text for hit in hits]


def select(hits, limit=5, budget=1000):
    return select_hits(hits, limit, budget, count_words)


TEXT = (
    "The first one is here. The second one is there.\n\nA third one came by. The last left early."
)


def test_neighbours_are_joined_whichever_comes_first():
    one, two, three, four = hits_of(TEXT, 5)
    for order in ([one, two, three, four], [four, two, three, one], [one, four, two, three]):
        [joined] = select(order)
        assert (joined.text, joined.start, joined.end, joined.passage) == (TEXT, 0, len(TEXT), 0)
        assert joined.score == one.score
    read = replace(two, odds=1.0, score=one.score - 5)  # scores of read and unread do not compare
    [joined] = select([read, one])
    assert (joined.score, joined.odds, joined.nearness) == (read.score, 1.0, None)
    assert texts(select([four, one])) == [four.text, one.text]
    assert texts(select([one, three, two], limit=1)) == [one.text]


def test_passages_below_two_headings_stay_apart():
    found = hits_of("# A\n\nSome words.\n\n# B\n\nOther words.")
    assert texts(select(found)) == ["Some words.", "Other words."]


def test_passages_of_two_documents_stay_apart():
    one, _ = hits_of("The whale is blue and big. It sings a song at night.", 6)
    _, two = hits_of("A ferry runs on every day. It goes over to Brenn.", 6, "b")
    assert len(select([one, two])) == 2


def test_what_is_said_again_appears_once():
    text = "The lighthouse was built by the men of the village over two long summers. " + (
        "They carried the stones down from the hill on sledges, one at a time, and stopped only "
        "when it rained so hard that the oxen could not see where they went."
    )
    one, again = hits_of(text, 50)[0], hits_of(text.replace("long", "very long"), 50, "b")[0]
    assert texts(select([one, one, again])) == [one.text]


def test_a_repetition_that_differs_in_a_number_or_a_name_stays():
    text = "In 2021 the lighthouse at Brenn had about forty visitors a day in the long summer."
    one = hits_of(text, 50)[0]
    for change in (("2021", "2022"), ("Brenn", "Moor")):
        other = hits_of(text.replace(*change), 50, "b")[0]
        assert texts(select([one, other])) == [one.text, other.text]


def test_the_budget_and_the_number_are_kept_but_the_best_stays():
    found = [hits_of(f"Text {n} of some {n} words here.", 9, str(n))[0] for n in range(9)]
    assert len(select(found, limit=3)) == 3
    assert len(select(found, budget=15)) == 2
    assert texts(select(found, budget=1)) == [found[0].text]


words = st.sampled_from(["one", "Two", "three", "4", "five.", "Six!", "seven\n\n# eight\n\n-"])


@settings(max_examples=200, deadline=None)
@given(st.data(), st.lists(words, min_size=1, max_size=80), st.integers(1, 9))
def test_any_selection_is_exact_and_different(data, parts, target):
    text = " ".join(parts).strip()
    found = data.draw(st.permutations(hits_of(text, target)))
    found = found[: data.draw(st.integers(0, len(found)))]
    limit, budget = data.draw(st.integers(1, 6)), data.draw(st.integers(1, 60))
    chosen = select(found, limit, budget)
    assert len(chosen) <= limit and bool(chosen) == bool(found)
    assert all(text[hit.start : hit.end] == hit.text for hit in chosen)
    most = max(budget, max(map(count_words, texts(found)), default=0))
    assert sum(map(count_words, texts(chosen))) <= most
    spans = sorted((hit.start, hit.end) for hit in chosen)
    assert all(end <= start for (_, end), (start, _) in pairwise(spans))
