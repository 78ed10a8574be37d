"""The model computes what mlx-lm's Llama computes, and mlx-lm's caches and generation run it."""

from pathlib import Path
from typing import Any

from mlx_toy.backend import mx

import pytest

from mlx_toy.model import Model, ModelArgs
from mlx_toy.model_directory import load
from mlx_toy.tokenizer import Tokenizer

IDS = mx.array([[1, 17, 300, 45, 260, 9, 399, 128, 4, 77, 301, 302]])


def largest_difference(a: mx.array, b: mx.array) -> float:
    return mx.abs(a - b).max().item()


@pytest.fixture(scope="module")
def llama(tiny_model_dir: Path) -> Any:
    """mlx-lm's own Llama with the same weights."""
    from mlx_lm.utils import load_model

    model, _ = load_model(tiny_model_dir)
    assert type(model).__module__ == "mlx_lm.models.llama"
    model.set_dtype(mx.float32)
    return model


def test_logits_equal_those_of_mlx_lms_llama(tiny_model: Model, llama: Any) -> None:
    assert largest_difference(tiny_model(IDS), llama(IDS)) < 1e-4


def test_a_training_step_sees_the_same_logits(tiny_args: ModelArgs, tiny_model: Model) -> None:
    training = Model(tiny_args).train()
    training.update(tiny_model.parameters())
    assert largest_difference(training(IDS), tiny_model(IDS)) < 1e-4


def test_loaded_weights_give_the_same_logits(tiny_model_dir: Path, tiny_model: Model) -> None:
    model, tokenizer = load(tiny_model_dir)
    assert largest_difference(model(IDS), tiny_model(IDS)) < 1e-4
    assert tokenizer.vocab_size == model.args.vocab_size


@pytest.mark.parametrize("pieces", [[12], [1] * 12, [5, 1, 4, 2], [2, 10]])
def test_cached_decoding_equals_uncached(tiny_model: Model, pieces: list[int]) -> None:
    from mlx_lm.models.cache import make_prompt_cache

    cache = make_prompt_cache(tiny_model)
    logits, start = [], 0
    for length in pieces:
        logits.append(tiny_model(IDS[:, start : start + length], cache=cache))
        start += length
    assert largest_difference(mx.concatenate(logits, axis=1), tiny_model(IDS)) < 1e-4


def test_a_rotating_cache_runs(tiny_model: Model, llama: Any) -> None:
    from mlx_lm.models.cache import RotatingKVCache

    def decode(model: Any) -> mx.array:
        cache = [RotatingKVCache(max_size=8, keep=4) for _ in model.layers]
        return mx.concatenate([model(IDS[:, i : i + 1], cache=cache) for i in range(12)], axis=1)

    assert largest_difference(decode(tiny_model), decode(llama)) < 1e-4


def test_batched_equals_single(tiny_model: Model) -> None:
    rows = [mx.roll(IDS, i, axis=1) for i in range(4)]
    batched = tiny_model(mx.concatenate(rows, axis=0))
    for i, row in enumerate(rows):
        assert largest_difference(batched[i : i + 1], tiny_model(row)) < 1e-4


def test_a_token_does_not_see_what_follows(tiny_model: Model) -> None:
    changed = mx.concatenate([IDS[:, :6], IDS[:, 6:] * 0 + 5], axis=1)
    assert largest_difference(tiny_model(changed)[:, :6], tiny_model(IDS)[:, :6]) < 1e-5


def test_stream_generate_of_mlx_lm_runs_it(tiny_model_dir: Path) -> None:
    import mlx_lm
    from mlx_lm.sample_utils import make_sampler

    model, _ = load(tiny_model_dir)
    theirs, wrapper = mlx_lm.load(str(tiny_model_dir))
    theirs.set_dtype(mx.float32)

    def generate(model: Any) -> list[int]:
        sampler = make_sampler(temp=0)
        steps = mlx_lm.stream_generate(model, wrapper, "a token", max_tokens=10, sampler=sampler)
        return [step.token for step in steps]

    assert generate(model) == generate(theirs)


def test_embeddings_are_tied_and_named_as_in_llama(tiny_args: ModelArgs) -> None:
    from mlx.utils import tree_flatten

    names = {name for name, _ in tree_flatten(Model(tiny_args).parameters())}
    assert {"model.embed_tokens.weight", "model.norm.weight"} < names
    assert not any("lm_head" in name for name in names)
    assert len(names) == 2 + 9 * tiny_args.num_hidden_layers


def test_unknown_keys_of_a_config_are_ignored(tiny_tokenizer: Tokenizer) -> None:
    config = {"hidden_size": 8, "num_hidden_layers": 1, "intermediate_size": 8, "head_dim": 4}
    config |= {"num_attention_heads": 2, "num_key_value_heads": 1, "vocab_size": 9, "new": 1}
    assert ModelArgs.from_dict(config).head_dim == 4
