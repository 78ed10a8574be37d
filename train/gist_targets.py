"""What a teacher says of questions and sentences, for the reader's gists to imitate.

The reader pools a question and each sentence into a vector (`mlx_toy/gists.py`). From some
hundred thousand questions alone it would learn which sentences of their passages answer them, and
little of what sentences mean in general; a larger embedder knows that, and its vectors on fewer
axes are what the pooled ones are drawn to (Hinton et al. 2015, arXiv:1503.02531; for embeddings
Reimers and Gurevych 2020, arXiv:2004.09813).
"""

from collections.abc import Iterable, Sequence

import numpy as np

from mlx_toy.sentences import split_sentences
from train.teacher import Teacher, along

AXES_FROM = 50_000  # texts whose vectors the axes are taken from, at most


def texts_of(asked: Iterable[tuple[str, Sequence[str]]]) -> list[str]:
    """Questions and the sentences of the passages that each may meet, every text once."""
    texts: dict[str, None] = {}
    passages: dict[str, None] = {}
    for question, met in asked:
        texts[question] = None
        passages |= dict.fromkeys(met)
    for passage in passages:
        texts |= dict.fromkeys(passage[start:end] for start, end in split_sentences(passage))
    return list(texts)


class GistTargets:
    """A teacher's vectors of texts, as unit vectors of the reader's dimensions.

    Args:
        teacher: whose. The axes are kept with its vectors, so that a training that goes on, or
            draws other questions, learns towards the same.
        texts: questions and sentences that it has read, at least one.
        dimensions: of the reader's gists.
    """

    def __init__(self, teacher: Teacher, texts: Sequence[str], dimensions: int) -> None:
        axes = teacher.axes(texts[:: -(-len(texts) // AXES_FROM)], dimensions)
        self._vectors = along(teacher.vectors(texts), *axes).astype(np.float16)
        self._place = {text: number for number, text in enumerate(texts)}

    def of(self, question: str, sentences: Sequence[str]) -> np.ndarray | None:
        """Of a question and of each sentence [1 + S, G]; none if one is not known."""
        places = [self._place.get(text, -1) for text in (question, *sentences)]
        return None if -1 in places else self._vectors[places].astype(np.float32)
