"""Definitions with the article that they define: what is found by meaning, not by words.

Of an article of Simple Wikipedia, the first sentence says what its subject is; without the words of
the title it becomes a query, and the rest of the article, without that sentence, has to be found by
it. Whole pages are held out, of these pairs and of those of titles and headings alike, and become
sets of questions of the two kinds that the evaluation has (`retrieval_sets.from_articles`).
"""

from collections.abc import Iterable
from typing import Any

from mlx_toy.documents import read_text
from mlx_toy.passages import Passage as Cut
from mlx_toy.passages import split_passages
from train.retrieval_data import Groups, Passage, is_held_out
from train.retrieval_sets import QuestionSet, from_articles, take_definition

SHORTEST_REST = 200  # characters of an article without its definition; less tells nothing
CHARACTERS_A_TOKEN = 4
HELD_OUT_PAGES = 500
LONG_PAGE = 1200  # characters; the held-out sets are of pages with some passages


def page_of(record_id: str) -> str:
    """The page that a record of Simple Wikipedia is of: ids end in its number, or it and more."""
    number = next((part for part in record_id.split("/") if part.isdigit()), record_id)
    return "simplewiki/" + number


def definition_groups(records: Iterable[dict[str, Any]]) -> Groups:
    """By page: the first passage of its text, with the definition as its query."""
    groups: Groups = {}
    for record in records:
        gloss, text = take_definition(record["title"] or "", record["text"])
        if record["title"] and gloss and len(text) >= SHORTEST_REST:
            groups[page_of(record["id"])] = [Passage(cut(text)[0].text, [gloss])]
    return groups


def held_out_sets(records: Iterable[dict[str, Any]]) -> list[QuestionSet]:
    """The sets "headings" and "definitions" of some of the pages that are held out."""
    long = (r for r in records if r["title"] and len(r["text"]) >= LONG_PAGE)
    held = (r for r in long if is_held_out(page_of(r["id"])))
    chosen = [record for _, record in zip(range(HELD_OUT_PAGES), held, strict=False)]
    return from_articles(chosen, lambda document: split_passages(document, estimate_tokens))


def cut(text: str) -> list[Cut]:
    """Passages of a text as the app makes them, but for its exact count of tokens."""
    return split_passages(read_text(text, ""), estimate_tokens)


def estimate_tokens(text: str) -> int:
    """About how many tokens a text has."""
    return len(text) // CHARACTERS_A_TOKEN


def without_held_out(groups: Groups) -> Groups:
    """The groups of pages that are not held out; their names end in the page's number."""
    return {name: group for name, group in groups.items() if not is_held_out(page_of(name))}
