"""Sentence-transformers BERT in MLX: equal to a reference in NumPy, clear about what it refuses."""

import json
import math
import re
from pathlib import Path

from mlx_toy.backend import mx

import numpy as np
import pytest

from mlx_toy.bert import prompts_of
from mlx_toy.embedder import load_embedder
from mlx_toy.errors import UserError

WORDS = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    "the",
    "heart",
    "##s",
    "river",
    "fox",
    "a",
    ".",
]
BERT = {
    "model_type": "bert",
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 32,
    "max_position_embeddings": 48,
    "vocab_size": len(WORDS),
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-12,
    "pad_token_id": 0,
}


def write_bert(path: Path, pooling: str) -> dict[str, np.ndarray]:
    """A random BERT in the layout of sentence-transformers; returns its weights."""
    random = np.random.default_rng(0)
    shapes = {f"embeddings.{n}_embeddings.weight": (size, 16) for n, size in [
        ("word", len(WORDS)), ("position", 48), ("token_type", 2)]}  # fmt: skip
    norms = ["embeddings.LayerNorm"]
    for layer in ("encoder.layer.0.", "encoder.layer.1."):
        sizes = {f"attention.self.{part}": (16, 16) for part in ("query", "key", "value")}
        sizes |= {"attention.output.dense": (16, 16), "intermediate.dense": (32, 16)}
        sizes |= {"output.dense": (16, 32)}
        for name, size in sizes.items():
            shapes |= {f"{layer}{name}.weight": size, f"{layer}{name}.bias": size[:1]}
        norms += [f"{layer}attention.output.LayerNorm", f"{layer}output.LayerNorm"]
    for name in norms:
        shapes |= {f"{name}.weight": (16,), f"{name}.bias": (16,)}
    weights = {n: random.normal(size=s).astype(np.float32) * 0.5 for n, s in shapes.items()}
    path.mkdir(exist_ok=True)
    (path / "config.json").write_text(json.dumps(BERT))
    (path / "vocab.txt").write_text("\n".join(WORDS))
    (path / "1_Pooling").mkdir()
    names = ("mean_tokens", "cls_token")
    modes = {f"pooling_mode_{name}": name.startswith(pooling) for name in names}
    (path / "1_Pooling" / "config.json").write_text(json.dumps(modes))
    arrays = {name: mx.array(weight) for name, weight in weights.items()}
    mx.save_safetensors(str(path / "model.safetensors"), arrays)
    return weights


def reference_bert(weights: dict[str, np.ndarray], ids: list[int], pooling: str) -> np.ndarray:
    """BERT in NumPy, one text, after Devlin et al. 2019."""

    def linear(x, name):
        return x @ weights[name + ".weight"].T + weights[name + ".bias"]

    def norm(x, name):
        x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-12)
        return x * weights[name + ".weight"] + weights[name + ".bias"]

    x = weights["embeddings.word_embeddings.weight"][ids]
    x = x + weights["embeddings.position_embeddings.weight"][: len(ids)]
    x = norm(x + weights["embeddings.token_type_embeddings.weight"][0], "embeddings.LayerNorm")
    for layer in ("encoder.layer.0.", "encoder.layer.1."):
        parts = [linear(x, f"{layer}attention.self.{p}") for p in ("query", "key", "value")]
        q, k, v = (part.reshape(len(ids), 4, 4).transpose(1, 0, 2) for part in parts)
        scores = np.exp(q @ k.transpose(0, 2, 1) / 2)  # head size 4: divided by its root
        mixed = (
            (scores / scores.sum(-1, keepdims=True) @ v).transpose(1, 0, 2).reshape(len(ids), 16)
        )
        x = norm(
            x + linear(mixed, f"{layer}attention.output.dense"),
            f"{layer}attention.output.LayerNorm",
        )
        inner = linear(x, f"{layer}intermediate.dense")
        inner = inner * 0.5 * (1 + np.vectorize(math.erf)(inner / math.sqrt(2)))
        x = norm(x + linear(inner, f"{layer}output.dense"), f"{layer}output.LayerNorm")
    pooled = x[0] if pooling == "cls" else x.mean(0)
    return pooled / np.linalg.norm(pooled)


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_bert_equals_a_reference_in_numpy(tmp_path, pooling):
    weights = write_bert(tmp_path, pooling)
    embedder = load_embedder(tmp_path)
    texts = ["The hearts.", "a fox", "the river " * 30, "", "the heart a fox ."]
    ids = [[5, 6, 7, 11], [10, 9], [5, 8] * 23, [], [5, 6, 10, 9, 11]]
    expected = np.stack([reference_bert(weights, [2, *line, 3], pooling) for line in ids])
    vectors = embedder.embed_passages(texts)
    assert ((vectors * expected).sum(1) > 0.99999).all()
    assert embedder.default_threshold == 0.30
    np.testing.assert_allclose(embedder.embed_queries(texts[:1]), vectors[:1], atol=1e-5)


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_two_hundred_texts_of_all_lengths_equal_the_reference(tmp_path, pooling):
    weights = write_bert(tmp_path, pooling)
    random = np.random.default_rng(1)
    ids = [random.choice([5, 6, 8, 9, 10, 11], size=n % 46).tolist() for n in range(200)]
    # "##s" stands at the end of "hearts" alone, so that each text is cut into the same pieces.
    ids = [[i for i in line if i != 6] for line in ids]
    texts = [" ".join(WORDS[i] for i in line) for line in ids]
    expected = np.stack([reference_bert(weights, [2, *line, 3], pooling) for line in ids])
    vectors = load_embedder(tmp_path).embed_passages(texts)
    assert ((vectors * expected).sum(1) > 0.9999).all()


