"""What a teacher says of words and short texts, for the retriever to begin with and to keep.

The teacher, a larger embedder, reads each of the commonest words alone. Its vectors, on fewer axes,
are the rows of those words; the rows of the pieces are such that the vectors of words are nearly
the sums of theirs. So two words that mean alike lie near each other before anything is
learned, also where no question of the data has either. Of short texts, queries and glosses, the
teacher's vectors say how the words of a text weigh.
"""

import random
from dataclasses import dataclass

import numpy as np

from mlx_toy.bag import Features
from mlx_toy.tokenizer import Tokenizer
from train.embedder_data import Bag
from train.retrieval_data import Groups
from train.teacher import Teacher, to_dimensions

SHORT = 160  # characters of a short text, at most
OF_SOURCE = 7_000  # short texts, at most
TAUGHT_WORDS = 20_000  # words of the lesson, the commonest; the rest only begin as the teacher's
RIDGE = 5.0  # of the least squares for the pieces


@dataclass
class Lesson:
    """Short texts with the teacher's vectors, and the rows that the table begins with.

    Attributes:
        bags: of N words and texts.
        taught: their vectors [N, D].
        rows: of pieces and of words [rows, D].
    """

    bags: list[Bag]
    taught: np.ndarray
    rows: np.ndarray


def texts_to_read(trained: dict[str, Groups], seed: int) -> list[str]:
    """Short queries and passages, some of every source."""
    draw = random.Random(seed)
    chosen: dict[str, None] = {}
    for groups in trained.values():
        passages = [passage for group in groups.values() for passage in group]
        texts = {text: None for p in passages for text in (*p.queries, p.text) if len(text) < SHORT}
        chosen |= dict.fromkeys(draw.sample(list(texts), min(OF_SOURCE, len(texts))))
    return list(chosen)


def take_lesson(
    words: list[str], texts: list[str], features: Features, teacher: Teacher, dimensions: int
) -> Lesson:
    """Lay out what the teacher said.

    Args:
        words: that it has read, the commonest first; the first are those with rows of their own.
        texts: short ones that it has read.
        features: of the network.
        teacher: knows the vectors of all of them.
        dimensions: of the network.
    """
    read = teacher.vectors(words)
    meant = to_dimensions(read, dimensions, read)
    pieces = piece_rows(features.tokenizer, words, meant)
    rows = np.concatenate([pieces, meant[: len(features.known)]])
    short = to_dimensions(teacher.vectors(texts), dimensions, read)
    common = words[:TAUGHT_WORDS]
    bags = [features(text) for text in (*texts, *common)]
    return Lesson(bags, np.concatenate([short, meant[: len(common)]]), rows.astype(np.float32))


def piece_rows(tokenizer: Tokenizer, words: list[str], vectors: np.ndarray) -> np.ndarray:
    """Rows of the pieces [vocab_size, D] whose sums come nearest to the vectors of the words.

    A piece that is in none of the words gets a direction of its own.
    """
    size = tokenizer.vocab_size
    products, wanted = np.zeros((size, size)), np.zeros((size, vectors.shape[1]))
    for word, vector in zip(words, vectors, strict=True):
        ids, counts = np.unique(tokenizer.encode(" " + word), return_counts=True)
        products[np.ix_(ids, ids)] += np.outer(counts, counts)
        wanted[ids] += counts[:, None] * vector
    rows: np.ndarray = np.linalg.solve(products + RIDGE * np.eye(size), wanted)
    unseen = products.diagonal() == 0
    own = np.random.default_rng(0).normal(size=rows.shape) * rows.shape[1] ** -0.5
    return np.where(unseen[:, None], own, rows)
