"""The retriever: vectors, their geometry, threads, bad input, training, and BERT against NumPy."""

import json
import shutil
import threading

from mlx_toy.backend import mx

import numpy as np
import pytest

from mlx_toy.bag import BagConfig, Features, to_matrix
from mlx_toy.embedder import BUNDLED, Embedder, load_embedder
from mlx_toy.errors import UserError
from mlx_toy.known_words import from_bytes, to_bytes
from mlx_toy.tokenizer import Tokenizer
from train.embedder_data import to_pairs
from train.embedder_fit import Recipe, contrastive_loss, start, train
from train.lesson import Lesson
from train.retrieval_data import Passage

PASSAGES = [
    "The heart is a muscle that pumps blood through the body. It has four chambers.",
    "Paris is the capital of France and lies on the river Seine.",
    "The fox asked the crow to sing, and the cheese fell out of its beak.",
    "A volcano is an opening in the crust of the Earth through which lava and gas escape.",
    "Photosynthesis is how plants make food from sunlight, water and carbon dioxide.",
]
QUESTIONS = [
    "How many chambers are there in the heart?",
    "What city is the capital of France?",
    "Why did the crow drop the cheese?",
    "What comes out of a volcano?",
    "How do plants use sunlight?",
]


@pytest.fixture(scope="module")
def embedder() -> Embedder:
    return load_embedder(None)


# --- The bundled retriever ------------------------------------------------------------------------


def test_bundled_embedder_gives_unit_vectors(embedder):
    for vectors in (embedder.embed_passages(PASSAGES), embedder.embed_queries(QUESTIONS)):
        assert vectors.shape == (5, embedder.dimensions)
        assert vectors.dtype == np.float32
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_bundled_directory_is_small_and_has_a_card():
    assert sum(file.stat().st_size for file in BUNDLED.iterdir()) < 13e6
    assert (BUNDLED / "README.md").read_text().startswith("---\nlicense:")
    report = json.loads((BUNDLED / "report.json").read_text())
    assert report["calibration"]["own_questions_kept"] >= 0.95


def test_each_question_finds_its_passage(embedder):
    similarity = embedder.embed_queries(QUESTIONS) @ embedder.embed_passages(PASSAGES).T
    assert similarity.argmax(axis=1).tolist() == [0, 1, 2, 3, 4]
    assert (similarity.max(axis=1) > embedder.default_threshold).all()


def test_words_that_mean_alike_are_near_and_unknown_ones_are_not(embedder):
    bicycle, bike, rent = embedder.embed_passages(["bicycle", "bike", "rent"])
    assert bicycle @ bike > 0.6 > 0.3 > bicycle @ rent
    tokyo, moscow = embedder.embed_passages(["東京は日本の首都", "Москва столица"])
    assert tokyo @ moscow < 0.5


def test_foreign_question_stays_under_the_threshold(embedder):
    foreign = embedder.embed_queries(["When was the treaty of Westphalia signed?"])
    assert (foreign @ embedder.embed_passages(PASSAGES).T).max() < embedder.default_threshold


def test_batch_equals_single(embedder):
    texts = PASSAGES * 60  # more than one batch
    together = embedder.embed_passages(texts)
    for index in (0, 1, 4, 299):
        alone = embedder.embed_passages([texts[index]])[0]
        np.testing.assert_allclose(together[index], alone, atol=1e-5)


def test_no_texts_give_no_vectors(embedder):
    assert embedder.embed_passages([]).shape == (0, embedder.dimensions)


ODD_TEXTS = [
    "",
    " \n\t",
    "🦊🦊 😀",
    "\ud800",
    "a\0b",
    "東京は日本の首都",
    "x" * 10**6,
    "word " * 10**5,
]


@pytest.mark.parametrize("text", ODD_TEXTS, ids=range(len(ODD_TEXTS)))
def test_any_text_gives_a_unit_vector(embedder, text):
    for embed in (embedder.embed_passages, embedder.embed_queries):
        vector = embed([text])[0]
        assert np.isfinite(vector).all()
        assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-4)
        np.testing.assert_array_equal(vector, embed([text])[0])


def test_threads_get_the_same_vectors(embedder):
    expected = embedder.embed_passages(PASSAGES)
    results: list[np.ndarray] = []
    threads = [
        threading.Thread(target=lambda: results.append(embedder.embed_passages(PASSAGES)))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 8
    for result in results:
        np.testing.assert_array_equal(result, expected)


def test_fingerprint_follows_weights_and_not_the_threshold(embedder, tmp_path):
    for name in ("config.json", "model.safetensors", "tokenizer.model"):
        (tmp_path / name).write_bytes((BUNDLED / name).read_bytes())
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "default_threshold": 0.99}))
    assert load_embedder(tmp_path).fingerprint == embedder.fingerprint
    weights = mx.load(str(BUNDLED / "model.safetensors"))
    mx.save_safetensors(str(tmp_path / "model.safetensors"), {**weights, "up": weights["up"] * 2})
    assert load_embedder(tmp_path).fingerprint != embedder.fingerprint


