"""What the library's tests share: a toy embedder and short ways to add and to search."""

import numpy as np

from mlx_toy.documents import Document
from mlx_toy.library import Library
from mlx_toy.passages import split_passages

DIMENSIONS = 8
WHALES = "Blue whales eat krill in cold water. They sing over long distances."
BREAD = "Bread needs flour and water. Knead the dough for ten minutes."


def embed(texts: list[str]) -> np.ndarray:
    """Unit vectors that depend on the text alone: counts of its letters, [N, D]."""
    vectors = np.array(
        [[1 + sum(map(text.count, "aeiourst"[i])) for i in range(DIMENSIONS)] for text in texts],
        dtype=np.float32,
    )
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


class LetterEmbedder:
    """`embed` as an embedder, which also notes what it was given."""

    dimensions, fingerprint, default_threshold = DIMENSIONS, "embedder-1", 0.5

    def __init__(self) -> None:
        self.batches: list[list[str]] = []

    def embed_passages(self, texts: list[str]) -> np.ndarray:
        self.batches.append(texts)
        return embed(texts)

    def embed_queries(self, texts: list[str]) -> np.ndarray:
        return self.embed_passages(texts)


def add(library: Library, workspace: str, name: str, text: str):
    document = Document(name, text, page_starts=(0,), kind="pdf")
    passages = split_passages(document, lambda piece: len(piece.split()), target_tokens=8)
    return library.add(workspace, document, passages, embed([p.text for p in passages]))


def search(library: Library, workspace: str, query: str, k: int = 5, question: str = ""):
    return library.search(workspace, query, embed([query])[0], k, question)
