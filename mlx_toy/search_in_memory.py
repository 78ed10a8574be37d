"""Both searches of the app over passages in memory, without a library.

Passages that a question comes with are looked up among each other as those of a library are, and so
are those that the reranker learns from.
"""

from collections.abc import Sequence

import numpy as np

from mlx_toy.embedder import Embedder
from mlx_toy.lexicon import MARK, SHAPE, STEM, WORD, Lexicon
from mlx_toy.reranker import NO_RANK, PASSAGE_TOKENS, Candidates

K1, B = 1.2, 0.75  # of BM25, as in the app's full-text index
# Words that the app's index leaves out as well, or nearly: they tell no passage from another.
STOP_WORDS = """a about after all also am an and any are as at be because been before but by can
could did do does for from had has have he her him his how i if in into is it its me more most my
no not of on only or other our out over own same she so some such than that the their them then
there these they this those through to too under until up very was we were what when where which
who whom whose why will with you your"""


class WordIndex:
    """BM25 over stems without stop words, as the app's full-text index scores them."""

    def __init__(self, texts: Sequence[str], lexicon: Lexicon) -> None:
        self._lexicon, self._size = lexicon, len(texts)
        stop = lexicon.look_up(lexicon.rows(STOP_WORDS, 200))[:, WORD]
        passages, stems = [], []
        for number, text in enumerate(texts):
            found = lexicon.look_up(lexicon.rows(text, PASSAGE_TOKENS))
            found = found[(found[:, SHAPE] != MARK) & ~np.isin(found[:, WORD], stop)]
            passages.append(np.full(len(found), number))
            stems.append(found[:, STEM].astype(np.int64))
        self._stop = stop
        passage, stem = np.concatenate(passages), np.concatenate(stems)
        lengths = np.bincount(passage, minlength=len(texts))
        keys, times = np.unique(stem * len(texts) + passage, return_counts=True)
        stem, passage = keys // len(texts), keys % len(texts)
        names, first, counts = np.unique(stem, return_index=True, return_counts=True)
        idf = np.repeat(np.log(1 + (len(texts) - counts + 0.5) / (counts + 0.5)), counts)
        scale = K1 * (1 - B + B * lengths[passage] / max(1.0, lengths.mean()))
        weight = (idf * times * (K1 + 1) / (times + scale)).astype(np.float32)
        self._weights = {
            int(name): (passage[a : a + n], weight[a : a + n])
            for name, a, n in zip(names, first, counts, strict=True)
        }

    def scores(self, question: str) -> np.ndarray:
        """The score of every passage [P]."""
        scores = np.zeros(self._size, np.float32)
        found = self._lexicon.look_up(self._lexicon.rows(question, PASSAGE_TOKENS))
        for stem in set(found[~np.isin(found[:, WORD], self._stop), STEM].tolist()):
            if stem in self._weights:
                index, weight = self._weights[stem]
                scores[index] += weight
        return scores


class SearchInMemory:
    """Passages that can be searched by vectors and by words.

    Args:
        texts: with the heading, if there is one, on a line of its own before the passage.
        documents, places: whose passage each is, and which.
        embedder: makes the vectors.
        lexicon: of the words.
    """

    def __init__(
        self,
        texts: Sequence[str],
        documents: Sequence[str],
        places: Sequence[int],
        embedder: Embedder,
        lexicon: Lexicon,
    ) -> None:
        self.texts, self.documents, self.places = texts, documents, np.array(places)
        self._embedder = embedder
        self._vectors = embedder.embed_passages(list(texts))  # [P, D]
        self._index = WordIndex(texts, lexicon)

    def searches(self, questions: list[str]) -> tuple[np.ndarray, list[np.ndarray]]:
        """Cosines [N, P] and scores [P] of each question."""
        cosines = self._embedder.embed_queries(questions) @ self._vectors.T
        return cosines, [self._index.scores(question) for question in questions]

    def candidates(
        self, cosine: np.ndarray, score: np.ndarray, count: int
    ) -> tuple[np.ndarray, Candidates]:
        """What the searches find for a question: numbers of passages [C], and the facts.

        Args:
            cosine, score: of every passage [P].
            count: how many each search finds at most.
        """
        by_vector = np.argsort(-cosine, kind="stable")[:count]
        by_text = np.argsort(-score, kind="stable")[:count]
        by_text = by_text[score[by_text] > 0]
        ranks = np.full((2, len(cosine)), NO_RANK, np.float32)
        ranks[0, by_vector] = np.arange(1, len(by_vector) + 1)
        ranks[1, by_text] = np.arange(1, len(by_text) + 1)
        chosen = np.union1d(by_vector, by_text)
        found = Candidates(
            [self.texts[i] for i in chosen],
            [self.documents[i] for i in chosen],
            self.places[chosen],
            cosine[chosen],
            ranks[0, chosen],
            ranks[1, chosen],
            np.where(ranks[1, chosen] < NO_RANK, score[chosen], 0.0).astype(np.float32),
        )
        return chosen, found
