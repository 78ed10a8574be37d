"""The teacher's vectors are computed once, survive an interruption, and are what they were."""

from pathlib import Path

import numpy as np
import pytest

from mlx_toy.embedder import BUNDLED, load_embedder
from mlx_toy.tokenizer import Tokenizer
from train import teacher as teacher_module
from train.lesson import piece_rows
from train.teacher import Teacher, to_dimensions


class Counting:
    """The bundled embedder, which counts what it is asked and may fail after some calls."""

    def __init__(self, fail_after: int = 1_000) -> None:
        self._embedder = load_embedder(None)
        self.dimensions, self.fingerprint = self._embedder.dimensions, self._embedder.fingerprint
        self.default_threshold = 0.0
        self.asked: list[str] = []
        self._calls_left = fail_after

    def embed_passages(self, texts: list[str]) -> np.ndarray:
        """As the embedder's."""
        self._calls_left -= 1
        if self._calls_left < 0:
            raise KeyboardInterrupt
        self.asked += texts
        return self._embedder.embed_passages(texts)

    embed_queries = embed_passages


TEXTS = [f"a text about the number {number}" for number in range(10)]


def test_interrupted_teaching_goes_on_where_it_was(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(teacher_module, "PART", 4)
    with pytest.raises(KeyboardInterrupt):
        list(Teacher(Counting(fail_after=2), tmp_path).learn(TEXTS))
    again = Counting()
    teacher = Teacher(again, tmp_path)
    assert list(teacher.learn(TEXTS + TEXTS)) == [2]  # 8 of 10 were kept
    assert len(again.asked) == 2
    assert not list(tmp_path.glob("*.partial"))


def test_kept_vectors_are_those_of_their_texts(tmp_path: Path):
    embedder = Counting()
    list(Teacher(embedder, tmp_path).learn(TEXTS))
    kept = Teacher(Counting(fail_after=0), tmp_path).vectors(TEXTS[::-1])
    assert np.abs(kept - embedder.embed_passages(TEXTS[::-1])).max() < 1e-3
    with pytest.raises(KeyError):
        Teacher(embedder, tmp_path).vectors(["never seen"])


def test_vectors_of_another_teacher_are_not_taken(tmp_path: Path):
    list(Teacher(Counting(), tmp_path).learn(TEXTS))
    other = Counting()
    other.fingerprint = "another"
    assert len(Teacher(other, tmp_path).missing(TEXTS)) == len(TEXTS)


def test_fewer_dimensions_keep_what_differs():
    vectors = np.random.default_rng(0).normal(size=(50, 3)) @ np.eye(3, 8) + 5.0
    short = to_dimensions(vectors, 3, vectors)
    centred = vectors - vectors.mean(0)
    centred /= np.linalg.norm(centred, axis=1, keepdims=True)
    assert np.abs(short @ short.T - centred @ centred.T).max() < 1e-4
    assert to_dimensions(vectors, 12, vectors).shape == (50, 12)


def test_rows_of_pieces_add_up_to_the_words_that_they_were_made_of():
    tokenizer = Tokenizer.load(BUNDLED)
    words = [f"{a}{b}" for a in ("sun", "moon", "rain", "snow") for b in ("light", "fall", "day")]
    random = np.random.default_rng(0)
    made_of = random.normal(size=(tokenizer.vocab_size, 8))
    vectors = np.stack([made_of[tokenizer.encode(" " + word)].sum(0) for word in words])
    rows = piece_rows(tokenizer, words * 50, np.concatenate([vectors] * 50))
    sums = np.stack([rows[tokenizer.encode(" " + word)].sum(0) for word in words])
    assert np.allclose(sums, vectors, atol=0.3)
