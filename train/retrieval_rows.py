"""Ways to rank the passages of a library: each is a name and a function from a question to numbers.

Words alone, vectors alone, both fused in several ways, and the app's own search through its public
functions, with all that it does: LanceDB's indexes, fusion, and whatever follows. The others rank
in memory with exact scores, so they are what the app's search is to be compared with.
"""

import hashlib
import tempfile
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from corpus.bm25 import Bm25
from mlx_toy.assistant import Assistant
from mlx_toy.embedder import Embedder
from mlx_toy.fusion import Fusion, fuse
from mlx_toy.library import CANDIDATES, Library
from mlx_toy.rows import Hit
from mlx_toy.settings import Settings
from mlx_toy.whole_files import written_at_once
from train.retrieval_metrics import COSINE_WEIGHT, FUSION_K
from train.retrieval_sets import QuestionSet

if TYPE_CHECKING:
    from mlx_toy.assistant import Assistant

DEPTH = CANDIDATES  # of a ranking; asked for more, the app would look at more than it does
SAVE_EVERY = 128  # new vectors: ten seconds of a large embedder
WORKSPACE = "benchmark"

Ranker = Callable[[str], Sequence[int]]  # a question -> numbers of passages, best first


class CachedEmbedder:
    """An embedder that embeds each text once, and keeps the vectors on disk if told where.

    Args:
        embedder: that is asked for what is not known.
        name: for tables.
        path: its directory or name on the hub, "" for the bundled one.
        directory: of the files, one for an embedder; None keeps vectors in memory alone.
    """

    def __init__(
        self, embedder: Embedder, name: str, path: str = "", directory: Path | None = None
    ) -> None:
        self.name, self.path = name, path
        self.dimensions, self.fingerprint = embedder.dimensions, embedder.fingerprint
        self.default_threshold = embedder.default_threshold
        self._embedder = embedder
        self._file = directory and directory / f"vectors-{embedder.fingerprint}.npz"
        self._known: dict[str, np.ndarray] = {}
        if self._file and self._file.exists():
            with np.load(self._file) as stored:
                self._known = dict(zip(stored["keys"].tolist(), stored["vectors"], strict=True))

    def embed_passages(self, texts: list[str]) -> np.ndarray:
        """Unit vectors [N, D] of passages, float32."""
        return self._embed("passage", texts, self._embedder.embed_passages)

    def embed_queries(self, texts: list[str]) -> np.ndarray:
        """Unit vectors [N, D] of questions, float32."""
        return self._embed("query", texts, self._embedder.embed_queries)

    def _embed(
        self, role: str, texts: list[str], embed: Callable[[list[str]], np.ndarray]
    ) -> np.ndarray:
        keys = [hashlib.sha256(f"{role}\n{text}".encode()).hexdigest()[:32] for text in texts]
        new = {key: text for key, text in zip(keys, texts, strict=True) if key not in self._known}
        order = sorted(new, key=lambda key: len(new[key]))  # less padding
        for start in range(0, len(order), SAVE_EVERY):
            batch = order[start : start + SAVE_EVERY]
            vectors = embed([new[key] for key in batch]).astype(np.float32)
            self._known.update(zip(batch, vectors, strict=True))
            if self._file:
                self._save(self._file)
        found = [self._known[key] for key in keys]
        return np.stack(found) if found else np.zeros((0, self.dimensions), np.float32)

    def _save(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        with written_at_once(file) as partial, open(partial, "wb") as out:
            np.savez(out, keys=list(self._known), vectors=np.stack(list(self._known.values())))


def in_memory(
    texts: Sequence[str], embedders: Sequence[CachedEmbedder]
) -> Iterator[tuple[str, Ranker]]:
    """BM25, and for each embedder its vectors alone and fused with BM25, as (name, ranker)."""
    index = Bm25(texts)
    by_words = lru_cache(maxsize=1)(index.scores)  # one question at a time goes through all rows
    yield "BM25", lambda question: best(by_words(question))
    for embedder in embedders:
        yield from _rankers_of(embedder, embedder.embed_passages(list(texts)), by_words)


def _rankers_of(
    embedder: CachedEmbedder, vectors: np.ndarray, by_words: Callable[[str], np.ndarray]
) -> Iterator[tuple[str, Ranker]]:
    @lru_cache(maxsize=1)
    def cosines(question: str) -> np.ndarray:
        return vectors @ embedder.embed_queries([question])[0]  # [P]

    def fused(fusion: Fusion) -> Ranker:
        def rank(question: str) -> list[int]:
            lists = best(cosines(question)), best(by_words(question))
            return [item.key for item in fuse(*lists, fusion)[:DEPTH]]  # type: ignore[misc]

        return rank

    name, app = embedder.name, Fusion()
    yield f"{name}, vectors", lambda question: best(cosines(question))
    yield f"{name} + BM25, ranks", fused(Fusion(FUSION_K, 1.0, 1.0))
    yield f"{name} + BM25, ranks {app.vector_weight:g} : {app.text_weight:g}", fused(app)
    yield (
        f"{name} + BM25, scores",
        lambda question: best(by_words(question) + COSINE_WEIGHT * cosines(question)),
    )


def best(scores: np.ndarray, count: int = DEPTH) -> list[int]:
    """Numbers of the highest scores of [P], best first; those of 0 or less are not found."""
    order = np.argsort(-scores, kind="stable")[:count]
    found: list[int] = order[scores[order] > 0].tolist()
    return found


@contextmanager
def in_app(
    chosen: QuestionSet, embedder: CachedEmbedder
) -> Iterator[tuple["Assistant", dict[str, Ranker]]]:
    """The app with the passages of a set in a new library, and its search, by name.

    Args:
        chosen: whose passages; they are stored as they are, not cut again.
        embedder: makes the vectors of the passages; the app loads the same one for questions.

    Yields:
        The app, and three rankers: LanceDB's index of words alone, its two indexes fused, and the
        app's search, with all that it does after that.
    """
    from mlx_toy.assistant import Assistant

    with tempfile.TemporaryDirectory() as directory:
        assistant = Assistant(Settings(embedder=embedder.path, library=directory))
        fused = Library(directory, embedder.fingerprint, embedder.dimensions)
        words = Library(
            directory, embedder.fingerprint, embedder.dimensions, Fusion(vector_weight=0)
        )
        try:
            places = _fill(assistant.library, chosen, embedder)

            def by_library(library: Library, question: str) -> list[Hit]:
                vector = embedder.embed_queries([question])[0]
                return library.search(WORKSPACE, question, vector, DEPTH)

            def by_words(question: str) -> list[Hit]:
                return [hit for hit in by_library(words, question) if hit.text_rank is not None]

            def by_app(question: str) -> list[Hit]:
                return assistant.search(WORKSPACE, question, DEPTH)

            yield (
                assistant,
                {
                    "BM25 of LanceDB": lambda q: _numbers(by_words(q), places),
                    f"{embedder.name}, LanceDB": lambda q: _numbers(by_library(fused, q), places),
                    f"{embedder.name}, the app's search": lambda q: _numbers(by_app(q), places),
                },
            )
        finally:
            assistant.close()


Places = dict[str, tuple[int, list[int], list[int]]]  # first number, starts, ends; by document


def _fill(library: Library, chosen: QuestionSet, embedder: CachedEmbedder) -> Places:
    """Store the passages of a set; returns where those of each document are."""
    places: Places = {}
    vectors = embedder.embed_passages(chosen.texts)
    number = 0
    for document, passages in chosen.library:
        if passages:
            end = number + len(passages)
            stored = library.add(WORKSPACE, document, passages, vectors[number:end])
            starts, ends = [p.start for p in passages], [p.end for p in passages]
            places.setdefault(stored.id, (number, starts, ends))
            number = end
    return places


def _numbers(hits: Sequence[Hit], places: Places) -> list[int]:
    """The passages that hits cover, in their order; one hit may be several passages merged."""
    found: dict[int, None] = {}
    for hit in hits:
        first, starts, ends = places[hit.document_id]
        covered = range(bisect_right(ends, hit.start), bisect_left(starts, hit.end))
        found.update(dict.fromkeys(first + place for place in covered))
    return list(found)