# --- Bad input ------------------------------------------------------------------------------------


@pytest.mark.parametrize("broken", ["config.json", "model.safetensors", "tokenizer.model"])
@pytest.mark.parametrize("damage", ["missing", "truncated", "empty"])
def test_damaged_directory_is_one_clear_sentence(tmp_path, broken, damage):
    for name in ("config.json", "model.safetensors", "tokenizer.model"):
        content = (BUNDLED / name).read_bytes()
        if name != broken:
            (tmp_path / name).write_bytes(content)
        elif damage != "missing":
            (tmp_path / name).write_bytes(
                content[: len(content) // 2] if damage == "truncated" else b""
            )
    with pytest.raises(UserError) as raised:
        load_embedder(tmp_path)
    assert "\n" not in str(raised.value)


def test_unknown_place_and_kind_are_refused(tmp_path):
    with pytest.raises(UserError, match="no embedder"):
        load_embedder(tmp_path / "nowhere")
    (tmp_path / "config.json").write_text('{"model_type": "gpt2"}')
    with pytest.raises(UserError, match="gpt2"):
        load_embedder(tmp_path)


# --- Training -------------------------------------------------------------------------------------


def train_small(steps: int, lesson: Lesson | None = None):
    """A tiny network on ten texts, and its features."""
    tokenizer = Tokenizer.load(BUNDLED)
    features = Features(tokenizer, ["fox", "owl", "the", "a"])
    config = BagConfig(tokenizer.vocab_size, len(features.known), dimensions=16, head_size=8)
    asked = zip(PASSAGES, QUESTIONS, strict=True)
    groups = {"all": [Passage(text, [question]) for text, question in asked]}
    pairs = {"qa/squad_train": to_pairs("qa/squad_train", groups, features)}
    recipe = Recipe(steps=steps, batch=5)
    begun = start(pairs, config, recipe)
    return train(pairs, begun, recipe, {"qa/squad_train": 1.0}, lesson), features


def loss_of(model, features) -> float:
    arrays = [
        [mx.array(a) for a in to_matrix([features(text) for text in texts])]
        for texts in (QUESTIONS, PASSAGES)
    ]
    queries, passages = (
        model(*a, is_query) for a, is_query in zip(arrays, (True, False), strict=True)
    )
    return contrastive_loss(queries @ passages.T / 0.05).item()


def test_a_lesson_brings_words_nearer_to_the_teacher():
    words = ["fox", "owl", "heart", "moon"]
    taught = np.eye(4, 16, dtype=np.float32)
    _, features = train_small(1)
    bags = [features(word) for word in words]
    lesson = Lesson(bags, taught, np.zeros((features.rows, 16), np.float32))

    def agreement(model) -> float:
        columns, matrix = to_matrix(lesson.bags)
        found = np.array(model(mx.array(columns), mx.array(matrix), False))
        return float((found * taught).sum(1).mean())

    assert agreement(train_small(60, lesson)[0]) > agreement(train_small(60)[0]) + 0.2


def test_training_lowers_the_loss_and_is_deterministic():
    untrained, features = train_small(1)
    trained, _ = train_small(30)
    again, _ = train_small(30)
    assert loss_of(trained, features) < loss_of(untrained, features)
    assert mx.array_equal(trained.embedding, again.embedding)
    assert mx.array_equal(trained.query_gain, again.query_gain)


def test_a_known_word_has_one_row_and_any_other_those_of_its_pieces():
    tokenizer = Tokenizer.load(BUNDLED)
    features = Features(tokenizer, ["fox", "owl"])
    assert features.of_word("owl") == [tokenizer.vocab_size + 1]
    assert features.of_word("owlet") == tokenizer.encode(" owlet") == features.of_word("owlet")
    assert features.rows == tokenizer.vocab_size + 2
    assert from_bytes(to_bytes(["fox", "naïve", "."])) == ["fox", "naïve", "."]
    assert from_bytes(to_bytes([])) == []


def test_words_that_do_not_fit_the_table_are_refused(tmp_path):
    shutil.copytree(BUNDLED, tmp_path / "cut")
    weights = mx.load(str(BUNDLED / "model.safetensors"))
    weights["words"] = to_bytes(["fox", "owl"])
    mx.save_safetensors(str(tmp_path / "cut" / "model.safetensors"), weights)
    with pytest.raises(UserError, match="2 words"):
        load_embedder(tmp_path / "cut")
    del weights["words"]  # as a directory had them that was made before words had rows
    mx.save_safetensors(str(tmp_path / "cut" / "model.safetensors"), weights)
    with pytest.raises(UserError, match="copy or train it again"):
        load_embedder(tmp_path / "cut")
