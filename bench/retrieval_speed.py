"""Speed of ingest and of search as the library grows, beside NumPy and LanceDB's defaults.

Passages are paragraphs of Simple Wikipedia; when they run out they come again with a number in
front. Ingest is measured from text to stored rows, in documents of 100 passages. A search is timed
from the question's vector on, since embedding it costs the same everywhere: ours is the app's
search, with all that it does; NumPy is one matrix product and a partial sort, so it has no words
and no disk; LanceDB's defaults are its hybrid search (exact vectors, full text, its own rank
fusion) over one table. What follows the fused search is timed by itself, too: putting 20 passages
whose words are known in order, and the reader's look at the first of them.
"""

import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, count, islice
from pathlib import Path
from typing import Any

import numpy as np

from corpus.readers import read_json_lines
from mlx_toy.assistant import Assistant
from mlx_toy.library import Library
from mlx_toy.reader import bundled_reader
from mlx_toy.reranker import load_reranker
from mlx_toy.second_look import look_again
from mlx_toy.settings import Settings
from train.retrieval_sets import DISTRACTORS_FILE, FILES, from_questions, join

SIZES = (1_000, 10_000, 100_000)
QUESTIONS = 100
WARM_UP = 5  # questions asked before the clock runs
DOCUMENT = 100  # passages
SHORTEST, LONGEST = 200, 1000  # characters of a passage
K = 10
RERANKED = 20  # passages
WORKSPACE = "speed"


def speed(data: Path, sizes: Sequence[int]) -> list[dict[str, Any]]:
    """A row for each size of the library, ascending."""
    squad = from_questions("SQuAD", read_json_lines(data / FILES["squad"]))
    questions = [question.text for question in squad.sample(QUESTIONS + WARM_UP).questions]
    texts = paragraphs(data)
    rows = []
    with tempfile.TemporaryDirectory() as directory:
        assistant = Assistant(Settings(library=f"{directory}/ours"))
        try:
            vectors = np.zeros((0, assistant.embedder.dimensions), np.float32)
            stored: list[str] = []
            for size in sorted(sizes):
                new = list(islice(texts, size - len(stored)))
                seconds, found = ingest(assistant, new, len(stored))
                stored += new
                vectors = np.concatenate([vectors, found])
                row = {
                    "passages": size,
                    "ingest_passages_per_s": round(len(new) / seconds["all"], 1),
                    "embed_passages_per_s": round(len(new) / seconds["embed"], 1),
                }
                row |= searches(assistant, questions, vectors, stored, f"{directory}/plain-{size}")
                print(row, file=sys.stderr, flush=True)
                rows.append(row)
        finally:
            assistant.close()
    return rows


def paragraphs(data: Path) -> Iterator[str]:
    """Paragraphs of Simple Wikipedia without end."""

    def once() -> Iterator[str]:
        for record in read_json_lines(data / DISTRACTORS_FILE):
            for text in record["text"].split("\n\n"):
                if SHORTEST <= len(text) <= LONGEST:
                    yield text

    again = (f"{turn}. {text}" for turn in count(2) for text in once())
    return chain(once(), again)


def ingest(
    assistant: Assistant, texts: Sequence[str], first: int
) -> tuple[dict[str, float], np.ndarray]:
    """Embed and store passages; returns seconds in all and of embedding, and the vectors."""
    start, embedding = time.perf_counter(), 0.0
    found = []
    for place in range(0, len(texts), DOCUMENT):
        document, passages = join(f"{first + place}", texts[place : place + DOCUMENT])
        began = time.perf_counter()
        vectors = assistant.embedder.embed_passages([passage.text for passage in passages])
        embedding += time.perf_counter() - began
        assistant.library.add(WORKSPACE, document, passages, vectors)
        found.append(vectors)
    return {"all": time.perf_counter() - start, "embed": embedding}, np.concatenate(found)


def searches(
    assistant: Assistant,
    questions: Sequence[str],
    vectors: np.ndarray,
    texts: Sequence[str],
    directory: str,
) -> dict[str, float]:
    """Milliseconds of a search, median and 95th percentile, of each way."""
    asked = list(zip(questions, assistant.embedder.embed_queries(list(questions)), strict=True))
    table = lancedb_table(directory, texts, vectors)

    def ours(question: str, vector: np.ndarray) -> Any:
        return assistant.library.search(WORKSPACE, question, vector, K)

    def brute_force(_: str, vector: np.ndarray) -> Any:
        scores = vectors @ vector
        best = np.argpartition(-scores, K)[:K]
        return best[np.argsort(-scores[best])]

    def defaults(question: str, vector: np.ndarray) -> Any:
        return table.search(query_type="hybrid").vector(vector).text(question).limit(K).to_list()

    reranker, embedder = load_reranker(), assistant.embedder
    where = assistant.settings.library
    with Library(where, embedder.fingerprint, embedder.dimensions) as fused:
        hits = {q: fused.search(WORKSPACE, q, vector, RERANKED) for q, vector in asked}
    ordered = {question: reranker(question, some) for question, some in hits.items()}

    def rerank(question: str, _: np.ndarray) -> Any:
        return reranker(question, hits[question])

    def read(question: str, _: np.ndarray) -> Any:
        return look_again(question, ordered[question])

    ways = {"ours": ours, "rerank": rerank, "read": read}
    ways |= {"numpy": brute_force, "lancedb": defaults}
    bundled_reader().forget_words()
    found: dict[str, float] = {}
    for name, search in ways.items():
        found |= {f"{name}_{key}": value for key, value in timed(search, asked).items()}
    return found


def lancedb_table(directory: str, texts: Sequence[str], vectors: np.ndarray) -> Any:
    """A table as LanceDB's documentation makes it, with a full-text index."""
    import lancedb
    import pyarrow as pa
    from lancedb.index import FTS

    flat = pa.FixedSizeListArray.from_arrays(vectors.ravel(), vectors.shape[1])
    rows = pa.table({"text": pa.array(texts), "vector": flat})
    table = lancedb.connect(directory).create_table("passages", rows)
    table.create_index("text", config=FTS())
    return table


def timed(
    search: Callable[[str, np.ndarray], Any], asked: Sequence[tuple[str, np.ndarray]]
) -> dict[str, float]:
    """Median and 95th percentile of the milliseconds of one search, after a few to warm up."""
    taken = []
    for question, vector in asked:
        start = time.perf_counter()
        search(question, vector)
        taken.append(1000 * (time.perf_counter() - start))
    measured = taken[min(WARM_UP, len(taken) - 1) :]
    return {
        "p50_ms": round(float(np.percentile(measured, 50)), 1),
        "p95_ms": round(float(np.percentile(measured, 95)), 1),
    }
