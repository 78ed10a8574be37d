"""Sentence-transformers BERT in MLX: all-MiniLM-L6-v2, bge-small, e5-small and their kin.

Why: our own retriever is small and bundled; a larger one is one flag away. The encoder is BERT
(Devlin et al. 2019, arXiv:1810.04805), the vector the mean of the token states or the state of the
first token, as the directory says, scaled to length 1. Computed in float32 on every device, so that
a stored vector does not depend on where it was made.
"""

import json
import re
import threading
from pathlib import Path
from typing import Any

from mlx_toy.backend import mx

import numpy as np

from mlx_toy.errors import UserError

import mlx.nn as nn  # isort: skip  (after the backend, which must load the BLAS first)

# Cosine; measured for all-MiniLM-L6-v2: keeps 97% of real questions, lets 5% of foreign ones in.
DEFAULT_THRESHOLD = 0.30
BATCH = 32  # texts a forward pass
LENGTH_STEP = 8  # tokens a batch is padded to a multiple of: few distinct shapes
MASKED = -1e9
FILES = (  # that make an embedder's directory
    "config.json",
    "model.safetensors",
    "modules.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.txt",
    "sentence_bert_config.json",
    "config_sentence_transformers.json",
    "1_Pooling/config.json",
)
_ACTIVATIONS = {
    "gelu": nn.gelu,
    "gelu_new": nn.gelu_approx,
    "gelu_pytorch_tanh": nn.gelu_approx,
    "relu": nn.relu,
}
# What goes before a query and a passage for models whose directories do not say it, by their names.
# Sources: the model cards of intfloat/e5-small-v2 and BAAI/bge-small-en-v1.5.
_PROMPTS = (
    (re.compile(r"\be5-(?:small|base|large)(?:-v2)?$"), "query: ", "passage: "),
    (
        re.compile(r"\bbge-(?:small|base|large)-en(?:-v1\.5)?$"),
        "Represent this sentence for searching relevant passages: ",
        "",
    ),
)
_POOLINGS = {"pooling_mode_mean_tokens": "mean", "pooling_mode_cls_token": "cls"}


def encode(
    weights: dict[str, mx.array], config: dict[str, Any], ids: mx.array, mask: mx.array
) -> mx.array:
    """States of the last layer.

    Args:
        weights: by their names in BertModel.
        config: of the model: heads, layers, activation, epsilon.
        ids: token ids [B, T].
        mask: 1 for a token, 0 for padding [B, T].

    Returns:
        [B, T, D].
    """
    epsilon = config.get("layer_norm_eps", 1e-12)
    heads = config["num_attention_heads"]
    activation = _ACTIVATIONS[config.get("hidden_act", "gelu")]

    def linear(x: mx.array, name: str) -> mx.array:
        return mx.addmm(weights[name + ".bias"], x, weights[name + ".weight"].T)

    def norm(x: mx.array, name: str) -> mx.array:
        return mx.fast.layer_norm(x, weights[name + ".weight"], weights[name + ".bias"], epsilon)

    batch, length = ids.shape
    x = weights["embeddings.word_embeddings.weight"][ids]
    x = x + weights["embeddings.position_embeddings.weight"][:length]
    x = norm(x + weights["embeddings.token_type_embeddings.weight"][0], "embeddings.LayerNorm")
    bias = ((1 - mask) * MASKED)[:, None, None, :]  # [B, 1, 1, T]
    for index in range(config["num_hidden_layers"]):
        layer = f"encoder.layer.{index}."
        queries, keys, values = (
            linear(x, f"{layer}attention.self.{part}")
            .reshape(batch, length, heads, -1)
            .swapaxes(1, 2)  # [B, H, T, Dh]
            for part in ("query", "key", "value")
        )
        scale = queries.shape[-1] ** -0.5
        mixed = mx.fast.scaled_dot_product_attention(queries, keys, values, scale=scale, mask=bias)
        mixed = mixed.swapaxes(1, 2).reshape(batch, length, -1)
        x = x + linear(mixed, f"{layer}attention.output.dense")
        x = norm(x, f"{layer}attention.output.LayerNorm")
        inner = activation(linear(x, f"{layer}intermediate.dense"))
        x = norm(x + linear(inner, f"{layer}output.dense"), f"{layer}output.LayerNorm")
    return x


