"""What a teacher says of texts: its vectors, computed once and kept between runs.

A large embedder is slow, and the same texts are asked for in every run, so each new vector is
written to disk as soon as its part is done: an interrupted run goes on where it was, a second one
reads. Vectors are kept as float16, a thousandth of what they say, under the hash of their text; a
directory may hold those of several teachers.
"""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from mlx_toy.embedder import Embedder
from mlx_toy.whole_files import written_at_once

PART = 4096  # texts a file
_HASH = 12  # bytes of a text's hash


class Teacher:
    """An embedder whose vectors are kept.

    Args:
        embedder: what is asked for vectors that are not known.
        directory: of the files; made if it is not there.
    """

    def __init__(self, embedder: Embedder, directory: Path) -> None:
        self.dimensions, self.fingerprint = embedder.dimensions, embedder.fingerprint
        self._embedder, self._directory = embedder, directory
        self._known: dict[bytes, np.ndarray] = {}
        for file in sorted(directory.glob(f"{self.fingerprint}-*.npz")):
            with np.load(file) as stored:
                keys = stored["keys"].tobytes()
                rows = stored["vectors"]
            self._known.update(
                (keys[at * _HASH : (at + 1) * _HASH], row) for at, row in enumerate(rows)
            )

    def missing(self, texts: Sequence[str]) -> list[str]:
        """Those whose vectors are not known, each once, the shortest first."""
        new = {_key(text): text for text in texts}
        return sorted((t for key, t in new.items() if key not in self._known), key=len)

    def learn(self, texts: Sequence[str]) -> Iterator[int]:
        """Embed what is missing, a part at a time; yields how many texts of it are done."""
        new = self.missing(texts)
        for start in range(0, len(new), PART):
            part = new[start : start + PART]
            vectors = self._embedder.embed_passages(part).astype(np.float16)
            self._keep(part, vectors)
            yield min(start + PART, len(new))

    def vectors(self, texts: Sequence[str]) -> np.ndarray:
        """Unit vectors [N, D] of texts that are known, float16.

        Raises:
            KeyError: one is not known.
        """
        found = [self._known[_key(text)] for text in texts]
        return np.stack(found) if found else np.zeros((0, self.dimensions), np.float16)

    def _keep(self, texts: list[str], vectors: np.ndarray) -> None:
        keys = [_key(text) for text in texts]
        self._directory.mkdir(parents=True, exist_ok=True)
        name = hashlib.sha256(b"".join(keys)).hexdigest()[:12]
        file = self._directory / f"{self.fingerprint}-{name}.npz"
        with written_at_once(file) as partial, open(partial, "wb") as out:
            np.savez(out, keys=np.frombuffer(b"".join(keys), np.uint8), vectors=vectors)
        self._known.update(zip(keys, vectors, strict=True))


def _key(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "replace")).digest()[:_HASH]


def to_dimensions(vectors: np.ndarray, dimensions: int, like: np.ndarray) -> np.ndarray:
    """Unit vectors [N, D] of so many dimensions, on the principal axes of others.

    Args:
        vectors: to be brought down.
        dimensions: fewer than theirs leave out the axes of least variance, more are filled up with
            zeros: cosines stay what they were, as nearly as they can.
        like: vectors whose mean is taken off and whose axes count.
    """
    mean = like.astype(np.float32).mean(0)
    others, centred = like.astype(np.float32) - mean, vectors.astype(np.float32) - mean
    if dimensions < centred.shape[1]:
        axes = np.linalg.eigh(others.T @ others)[1][:, ::-1]  # most variance first
        centred = centred @ axes[:, :dimensions]
    centred = np.pad(centred, ((0, 0), (0, dimensions - centred.shape[1])))
    short: np.ndarray = centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-9)
    return short
