"""What a teacher says of texts: its vectors, computed once and kept between runs.

A large embedder is slow, and the same texts are asked for in every run, so each new vector is
written to disk as soon as its part is done: an interrupted run goes on where it was, a second one
reads. Vectors are kept as float16, a thousandth of what they say, under the hash of their text; a
directory may hold those of several teachers.
"""

import argparse
import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from mlx_toy.embedder import Embedder, load_embedder
from mlx_toy.errors import UserError
from mlx_toy.whole_files import written_at_once
from train.progress import say

PART = 4096  # texts a file
_HASH = 12  # bytes of a text's hash


def add_teacher(parser: argparse.ArgumentParser) -> None:
    """Declare `--teacher` and where its vectors are kept, for a command that has `--out`."""
    parser.add_argument(
        "--teacher", metavar="DIR", help="a sentence-transformers BERT to learn from"
    )
    parser.add_argument(
        "--teacher-vectors",
        type=Path,
        metavar="DIR",
        help="directory that keeps the teacher's vectors between runs (default: OUT.teacher)",
    )


def open_teacher(options: argparse.Namespace) -> "Teacher | None":
    """The teacher that the flags of `add_teacher` name; none without.

    Raises:
        UserError: there is no such embedder, or vectors of none are to be kept.
    """
    if not options.teacher:
        if options.teacher_vectors:
            raise UserError("--teacher-vectors are of a teacher: pass --teacher DIR, too")
        return None
    out = Path(options.out).resolve()
    kept = options.teacher_vectors or out.with_name(out.name + ".teacher")
    return Teacher(load_embedder(options.teacher), kept, Path(options.teacher).resolve().name)


class Teacher:
    """An embedder whose vectors are kept.

    Args:
        embedder: what is asked for vectors that are not known.
        directory: of the files; made if it is not there.
        name: for cards.
    """

    def __init__(self, embedder: Embedder, directory: Path, name: str = "") -> None:
        self.name = name
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

    def read(self, texts: Sequence[str]) -> None:
        """Learn what is missing, and say how far it is."""
        wanted = len(self.missing(texts))
        for done in self.learn(texts):
            say(f"the teacher has read {done:,} of {wanted:,} texts")

    def vectors(self, texts: Sequence[str]) -> np.ndarray:
        """Unit vectors [N, D] of texts that are known, float16.

        Raises:
            KeyError: one is not known.
        """
        found = [self._known[_key(text)] for text in texts]
        return np.stack(found) if found else np.zeros((0, self.dimensions), np.float16)

    def axes(self, texts: Sequence[str], dimensions: int) -> tuple[np.ndarray, np.ndarray]:
        """Mean and axes for `along`, of the first texts that this was ever asked with.

        They are kept with the vectors: of other texts, the same vector would have other numbers.
        """
        file = self._directory / f"axes-{self.fingerprint}-{dimensions}.npz"
        if not file.exists():
            mean, axes = principal_axes(self.vectors(texts), dimensions)
            self._directory.mkdir(parents=True, exist_ok=True)
            with written_at_once(file) as partial, open(partial, "wb") as out:
                np.savez(out, mean=mean, axes=axes)
        with np.load(file) as stored:
            return stored["mean"], stored["axes"]

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


def principal_axes(like: np.ndarray, dimensions: int) -> tuple[np.ndarray, np.ndarray]:
    """The mean of vectors [N, D], and the axes along which they differ most [D, dimensions].

    More dimensions than D are filled up with zeros.
    """
    mean = like.astype(np.float32).mean(0)
    centred = like.astype(np.float32) - mean
    axes = np.eye(len(mean), max(dimensions, len(mean)), dtype=np.float32)
    if dimensions < len(mean):
        axes = np.linalg.eigh(centred.T @ centred)[1][:, ::-1]  # most variance first
    return mean, axes[:, :dimensions]


def along(vectors: np.ndarray, mean: np.ndarray, axes: np.ndarray) -> np.ndarray:
    """Unit vectors [N, dimensions] of vectors [N, D], on these axes from this mean."""
    short = (vectors.astype(np.float32) - mean) @ axes
    unit: np.ndarray = short / np.maximum(np.linalg.norm(short, axis=1, keepdims=True), 1e-9)
    return unit


def to_dimensions(vectors: np.ndarray, dimensions: int, like: np.ndarray) -> np.ndarray:
    """Unit vectors [N, D] of so many dimensions, on the principal axes of others.

    Args:
        vectors: to be brought down.
        dimensions: fewer than theirs leave out the axes of least variance, more are filled up with
            zeros: cosines stay what they were, as nearly as they can.
        like: vectors whose mean is taken off and whose axes count.
    """
    return along(vectors, *principal_axes(like, dimensions))
