"""Which of some given passages a question is about, each looked up among the others.

That is the same question as in a library, so the same parts answer it: both searches and the
reranker, the bundled ones.
"""

from collections.abc import Sequence

from mlx_toy.embedder import bundled_embedder
from mlx_toy.lexicon import Lexicon
from mlx_toy.passages import below_headings
from mlx_toy.reranker import bundled_reranker
from mlx_toy.search_in_memory import SearchInMemory


def scores_among(
    question: str, passages: Sequence[str], headings: Sequence[str] = ()
) -> list[float]:
    """The reranker's score of each passage, as if they were all that a library has.

    Args:
        question: any text.
        passages: each is looked at as a document of its own.
        headings: what stands above each passage.
    """
    texts = list(map(below_headings, headings, passages)) if headings else list(passages)
    numbers = range(len(texts))
    search = SearchInMemory(
        texts, [str(n) for n in numbers], [0] * len(texts), bundled_embedder(), Lexicon()
    )
    cosines, words = search.searches([question])
    _, candidates = search.candidates(cosines[0], words[0], len(texts))  # all: nearest by vectors
    scores, _ = bundled_reranker().score(question, candidates)
    return [float(score) for score in scores]
