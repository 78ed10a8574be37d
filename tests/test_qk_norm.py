"""With QK-norm the model is a Qwen3: mlx-lm's own loader reads it and computes the same."""

from dataclasses import replace
from pathlib import Path

from mlx_toy.backend import mx

import numpy as np
import pytest
from mlx.utils import tree_flatten, tree_map

from mlx_toy import model_directory
from mlx_toy.errors import UserError
from mlx_toy.model import Model, ModelArgs
from mlx_toy.tokenizer import Tokenizer
from train.batches import MicroBatch
from train.initial import initial_weights
from train.lanes import Lanes

IDS = mx.array([[1, 17, 300, 45, 260, 9, 399, 128, 4, 77, 301, 302]])
NORMS = ("self_attn.q_norm.weight", "self_attn.k_norm.weight")


@pytest.fixture(scope="module")
def qwen_args(tiny_args: ModelArgs) -> ModelArgs:
    return replace(tiny_args, model_type="qwen3")


@pytest.fixture(scope="module")
def qwen(qwen_args: ModelArgs) -> Model:
    """A model with random weights that bfloat16 holds exactly, the norms among them."""
    mx.random.seed(1)
    model = Model(qwen_args)
    spread = tree_map(lambda p: p + mx.random.normal(p.shape) * 0.2, model.parameters())
    model.update(tree_map(lambda p: p.astype(mx.bfloat16).astype(mx.float32), spread))
    mx.eval(model.parameters())
    return model.eval()


@pytest.fixture(scope="module")
def qwen_dir(
    qwen: Model,
    qwen_args: ModelArgs,
    tiny_tokenizer: Tokenizer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    path = tmp_path_factory.mktemp("qwen") / "tiny"
    weights = dict(tree_flatten(qwen.parameters()))
    model_directory.write(path, qwen_args, weights, tiny_tokenizer, 256)
    return path


def test_mlx_lms_own_qwen3_gives_the_same_logits(qwen_dir: Path, qwen: Model) -> None:
    import mlx_lm

    theirs, _ = mlx_lm.load(str(qwen_dir))
    assert type(theirs).__module__ == "mlx_lm.models.qwen3"
    theirs.set_dtype(mx.float32)
    assert mx.abs(theirs(IDS) - qwen(IDS)).max().item() < 1e-4


def test_transformers_reads_it_as_qwen3(qwen_dir: Path) -> None:
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(qwen_dir)
    assert (config.model_type, config.architectures) == ("qwen3", ["Qwen3ForCausalLM"])


def test_loaded_weights_give_the_same_logits(qwen_dir: Path, qwen: Model) -> None:
    model, _ = model_directory.load(qwen_dir)
    assert mx.abs(model(IDS) - qwen(IDS)).max().item() < 1e-4


def test_cached_decoding_equals_uncached(qwen: Model) -> None:
    from mlx_lm.models.cache import make_prompt_cache

    cache = make_prompt_cache(qwen)
    logits = [qwen(IDS[:, a:b], cache=cache) for a, b in ((0, 5), (5, 6), (6, 12))]
    assert mx.abs(mx.concatenate(logits, axis=1) - qwen(IDS)).max().item() < 1e-4


def test_larger_queries_and_keys_change_nothing(qwen: Model, qwen_args: ModelArgs) -> None:
    larger = Model(qwen_args).eval()
    parameters = {
        name: array * 8 if name.endswith(("q_proj.weight", "k_proj.weight")) else array
        for name, array in tree_flatten(qwen.parameters())
    }
    larger.load_weights(list(parameters.items()))
    assert mx.abs(larger(IDS) - qwen(IDS)).max().item() < 1e-3


def test_a_llama_has_none_of_it(tiny_args: ModelArgs) -> None:
    assert tiny_args.model_type == "llama"
    names = [name for name, _ in tree_flatten(Model(tiny_args).parameters())]
    assert not any(name.endswith(NORMS) for name in names)


def test_weights_without_the_norms_are_told(
    qwen_args: ModelArgs, tiny_model: Model, tiny_tokenizer: Tokenizer, tmp_path: Path
) -> None:
    weights = dict(tree_flatten(tiny_model.parameters()))
    with pytest.raises(UserError, match=r"lack model\.layers\.0\.self_attn\.q_norm\.weight"):
        model_directory.write(tmp_path / "model", qwen_args, weights, tiny_tokenizer, 256)


def test_the_norms_learn(qwen_args: ModelArgs, qwen: Model) -> None:
    weights = initial_weights(qwen_args, seed=0)
    norms = [name for name in weights if name.endswith(NORMS)]
    assert len(norms) == 2 * qwen_args.num_hidden_layers
    assert all((weights[name] == 1).all().item() for name in norms)
    tokens = np.array(IDS, dtype=np.int32)
    batch = MicroBatch(tokens, np.ones((1, tokens.shape[1] - 1), dtype=np.float32))
    with Lanes(qwen_args, lanes=1) as team:
        gradients, _, _ = team.gradients(dict(tree_flatten(qwen.parameters())), [batch])
    assert all(mx.abs(gradients[name]).max().item() > 0 for name in norms)
