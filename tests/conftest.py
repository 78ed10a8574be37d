"""A tiny tokenizer and a tiny random model, made once a test run: real parts, fast to run."""

import json
from collections.abc import Iterator
from pathlib import Path

from mlx_toy.backend import mx

import pytest
from browser_fixtures import app, browser, page  # noqa: F401  (fixtures, once for all tests)
from mlx.utils import tree_flatten, tree_map

from mlx_toy import model_directory
from mlx_toy.engine import Engine
from mlx_toy.model import Model, ModelArgs
from mlx_toy.tokenizer import Tokenizer
from train.train_tokenizer import train_tokenizer

REPOSITORY = Path(__file__).parent.parent
TINY_VOCABULARY = 400
TINY_CONTEXT = 256


@pytest.fixture(scope="session")
def tiny_tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    """A tokenizer of 400 pieces, trained on a few kilobytes of our own text."""
    folder = tmp_path_factory.mktemp("tokenizer")
    sources = ("chat.py", "model.py", "tokenizer.py")
    texts = [(REPOSITORY / "mlx_toy" / name).read_text(encoding="utf-8") for name in sources]
    texts.append("aaaaaaaa aaa aa a abababab bababa\n" * 20)  # pieces that cut in several ways
    sample = folder / "sample.jsonl"
    sample.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    return train_tokenizer(sample, folder, vocab_size=TINY_VOCABULARY)


@pytest.fixture(scope="session")
def tiny_args(tiny_tokenizer: Tokenizer) -> ModelArgs:
    """Two layers of width 32, with two query heads for each key and value head."""
    return ModelArgs(
        hidden_size=32,
        num_hidden_layers=2,
        intermediate_size=64,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        vocab_size=tiny_tokenizer.vocab_size,
        max_position_embeddings=TINY_CONTEXT,
    )


@pytest.fixture(scope="session")
def tiny_model(tiny_args: ModelArgs) -> Model:
    """A model with random weights that bfloat16 holds exactly, so that files change nothing."""
    mx.random.seed(0)
    model = Model(tiny_args)
    spread = tree_map(lambda p: p + mx.random.normal(p.shape) * 0.2, model.parameters())
    model.update(tree_map(lambda p: p.astype(mx.bfloat16).astype(mx.float32), spread))
    mx.eval(model.parameters())
    return model.eval()


@pytest.fixture(scope="session")
def tiny_model_dir(
    tiny_model: Model,
    tiny_args: ModelArgs,
    tiny_tokenizer: Tokenizer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """The tiny model as a model directory; do not change it, copy it."""
    path = tmp_path_factory.mktemp("model") / "tiny"
    weights = dict(tree_flatten(tiny_model.parameters()))
    model_directory.write(path, tiny_args, weights, tiny_tokenizer, TINY_CONTEXT)
    return path


@pytest.fixture(scope="session")
def tiny_engine(tiny_model_dir: Path) -> Iterator[Engine]:
    """A running engine with the tiny model."""
    with Engine.load(tiny_model_dir) as engine:
        yield engine