class BertEmbedder:
    """Texts to unit vectors with a sentence-transformers BERT; callable from any thread.

    Args:
        path: a directory with config.json, model.safetensors and tokenizer.json or vocab.txt.
        fingerprint: of the files, for the store.

    Raises:
        UserError: a file is missing or broken, or the model is of another kind.
    """

    default_threshold = DEFAULT_THRESHOLD

    def __init__(self, path: Path, fingerprint: str):
        self.fingerprint = fingerprint
        self._config = _read_json(path / "config.json")
        self._pooling = _pooling(path)
        settings = _read_json(path / "sentence_bert_config.json", missing={})
        self._query_prompt, self._passage_prompt = prompts_of(path)
        try:
            self.dimensions = int(self._config["hidden_size"])
            longest = int(self._config["max_position_embeddings"])
            self._tokenizer = _load_tokenizer(path, settings)
            self._tokenizer.enable_truncation(min(settings.get("max_seq_length") or 512, longest))
            self._weights = _load_weights(path / "model.safetensors")
            self._embed(["check"])
        except KeyError as error:
            raise UserError(
                f"the embedder at {path} is no whole BERT ({error} is missing): download it again"
            ) from error
        except (RuntimeError, ValueError, TypeError) as error:
            raise UserError(
                f"the embedder at {path} cannot be read ({error}): download it again"
            ) from error
        self._lock = threading.Lock()

    def embed_queries(self, texts: list[str]) -> np.ndarray:
        """Unit vectors [N, D] of questions, float32."""
        return self._sorted([self._query_prompt + text for text in texts])

    def embed_passages(self, texts: list[str]) -> np.ndarray:
        """Unit vectors [N, D] of passages, float32."""
        return self._sorted([self._passage_prompt + text for text in texts])

    def _sorted(self, texts: list[str]) -> np.ndarray:
        """Embed in batches of like length; the rows come back in the order of the texts."""
        vectors = np.zeros((len(texts), self.dimensions), np.float32)
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        for start in range(0, len(order), BATCH):
            chosen = order[start : start + BATCH]
            with self._lock:
                vectors[chosen] = self._embed([texts[i] for i in chosen])
        return vectors

    def _embed(self, texts: list[str]) -> np.ndarray:
        plain = [text.encode("utf-8", "replace").decode() for text in texts]  # no lone surrogates
        ids = [encoding.ids for encoding in self._tokenizer.encode_batch(plain)]
        longest = self._config["max_position_embeddings"]
        length = min(longest, -(-max(map(len, ids)) // LENGTH_STEP) * LENGTH_STEP)
        padded = np.full((len(ids), length), self._config.get("pad_token_id") or 0, np.int32)
        mask = np.zeros((len(ids), length), np.float32)
        for row, line in enumerate(ids):
            padded[row, : len(line)] = line
            mask[row, : len(line)] = 1
        states = encode(self._weights, self._config, mx.array(padded), mx.array(mask))
        if self._pooling == "cls":
            pooled = states[:, 0]
        else:
            pooled = (states * mx.array(mask)[..., None]).sum(1) / mask.sum(1, keepdims=True)
        return np.array(pooled / mx.linalg.norm(pooled, axis=-1, keepdims=True))


def prompts_of(path: Path) -> tuple[str, str]:
    """What goes before a query and before a passage: as the directory says, else by its name."""
    settings = _read_json(path / "config_sentence_transformers.json", missing={})
    told = settings.get("prompts") or {}
    query, passage = told.get("query", ""), told.get("passage") or told.get("document", "")
    if query or passage:
        return query, passage
    in_cache = path.parent.name == "snapshots"  # the hub's: models--owner--name/snapshots/commit
    name = (path.parent.parent if in_cache else path).name.rpartition("--")[2]
    known = (prompts for pattern, *prompts in _PROMPTS if pattern.search(name))
    query, passage = next(known, ("", ""))
    return query, passage


def _read_json(file: Path, missing: dict[str, Any] | None = None) -> dict[str, Any]:
    """The object in a file; `missing` if there is no such file and it may be absent."""
    if missing is not None and not file.exists():
        return missing
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"the embedder's {file} cannot be read: download it again") from error
    if not isinstance(value, dict):
        raise UserError(f"the embedder's {file} is no JSON object: download it again")
    return value


def _pooling(path: Path) -> str:
    """How the states become one vector: "mean" or "cls"."""
    settings = _read_json(path / "1_Pooling" / "config.json", missing={"pooling_mode": "mean"})
    chosen = [
        name for name in settings if name.startswith("pooling_mode_") and settings[name] is True
    ]
    modes = [_POOLINGS.get(name, name) for name in chosen] or [settings.get("pooling_mode", "mean")]
    if len(modes) != 1 or modes[0] not in _POOLINGS.values():
        raise UserError(
            f"the embedder at {path} pools by {' and '.join(map(str, modes))}: "
            "choose one that pools by mean or cls"
        )
    return modes[0]


def _load_tokenizer(path: Path, settings: dict[str, Any]) -> Any:
    """WordPiece from tokenizer.json, else from vocab.txt."""
    from tokenizers import Tokenizer
    from tokenizers.implementations import BertWordPieceTokenizer

    if (path / "tokenizer.json").exists():
        try:
            tokenizer = Tokenizer.from_file(str(path / "tokenizer.json"))
        except Exception as error:  # the package raises bare Exception
            raise ValueError("tokenizer.json is broken") from error
        tokenizer.no_padding()
        return tokenizer
    if not (path / "vocab.txt").exists():
        raise UserError(
            f"the embedder at {path} has no tokenizer.json or vocab.txt: download it again"
        )
    other = _read_json(path / "tokenizer_config.json", missing={})
    lower = bool(other.get("do_lower_case", settings.get("do_lower_case", True)))
    return BertWordPieceTokenizer(str(path / "vocab.txt"), lowercase=lower)


def _load_weights(file: Path) -> dict[str, mx.array]:
    """Weights in float32 by their names in BertModel, evaluated so that any thread may use them."""
    if not file.exists():
        raise UserError(f"the embedder has no {file}: give a directory with a BERT in safetensors")
    loaded = mx.load(str(file))
    assert isinstance(loaded, dict)
    weights = {
        name.removeprefix("bert.").replace(".gamma", ".weight").replace(".beta", ".bias"): value
        for name, value in loaded.items()
        if value.dtype in (mx.float32, mx.float16, mx.bfloat16)
    }
    weights = {name: value.astype(mx.float32) for name, value in weights.items()}
    mx.eval(weights)
    return weights
