"""Texts to unit vectors: our own bundled retriever, or a sentence-transformers BERT.

The cosine of a question's vector and a passage's says how near they are. Both kinds may be called
from any thread: one lock, weights evaluated once, results handed out as NumPy arrays, so that no
lazy array crosses a thread.
"""

import hashlib
import json
import re
import sys
import threading
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any, Protocol

from mlx_toy.backend import mx

import numpy as np

from mlx_toy.bag import MODEL_TYPE, BagConfig, BagModel, Features, to_matrix
from mlx_toy.bert import FILES, BertEmbedder, prompts_of
from mlx_toy.errors import UserError
from mlx_toy.int8_rows import from_int8, to_int8
from mlx_toy.known_words import NAME as WORDS
from mlx_toy.known_words import from_bytes, to_bytes
from mlx_toy.tokenizer import FILE_NAME, Tokenizer

BUNDLED = Path(__file__).parent / "weights" / "embedder"
CONFIG, WEIGHTS = "config.json", "model.safetensors"
BATCH = 128  # texts a matrix
_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


class Embedder(Protocol):
    """What turns texts into unit vectors.

    Attributes:
        dimensions: length D of a vector.
        fingerprint: short hex digest of everything that decides the vectors; a store carries it.
        default_threshold: cosine of a question's best passage under which nothing is near.
    """

    dimensions: int
    fingerprint: str
    default_threshold: float

    def embed_passages(self, texts: list[str]) -> np.ndarray:
        """Unit vectors [N, D] of passages, float32."""

    def embed_queries(self, texts: list[str]) -> np.ndarray:
        """Unit vectors [N, D] of questions, float32."""


class BagEmbedder:
    """Our retriever: the network of `bag.py` with its tokenizer.

    Args:
        model: evaluated; it is not changed.
        features: of texts.
        fingerprint: of the files it came from.
        default_threshold: cosine under which nothing is near.
    """

    def __init__(
        self, model: BagModel, features: Features, fingerprint: str, default_threshold: float
    ):
        self.dimensions = model.config.dimensions
        self.fingerprint = fingerprint
        self.default_threshold = default_threshold
        self.model, self.features = model, features
        self._lock = threading.Lock()

    def embed_queries(self, texts: list[str]) -> np.ndarray:
        """Unit vectors [N, D] of questions, float32."""
        return self._embed(texts, is_query=True)

    def embed_passages(self, texts: list[str]) -> np.ndarray:
        """Unit vectors [N, D] of passages, float32."""
        return self._embed(texts, is_query=False)

    def _embed(self, texts: list[str], is_query: bool) -> np.ndarray:
        vectors = np.zeros((len(texts), self.dimensions), np.float32)
        for start in range(0, len(texts), BATCH):
            with self._lock:
                columns, matrix = to_matrix(
                    [self.features(t) for t in texts[start : start + BATCH]]
                )
                batch = self.model(mx.array(columns), mx.array(matrix), is_query)
                vectors[start : start + BATCH] = np.array(batch)
        return vectors


def load_embedder(path_or_name: str | Path | None = None) -> Embedder:
    """Load an embedder.

    Args:
        path_or_name: nothing for the bundled one; a directory with ours or with a
            sentence-transformers BERT; or the name of such a BERT on the Hugging Face hub.

    Raises:
        UserError: there is none, or it is broken or of an unknown kind.
    """
    path = Path(path_or_name).expanduser() if path_or_name else BUNDLED
    if not path.is_dir():
        if not _HUB_NAME.fullmatch(str(path_or_name or "")):
            raise UserError(f"no embedder at {path}: give a directory or a hub name owner/name")
        path = _download(str(path_or_name))
    config = _read_config(path)
    if config.get("model_type") == "bert":
        files = [path / name for name in FILES]
        return BertEmbedder(path, _fingerprint(files, "".join(prompts_of(path))))
    if config.get("model_type") == MODEL_TYPE:
        return _load_bag(path, config)
    raise UserError(
        f"the embedder at {path} is of type {config.get('model_type')!r}: "
        "give one made by `python -m train embedder` or a sentence-transformers BERT"
    )