@pytest.mark.parametrize(
    ("name", "told", "query", "passage"),
    [
        ("e5-small-v2", None, "the ", "heart "),
        ("bge-small-en-v1.5", None, "fox ", ""),
        ("models--intfloat--e5-small-v2/snapshots/0a1b2c", None, "the ", "heart "),
        ("all-MiniLM-L6-v2", None, "", ""),
        ("mine", {"query": "river ", "document": "a "}, "river ", "a "),
    ],
)
def test_queries_and_passages_get_their_prefixes(tmp_path, monkeypatch, name, told, query, passage):
    known = (("e5-small-v2$", "the ", "heart "), ("bge-small-en-v1.5$", "fox ", ""))  # known words
    known = tuple((re.compile(pattern), *prompts) for pattern, *prompts in known)
    monkeypatch.setattr("mlx_toy.bert._PROMPTS", known)
    directory = tmp_path / name
    directory.parent.mkdir(parents=True, exist_ok=True)
    write_bert(directory, "mean")
    if told:
        settings = json.dumps({"prompts": told})
        (directory / "config_sentence_transformers.json").write_text(settings)
    embedder = load_embedder(directory)
    write_bert(tmp_path / "plain", "mean")
    plain = load_embedder(tmp_path / "plain")
    np.testing.assert_allclose(
        embedder.embed_queries(["fox river"]),
        plain.embed_passages([query + "fox river"]),
        atol=1e-5,
    )
    np.testing.assert_allclose(
        embedder.embed_passages(["fox river"]),
        plain.embed_passages([passage + "fox river"]),
        atol=1e-5,
    )
    assert (embedder.fingerprint != plain.fingerprint) == bool(query or passage)


def test_prefixes_of_known_models_are_those_of_their_cards(tmp_path):
    assert prompts_of(tmp_path / "e5-base") == ("query: ", "passage: ")
    assert prompts_of(tmp_path / "bge-large-en-v1.5")[0].startswith("Represent this sentence")
    assert prompts_of(tmp_path / "multi-e5-base-instruct") == ("", "")


def test_bert_with_another_pooling_or_missing_layer_is_refused(tmp_path):
    write_bert(tmp_path / "max", "max")
    (tmp_path / "max" / "1_Pooling" / "config.json").write_text('{"pooling_mode_max_tokens": true}')
    with pytest.raises(UserError, match="max"):
        load_embedder(tmp_path / "max")
    write_bert(tmp_path / "deep", "mean")
    (tmp_path / "deep" / "config.json").write_text(json.dumps({**BERT, "num_hidden_layers": 3}))
    with pytest.raises(UserError, match="missing"):
        load_embedder(tmp_path / "deep")
