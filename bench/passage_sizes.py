"""How long passages should be, and whether they should overlap by a sentence.

Longer passages are easier to find, but fewer of them fit before the model. So what counts is
whether the answer is in what the model gets to see: as many of the best passages as fit
`BUDGET_TOKENS`, cut to it. Three sets: the long documents (right is the page), headings of Simple
Wikipedia (right is the section), and SQuAD's articles cut anew (right is a passage of the paragraph
that holds an answer). Passages are ranked by BM25 plus weighted cosine, which no setting of the app
changes.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from bench import long_documents
from corpus.readers import read_json_lines
from mlx_toy.documents import Document
from mlx_toy.passages import Passage, split_passages, split_sentences
from train.evaluate_retrieval import count_tokens, open_embedder
from train.retrieval_metrics import figures, rank_of_right
from train.retrieval_rows import CachedEmbedder, in_memory
from train.retrieval_sets import FILES, Question, QuestionSet, Split, from_articles, join

TARGETS = (60, 90, 120, 160, 220)  # tokens of a passage
OVERLAPS = (0, 1)  # sentences of the passage before
BUDGET_TOKENS = 360  # of passages before the model: three of 120
ROW = "ours + BM25, scores"


def sweep(data: Path, work: Path, questions: int) -> list[dict[str, Any]]:
    """A row for each size, overlap and set.

    Args:
        data: directory of the training data.
        work: where the long documents are, or will be made.
        questions: of a set, at most.
    """
    long_documents.make_documents(data, work)
    documents = long_documents.read_documents(work)
    asked = long_documents.read_questions()
    articles = list(read_json_lines(data / FILES["simplewiki"]))
    squad = list(read_json_lines(data / FILES["squad"]))
    embedder, count = open_embedder(""), count_tokens()
    rows = []
    for target in TARGETS:
        for overlap in OVERLAPS:
            split = cutter(count, target, overlap)
            for chosen in (
                long_documents.long_documents_set(documents, asked, split),
                from_articles(articles, split)[0].sample(questions),
                from_cut_articles(squad, split).sample(questions),
            ):
                row = {"target_tokens": target, "overlap": overlap, "set": chosen.name}
                row |= measure(chosen, embedder, count)
                print(row, flush=True)
                rows.append(row)
    return rows


def cutter(count: Any, target: int, overlap: int) -> Split:
    """The app's way to cut with another target, each passage with sentences of the one before."""

    def split(document: Document) -> list[Passage]:
        passages = split_passages(document, count, target)
        return overlapped(document, passages) if overlap else passages

    return split


def overlapped(document: Document, passages: Sequence[Passage]) -> list[Passage]:
    """Each passage begun with the last sentence of the one before, of the same section and page."""
    found = list(passages[:1])
    for before, passage in pairwise(passages):
        if (before.heading, before.page) == (passage.heading, passage.page):
            start = before.start + split_sentences(before.text)[-1][0]
            text = document.text[start : passage.end]
            passage = replace(passage, text=text, start=start)
        found.append(passage)
    return found


def from_cut_articles(records: Sequence[dict[str, Any]], split: Split) -> QuestionSet:
    """SQuAD's articles cut anew; right is what holds an answer and lies in its paragraph."""
    articles: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for record in records:
        asked = articles.setdefault(record["title"], {}).setdefault(record["context"], [])
        if record["answers"]:
            asked.append(record)
    library, questions = [], []
    number = 0
    for title, contexts in articles.items():
        document, paragraphs = join(title, list(contexts))
        passages = split(document)
        for paragraph in paragraphs:
            near = [
                (place, passage)
                for place, passage in enumerate(passages, number)
                if passage.start < paragraph.end and passage.end > paragraph.start
            ]
            for record in contexts[paragraph.text]:
                right = frozenset(
                    place
                    for place, passage in near
                    if any(answer in passage.text for answer in record["answers"])
                )
                if right:
                    questions.append(Question(record["question"], right))
        library.append((document, passages))
        number += len(passages)
    return QuestionSet("SQuAD, cut anew", library, questions)


def measure(chosen: QuestionSet, embedder: CachedEmbedder, count: Any) -> dict[str, float]:
    """Figures of a set, and the share of questions with the answer within the budget."""
    rank = dict(in_memory(chosen.texts, [embedder]))[ROW]
    embedder.embed_queries([question.text for question in chosen.questions])
    sizes = [count(text) for text in chosen.texts]
    places, within = [], 0
    for question in chosen.questions:
        ranked = rank(question.text)
        place = rank_of_right(ranked, question.right)
        places.append(place)
        within += place <= len(ranked) and _tokens_to(ranked, int(place), sizes) <= BUDGET_TOKENS
    return {
        "passages": len(sizes),
        "mean_tokens": round(float(np.mean(sizes)), 1),
        **figures(places, (1, 3, 5)),
        "within_budget": round(within / max(1, len(chosen.questions)), 4),
    }


def _tokens_to(ranked: Sequence[int], place: int, sizes: Sequence[int]) -> int:
    """Tokens of the passages from the best to the one at a place, counted from 1."""
    return sum(sizes[number] for number in ranked[:place])
