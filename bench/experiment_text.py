"""The text of experiments: one file as tokens of several vocabularies, and the same held-out part.

Everything is made once from a JSON-lines file of `{"text"}` (`python -m corpus build` writes one)
and kept in a work directory under the file's checksum: a tokenizer for each size of vocabulary, the
token stream of the shuffled documents, and the held-out documents, whose characters are the same
for every tokenizer, so that bits per byte compare.

How hard a document is, for a curriculum: the rarity of its words plus the length of its sentences,
each in standard deviations from the mean of all documents.
"""

import hashlib
import json
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mlx_toy.tokenizer import BOS_ID, EOS_ID, Tokenizer
from train.train_tokenizer import train_tokenizer

VALIDATION_BYTES = 100_000  # of held-out text, about; a tenth of a file that is smaller
LONGEST_HELD_OUT = 4_000  # characters; or one book would be most of the held-out text
TOKENIZER_BYTES = 6_000_000  # of text that a tokenizer is trained on; more changes little
SHUFFLE_SEED = 0  # the kinds of documents stand in order in the file


@dataclass(frozen=True)
class ExperimentText:
    """One text through one tokenizer.

    Attributes:
        sha256: of the file.
        tokens: ids of the training documents in shuffled order, uint16 [N].
        lengths: tokens of each document.
        difficulty: of each document.
        held_out: ids of the held-out documents, uint16 [M].
        held_out_bytes: UTF-8 bytes that these stand for.
        bytes_of_id: UTF-8 bytes that an id stands for [V].
    """

    sha256: str
    tokens: np.ndarray
    lengths: np.ndarray
    difficulty: np.ndarray
    held_out: np.ndarray
    held_out_bytes: int
    bytes_of_id: np.ndarray

    def easiest(self, share: float) -> np.ndarray:
        """The tokens of the easiest documents that hold this share of all, order unchanged."""
        order = np.argsort(self.difficulty, kind="stable")
        taken = np.zeros(len(order), dtype=bool)
        taken[order] = np.cumsum(self.lengths[order]) <= share * len(self.tokens)
        return self.tokens[np.repeat(taken, self.lengths)]


def prepare(text: Path, work: Path, vocab_sizes: Iterable[int]) -> str:
    """Make what is not in `work` yet: tokenizers, token streams, difficulties.

    Returns:
        The checksum of the text.
    """
    sha256 = hashlib.sha256(text.read_bytes()).hexdigest()
    folder = work / sha256[:12]
    missing = [size for size in vocab_sizes if not (folder / str(size)).is_dir()]
    if not missing:
        return sha256
    documents = _shuffled(text)
    held_out, first = _held_out(documents)
    documents = documents[first:]
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "difficulty.npy").is_file():
        np.save(folder / "difficulty.npy", difficulties(documents))
    for size in missing:
        partial = Path(tempfile.mkdtemp(prefix=f".{size}.partial-", dir=folder))
        try:
            tokenizer = train_tokenizer(_sample(documents, partial), partial, size)
            tokens, lengths = _encode(documents, tokenizer)
            np.save(partial / "tokens.npy", tokens)
            np.save(partial / "lengths.npy", lengths)
            np.save(partial / "held_out.npy", _encode(held_out, tokenizer)[0])
            held_out_bytes = sum(len(document.encode()) for document in held_out)
            (partial / "facts.json").write_text(json.dumps({"held_out_bytes": held_out_bytes}))
            partial.rename(folder / str(size))
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return sha256


def load(text: Path, work: Path, vocab_size: int) -> ExperimentText:
    """The text through the tokenizer of a size, made first if need be."""
    sha256 = prepare(text, work, [vocab_size])
    folder = work / sha256[:12] / str(vocab_size)
    tokenizer = Tokenizer.load(folder)
    return ExperimentText(
        sha256=sha256,
        tokens=np.load(folder / "tokens.npy", mmap_mode="r"),
        lengths=np.load(folder / "lengths.npy"),
        difficulty=np.load(folder.parent / "difficulty.npy"),
        held_out=np.load(folder / "held_out.npy"),
        held_out_bytes=json.loads((folder / "facts.json").read_text())["held_out_bytes"],
        bytes_of_id=np.array([len(tokenizer.token_bytes(i)) for i in range(vocab_size)]),
    )


def difficulties(documents: list[str]) -> np.ndarray:
    """How hard each document is: rarity of its words plus length of its sentences, standardised."""
    words = [re.findall(r"\w+", document.lower()) for document in documents]
    counts = Counter(word for some in words for word in some)
    rarity_of = {word: -np.log2(count / counts.total()) for word, count in counts.items()}
    rarity = [sum(rarity_of[word] for word in some) / max(1, len(some)) for some in words]
    sentences = [max(1, len(re.findall(r"[.!?\n]+", document))) for document in documents]
    length = [np.log2(1 + len(some) / n) for some, n in zip(words, sentences, strict=True)]
    return _standardised(rarity) + _standardised(length)


def _standardised(values: list[float]) -> np.ndarray:
    array = np.asarray(values)
    return (array - array.mean()) / (array.std() + 1e-9)


def _shuffled(text: Path) -> list[str]:
    with open(text, encoding="utf-8") as lines:
        documents = [json.loads(line)["text"] for line in lines]
    order = np.random.default_rng(SHUFFLE_SEED).permutation(len(documents))
    return [documents[i] for i in order]


def _held_out(documents: list[str]) -> tuple[list[str], int]:
    """(held-out documents, each cut to a few pages; index of the first training document)."""
    wanted = min(VALIDATION_BYTES, sum(len(d.encode()) for d in documents) // 10)
    taken: list[str] = []
    size = 0
    while size < wanted:
        taken.append(documents[len(taken)][:LONGEST_HELD_OUT])
        size += len(taken[-1].encode())
    return taken, len(taken)


def _sample(documents: list[str], folder: Path) -> Path:
    """The first documents as a file to train a tokenizer on."""
    file, size = folder / "sample.jsonl", 0
    with open(file, "w", encoding="utf-8") as out:
        for document in documents:
            size += out.write(json.dumps({"text": document}) + "\n")
            if size > TOKENIZER_BYTES:
                break
    return file


def _encode(documents: list[str], tokenizer: Tokenizer) -> tuple[np.ndarray, np.ndarray]:
    """(ids of all documents, each between its marks; tokens of each document)."""
    encoded = [
        np.array([BOS_ID, *tokenizer.encode(text), EOS_ID], dtype=np.uint16) for text in documents
    ]
    return np.concatenate(encoded), np.array([len(ids) for ids in encoded])
