"""Words near in meaning: each question word and the words of the passages by their vectors.

Why: "king" in a question and "monarch" in a passage match by no stem. The vectors are those that
our retriever learned for words (`bag.py`), on fewer axes; a word that was never seen has one by its
pieces. For each word of the question its nearest word counts, in the passage and in a sentence
(MaxSim: Khattab and Zaharia 2020, arXiv:2004.12832), and how many words are rather near (a kernel:
Xiong et al. 2017, arXiv:1706.06613).
"""

from collections.abc import Sequence

import numpy as np

from mlx_toy.bag import Features
from mlx_toy.lexicon import BUCKET, ENDS, EXACT, MARK, SHAPE, STEM, WORD, Lexicon

KERNEL_MEAN, KERNEL_WIDTH = 0.7, 0.1  # cosines that count as rather near
FEATURES = 7
_TINY = 1e-6


class WordVectors:
    """Vectors of a lexicon's words, made when they are first needed. Not safe for threads.

    Args:
        features: a word's rows of the table.
        table: of the retriever, on fewer axes [rows, D].
        query_gain, passage_gain: of the rows in questions and in passages [rows].
        lexicon: whose words.
    """

    def __init__(
        self,
        features: Features,
        table: np.ndarray,
        query_gain: np.ndarray,
        passage_gain: np.ndarray,
        lexicon: Lexicon,
    ) -> None:
        self._features, self._lexicon = features, lexicon
        self._table, self._gains = table, (query_gain, passage_gain)
        self._vectors = np.zeros((2, 1024, table.shape[1]), np.float32)
        self._known = 0

    def of_questions(self, rows: np.ndarray) -> np.ndarray:
        """Vectors of rows of the lexicon [N, D], as words of a question."""
        self._learn()
        return self._vectors[0, rows]

    def of_passages(self, rows: np.ndarray) -> np.ndarray:
        """Vectors of rows of the lexicon [N, D], as words of a passage."""
        self._learn()
        return self._vectors[1, rows]

    def _learn(self) -> None:
        words = self._lexicon.words
        while len(words) > self._vectors.shape[1]:
            self._vectors = np.concatenate([self._vectors, np.zeros_like(self._vectors)], axis=1)
        for row in range(self._known, len(words)):
            ids = self._features.of_word(words[row])
            for vectors, gain in zip(self._vectors, self._gains, strict=True):
                vectors[row] = gain[ids] @ self._table[ids]
        self._known = len(words)


def meaning_features(
    asked: np.ndarray,
    passages: Sequence[np.ndarray],
    lexicon: Lexicon,
    vectors: WordVectors,
    rarity: np.ndarray,
) -> np.ndarray:
    """How near each passage's words are to the question's, [P, FEATURES].

    Args:
        asked: tokens of the question, rows of the lexicon.
        passages: tokens of the candidates, at least one.
        lexicon: that made the rows.
        vectors: of its words.
        rarity: of a stem in general, by bucket, in nats [BUCKETS].
    """
    count = len(passages)
    lengths = np.array([len(tokens) for tokens in passages])
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])  # [P]
    flat = np.concatenate(passages)  # [T]
    found = lexicon.look_up(flat)
    opens = np.concatenate([[True], found[:-1, ENDS] > 0])
    opens[starts] = True
    sentence_starts = np.flatnonzero(opens)  # [S]
    first_sentence = np.searchsorted(sentence_starts, starts)  # [P]
    real = asked[lexicon.look_up(asked)[:, SHAPE] != MARK]
    real = np.unique(real) if len(real) else asked[:1]
    asks = lexicon.look_up(real)

    general = rarity[asks[:, BUCKET]]
    inside = np.logical_or.reduceat(asks[:, STEM, None] == found[:, STEM], starts, axis=1)
    local = np.log((count + 1) / (inside.sum(1) + 0.5))  # rare among the candidates
    weights = np.stack([general, general * (local + 0.1)])
    shares = (weights / (weights.sum(1, keepdims=True) + _TINY)).astype(np.float32)  # [2, Q]

    distinct, where = np.unique(flat, return_inverse=True)
    table = vectors.of_passages(distinct)  # [U, D]
    near = _unit(vectors.of_passages(real)) @ _unit(table).T  # [Q, U]
    there = lexicon.look_up(distinct)
    others = np.isin(there[:, SHAPE], EXACT) & (asks[:, WORD, None] != there[:, WORD])
    near = np.where(others, 0, near)  # 3150 is as near to 5310 by its pieces as to itself
    kernel = np.exp(-((near - KERNEL_MEAN) ** 2) / (2 * KERNEL_WIDTH**2))[:, where]
    near = near[:, where]  # [Q, T]
    in_sentence = np.maximum.reduceat(near, sentence_starts, axis=1)  # [Q, S]
    in_passage = np.maximum.reduceat(in_sentence, first_sentence, axis=1)  # [Q, P]
    alike = np.log1p(np.add.reduceat(kernel, starts, axis=1))

    sums = np.add.reduceat(table[where], sentence_starts, axis=0)  # [S, D]
    question = _unit(vectors.of_questions(real).sum(0))
    rows = [
        *(shares @ in_passage),
        *np.maximum.reduceat(shares @ in_sentence, first_sentence, axis=1),
        shares[0] @ alike,
        np.maximum.reduceat(_unit(sums) @ question, first_sentence),
        _unit(np.add.reduceat(sums, first_sentence, axis=0)) @ question,
    ]
    return np.stack(rows, 1).astype(np.float32)


def _unit(vectors: np.ndarray) -> np.ndarray:
    norms: np.ndarray = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / (norms + _TINY)
