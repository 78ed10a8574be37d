"""Which of some given passages a question is about, each looked up among the others.

That is the same question as in a library, so the same parts answer it: both searches and the
reranker, the bundled ones, whatever a library is searched with.
"""

from collections.abc import Sequence

from mlx_toy.embedder import bundled_embedder
from mlx_toy.lexicon import Lexicon
from mlx_toy.passages import below_headings
from mlx_toy.reader import windows
from mlx_toy.reranker import DEPTH, bundled_reranker
from mlx_toy.search_in_memory import SearchInMemory


def scores_among(
    question: str, passages: Sequence[str], headings: Sequence[str] = ()
) -> list[float]:
    """The reranker's score of each passage, as if they were all that a library has.

    A passage that neither search has among its first has the lowest score that another one has.

    Args:
        question: any text.
        passages: each is a document of its own; of a long one its best piece counts.
        headings: what stands above each passage; () for nothing.
    """
    parts = [
        (number, place, below_headings(above, passage[start:end]))
        for number, (above, passage) in enumerate(
            zip(headings or [""] * len(passages), passages, strict=True)
        )
        for place, (start, end) in enumerate(windows(passage))
    ]
    if not parts:
        return [0.0] * len(passages)
    numbers, places, texts = zip(*parts, strict=True)
    search = SearchInMemory(texts, list(map(str, numbers)), places, bundled_embedder(), Lexicon())
    cosines, words = search.searches([question])
    chosen, candidates = search.candidates(cosines[0], words[0], DEPTH // 2)
    scores, _ = bundled_reranker().score(question, candidates)
    best = [float(scores.min())] * len(passages)
    for part, score in zip(chosen.tolist(), scores.tolist(), strict=True):
        best[numbers[part]] = max(best[numbers[part]], score)
    return best