def save_embedder(model: BagModel, features: Features, threshold: float, path: Path) -> None:
    """Write our retriever: rows of the table as int8 with a scale each, the rest as float16.

    Args:
        model: trained.
        features: that it was trained with.
        threshold: cosine under which nothing is near.
        path: an existing directory.
    """
    rows, scale = to_int8(np.array(model.embedding))
    arrays = {
        "embedding": rows,
        "embedding_scale": scale,
        "query_gain": model.query_gain,
        "passage_gain": model.passage_gain,
        "up": model.up.astype(mx.float16),
        "down": model.down.astype(mx.float16),
        WORDS: to_bytes(features.known),
    }
    mx.save_safetensors(str(path / WEIGHTS), arrays)
    (path / FILE_NAME).write_bytes(features.tokenizer.model_proto)
    config = {"model_type": MODEL_TYPE, **asdict(model.config), "default_threshold": threshold}
    (path / CONFIG).write_text(json.dumps(config, indent=2) + "\n")


def _load_bag(path: Path, config: dict[str, Any]) -> BagEmbedder:
    try:
        threshold = float(config.pop("default_threshold"))
        config.pop("model_type")
        model = BagModel(BagConfig(**config))
        loaded = mx.load(str(path / WEIGHTS))
        assert isinstance(loaded, dict)
        features = Features(Tokenizer.load(path), from_bytes(loaded.pop(WORDS)))
        loaded["embedding"] = from_int8(loaded["embedding"], loaded.pop("embedding_scale"))
        weights = [(name, value.astype(mx.float32)) for name, value in loaded.items()]
        model.load_weights(weights)
        sizes = features.tokenizer.vocab_size, len(features.known)
        if sizes != (model.config.vocab_size, model.config.words):
            raise ValueError("it has {} pieces and {} words".format(*sizes))
    except (LookupError, TypeError, ValueError, RuntimeError) as error:
        raise UserError(
            f"the embedder at {path} cannot be read ({error}): copy or train it again"
        ) from error
    mx.eval(model.parameters())  # so that any thread may use them
    files = [path / WEIGHTS, path / FILE_NAME]
    return BagEmbedder(model, features, _fingerprint(files, repr(model.config)), threshold)


@cache
def bundled_embedder() -> Embedder:
    """The embedder that comes with the project, loaded once."""
    return load_embedder("")


def _read_config(path: Path) -> dict[str, Any]:
    try:
        config = json.loads((path / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(
            f"no embedder at {path} (its {CONFIG} is missing or broken): give a directory with one"
        ) from error
    if not isinstance(config, dict):
        raise UserError(f"{path / CONFIG} is no JSON object: copy the embedder again")
    return config


def _fingerprint(files: list[Path], settings: str = "") -> str:
    """Digest of the files that exist and of the settings, 16 hex digits."""
    digest = hashlib.sha256(settings.encode())
    for file in files:
        if file.exists():
            content = hashlib.sha256(file.read_bytes()).hexdigest()
            digest.update(f"{file.name}:{content}\n".encode())
    return digest.hexdigest()[:16]


def _download(name: str) -> Path:
    """The hub's copy of an embedder: the one on this machine, else downloaded, which it says."""
    from huggingface_hub import constants, snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        path = Path(snapshot_download(name, allow_patterns=list(FILES), local_files_only=True))
        if (path / WEIGHTS).exists():
            return path
    except LocalEntryNotFoundError:
        pass
    print(f"downloading the embedder {name} from {constants.ENDPOINT}/{name}", file=sys.stderr)
    try:
        return Path(snapshot_download(name, allow_patterns=list(FILES)))
    except Exception as error:  # network, name, access: the hub's client raises many kinds
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UserError(
            f"the embedder {name} is no directory here and cannot be downloaded ({reason}): "
            "check the name and the network"
        ) from error
