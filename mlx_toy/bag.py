"""The retriever's network: a text as a bag of words and word pieces, and the vector it becomes.

Why so simple: on a CPU, elementwise work costs more than matrix products, and a bag of features
times a table is one matrix product. A common word has a row of its own; any other is the sum of the
rows of its pieces (Bojanowski et al. 2017, arXiv:1607.04606, have character n-grams), so that a
name never seen in training has a vector, too. Each row has two gains, one for questions and one for
passages: "who" means much in a question, little in a passage. A small residual layer after pooling
mixes the sum.

The vector of a text: normalise(x + W2 relu(W1 x)), x = normalise(sum of gain * row over features).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from mlx_toy.backend import mx

import numpy as np

from mlx_toy.tokenizer import UNK_ID, Tokenizer
from mlx_toy.words import words

import mlx.nn as nn  # isort: skip  (after the backend, which must load the BLAS first)

MODEL_TYPE = "mlx_toy_bag"
COLUMN_STEP = 512  # columns of a batch are padded to a multiple of it: few distinct shapes
CACHED_WORDS = 200_000
_TINY = 1e-6


@dataclass(frozen=True)
class BagConfig:
    """Sizes of the network.

    Attributes:
        vocab_size: word pieces of the tokenizer, each a row.
        words: that have a row of their own.
        dimensions: of a vector.
        head_size: width of the residual layer after pooling.
    """

    vocab_size: int = 4096
    words: int = 40000
    dimensions: int = 256
    head_size: int = 256

    @property
    def rows(self) -> int:
        """Rows of the table of features."""
        return self.vocab_size + self.words


class Features:
    """Texts to feature ids: the row of each word, or of its pieces; lower case, no accents.

    Args:
        tokenizer: cuts words into pieces.
        known: the words that have a row of their own; these follow the rows of the pieces.
    """

    def __init__(self, tokenizer: Tokenizer, known: Sequence[str]):
        self.tokenizer, self.known = tokenizer, known
        self._own = {word: [tokenizer.vocab_size + place] for place, word in enumerate(known)}
        self._cut: dict[str, list[int]] = {}

    @property
    def rows(self) -> int:
        """Rows that the ids are of."""
        return self.tokenizer.vocab_size + len(self.known)

    def __call__(self, text: str) -> tuple[np.ndarray, np.ndarray]:
        """Distinct feature ids [F] of a text and their weights [F], 1 + ln(count)."""
        ids: list[int] = []
        for word in words(text):
            ids += self.of_word(word)
        distinct, counts = np.unique(np.array(ids or [UNK_ID], np.int32), return_counts=True)
        return distinct, (1 + np.log(counts)).astype(np.float32)

    def of_word(self, word: str) -> list[int]:
        """Feature ids of one word in lower case."""
        found = self._own.get(word) or self._cut.get(word)
        if found is None:
            found = self.tokenizer.encode(" " + word)
            if len(self._cut) >= CACHED_WORDS:
                self._cut.clear()
            self._cut[word] = found
        return found


def to_matrix(bags: Sequence[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """Bags as one matrix over the features that occur.

    Args:
        bags: per text the distinct ids and their weights, as `Features` gives them.

    Returns:
        ids of the columns [U], U a multiple of `COLUMN_STEP`, and the weights [N, U].
    """
    ids = np.concatenate([bag[0] for bag in bags])
    occurs = np.zeros(ids.max() + 1, bool)  # a table of them is far faster than sorting
    occurs[ids] = True
    columns = np.flatnonzero(occurs).astype(ids.dtype)
    place = (np.cumsum(occurs) - 1)[ids]
    width = -(-len(columns) // COLUMN_STEP) * COLUMN_STEP
    matrix = np.zeros((len(bags), width), np.float32)
    row = np.repeat(np.arange(len(bags)), [len(bag[0]) for bag in bags])
    matrix[row, place] = np.concatenate([bag[1] for bag in bags])
    return np.pad(columns, (0, width - len(columns))), matrix


def normalise(vectors: mx.array) -> mx.array:
    """Rows scaled to length 1."""
    return vectors * mx.rsqrt(vectors.square().sum(-1, keepdims=True) + _TINY * _TINY)


class BagModel(nn.Module):
    """The table of features, their gains, and the layer after pooling."""

    def __init__(self, config: BagConfig):
        super().__init__()
        self.config = config
        size = config.dimensions
        self.embedding = mx.random.normal((config.rows, size)) * size**-0.5
        self.query_gain = mx.ones((config.rows,))
        self.passage_gain = mx.ones((config.rows,))
        self.up = mx.random.normal((size, config.head_size)) * (2 / size) ** 0.5
        self.down = mx.zeros((config.head_size, size))  # begins as the identity

    def __call__(self, columns: mx.array, matrix: mx.array, is_query: bool) -> mx.array:
        """Unit vectors [N, D] of N texts.

        Args:
            columns: feature ids [U].
            matrix: weights [N, U] of the features in the texts.
            is_query: whether the texts are questions or passages.
        """
        gain = (self.query_gain if is_query else self.passage_gain)[columns]
        pooled = normalise(matrix @ (self.embedding[columns] * gain[:, None]))
        return normalise(pooled + nn.relu(pooled @ self.up) @ self.down)
