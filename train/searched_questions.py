"""Questions put to libraries, with the passages that the app's search brings for them.

What is known of a passage that was given, and of one that was found among many, is not the same:
the search says how relevant it is, and often the right one is not among those that it brings. So
whether to answer from found passages is decided from such. The libraries are a few of about the
size that a person has, each of SQuAD training articles that neither retriever nor reader was
trained on, and of everyday documents of our own that the reader has not seen.
"""

import random
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from corpus.readers import read_json_lines
from mlx_toy.assistant import CANDIDATES, Assistant
from mlx_toy.documents import Document
from mlx_toy.embedder import Embedder
from mlx_toy.hits import select_hits
from mlx_toy.library import CANDIDATES as SEARCHED
from mlx_toy.library import Library
from mlx_toy.ordering import in_order
from mlx_toy.passages import Passage, below_headings
from mlx_toy.reranker import Reranker, load_reranker
from mlx_toy.rows import Hit
from mlx_toy.second_look import FEW, standing
from mlx_toy.settings import Settings
from train.calibration_questions import SOURCE, Item
from train.evaluate_retrieval import count_tokens
from train.everyday import Everyday, read_everyday
from train.retrieval_data import is_held_out
from train.retrieval_sets import join
from train.twins import read_twins

LIBRARIES = 8
ROOM = 700  # tokens that they may have together, about what a question leaves of a context


@dataclass(frozen=True)
class _Asked:
    """A question with the text of the passage that answers it, "" if none does."""

    article: str
    question: str
    answers: list[str]
    home: str
    is_twin: bool = False
    is_everyday: bool = False


def read_searched_items(data: Path, questions: int, seed: int = 0) -> Iterator[Item]:
    """Questions with what the search brings, answered there or not.

    So many of articles, each a second time as if the passages that have the answer were not there;
    as many twins; and as many on everyday documents, where there are so many.
    """
    records = [r for r in read_json_lines(data / f"{SOURCE}.jsonl.xz") if is_held_out(r["title"])]
    everyday = [one for one in read_everyday() if one.held_out]
    draw = random.Random(seed)
    asked = [
        [_of_record(record) for record in records if record["answers"]],
        [_of_record(record) for record in read_twins(records)],
        [_of_everyday(one) for one in everyday],
    ]
    count, reranker = count_tokens(), load_reranker()
    articles = dict.fromkeys([r["title"] for r in records] + [one.document for one in everyday])
    home = {article: f"library-{place % LIBRARIES}" for place, article in enumerate(articles)}
    with tempfile.TemporaryDirectory() as directory:
        settings = Settings(library=directory)
        shown, looked_at = settings.passages, CANDIDATES * settings.passages
        with closing(Assistant(settings)) as assistant:
            _fill(assistant, records, everyday, home)
            embedder = assistant.embedder
            with Library(directory, embedder.fingerprint, embedder.dimensions) as plain:
                for some in asked:
                    draw.shuffle(some)
                    for one in some[:questions]:
                        hits = assistant.search(home[one.article], one.question, looked_at)
                        yield _item(one, select_hits(hits, shown, ROOM, count))
                        if some is asked[0]:
                            hits = _lacking(one, home[one.article], plain, embedder, reranker)
                            hits = select_hits(hits[:looked_at], shown, ROOM, count)
                            if hits:
                                yield _item(one, hits)


def _lacking(
    one: _Asked, workspace: str, plain: Library, embedder: Embedder, reranker: Reranker
) -> list[Hit]:
    """What the search would bring if the passages that have the answer were not there."""
    vector = embedder.embed_queries([one.question])[0]
    hits = plain.search(workspace, one.question, vector, SEARCHED)
    hits = [hit for hit in hits if not _has(hit, one.answers)]
    return in_order(reranker, one.question, hits)


def _of_record(record: dict[str, Any]) -> _Asked:
    answers = list(record["answers"])
    home = record["context"] if answers else ""
    return _Asked(record["title"], record["question"], answers, home, bool(record.get("is_twin")))


def _of_everyday(one: Everyday) -> _Asked:
    answers, home = ([one.answer], one.text) if one.answer else ([], "")
    return _Asked(one.document, one.question, answers, home, is_everyday=True)


def _fill(
    assistant: Assistant,
    records: Sequence[dict[str, Any]],
    everyday: Sequence[Everyday],
    home: dict[str, str],
) -> None:
    """Store articles and everyday documents, these below their headings, each where it belongs."""
    articles: dict[str, dict[str, None]] = {}
    for record in records:
        articles.setdefault(record["title"], {})[record["context"]] = None
    for title, texts in articles.items():
        store(assistant, home[title], *join(title, list(texts)))
    sections: dict[str, dict[str, Everyday]] = {}
    for one in everyday:
        sections.setdefault(one.document, {})[one.text] = one
    for name, below in sections.items():
        document, passages = join(next(iter(below.values())).title, list(below))
        headed = [replace(passage, heading=below[passage.text].above) for passage in passages]
        store(assistant, home[name], document, headed)


def store(
    assistant: Assistant, workspace: str, document: Document, passages: list[Passage]
) -> None:
    """Add passages as they are, not cut again, each embedded below its heading."""
    vectors = assistant.embedder.embed_passages(
        [below_headings(passage.heading, passage.text) for passage in passages]
    )
    assistant.library.add(workspace, document, passages, vectors)


def _has(hit: Hit, answers: list[str]) -> bool:
    text = hit.text.lower()
    return any(answer.lower() in text for answer in answers)


def _item(one: _Asked, hits: list[Hit]) -> Item:
    answered = bool(one.home) and any(one.home in hit.text for hit in hits)
    return Item(
        one.article,
        one.question,
        [hit.text for hit in hits],
        one.answers if answered else [],
        one.is_twin,
        one.is_everyday,
        [hit.heading for hit in hits],
        [standing(hit, FEW) for hit in hits],
    )
