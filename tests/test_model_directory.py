"""A model directory is read by every loader, and a broken one is told in one sentence."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mlx_toy.backend import mx

import pytest
from mlx.utils import tree_flatten

from mlx_toy import model_directory
from mlx_toy.engine import GREEDY, Engine
from mlx_toy.errors import UserError
from mlx_toy.model import Model, ModelArgs
from mlx_toy.tokenizer import Tokenizer


@pytest.fixture
def copy(tiny_model_dir: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_model_dir, tmp_path / "copy"))


def edit_json(file: Path, **changes: Any) -> None:
    content = json.loads(file.read_text())
    content.update(changes)
    file.write_text(json.dumps(content))


def cut(file: Path, bytes_left: int) -> None:
    file.write_bytes(file.read_bytes()[:bytes_left])


def test_mlx_lm_loads_it_unchanged_and_generates(tiny_model_dir: Path) -> None:
    import mlx_lm

    model, tokenizer = mlx_lm.load(str(tiny_model_dir))
    answer = mlx_lm.generate(model, tokenizer, "the token", max_tokens=5)
    assert isinstance(answer, str)
    assert tokenizer.eos_token_ids == {2, tokenizer.convert_tokens_to_ids("<|end|>")}
    assert type(tokenizer.detokenizer).__name__ == "SPMStreamingDetokenizer"
    assert tokenizer.encode("a")[0] == 1  # plain text begins with bos


def test_transformers_reads_config_and_template(tiny_model_dir: Path) -> None:
    from transformers import AutoConfig, GenerationConfig

    config = AutoConfig.from_pretrained(tiny_model_dir)
    assert (config.model_type, config.max_position_embeddings) == ("llama", 256)
    assert config.tie_word_embeddings
    assert GenerationConfig.from_pretrained(tiny_model_dir).eos_token_id == [8, 2]


def test_weights_are_stored_in_bfloat16(tiny_model_dir: Path) -> None:
    weights, metadata = mx.load(str(tiny_model_dir / "model.safetensors"), return_metadata=True)
    assert {array.dtype for array in weights.values()} == {mx.bfloat16}
    assert metadata == {"format": "pt"}


def test_a_sharded_directory_loads(copy: Path, tiny_model: Model) -> None:
    weights = mx.load(str(copy / "model.safetensors"))
    (copy / "model.safetensors").unlink()
    shards: list[dict[str, mx.array]] = [{}, {}]
    for i, (name, array) in enumerate(sorted(weights.items())):
        shards[i % 2][name] = array
    names = [f"model-0000{i}-of-00002.safetensors" for i in (1, 2)]
    for name, shard in zip(names, shards, strict=True):
        mx.save_safetensors(str(copy / name), shard, metadata={"format": "pt"})
    places = {key: name for name, shard in zip(names, shards, strict=True) for key in shard}
    index = copy / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": places}))
    model, _ = model_directory.load(copy)
    assert mx.allclose(model(mx.array([[1, 9]])), tiny_model(mx.array([[1, 9]])), atol=1e-4)
    (copy / names[1]).unlink()
    with pytest.raises(UserError, match=f"no {names[1]}, which model.safetensors.index"):
        model_directory.validate(copy)


def test_writing_replaces_whole_directories(
    copy: Path, tiny_model: Model, tiny_args: ModelArgs, tiny_tokenizer: Tokenizer
) -> None:
    (copy / "stale.txt").write_text("of the older model")
    weights = dict(tree_flatten(tiny_model.parameters()))
    card = {"README.md": "# Card\n"}
    model_directory.write(copy, tiny_args, weights, tiny_tokenizer, 64, extra_files=card)
    assert not (copy / "stale.txt").exists()
    assert (copy / "README.md").read_text() == "# Card\n"
    model, _ = model_directory.load(copy)
    assert model.args.max_position_embeddings == 64
    assert [path.name for path in copy.parent.iterdir()] == [copy.name]  # nothing left behind


def test_a_failed_write_leaves_what_was_there(
    copy: Path, tiny_model: Model, tiny_args: ModelArgs, tiny_tokenizer: Tokenizer
) -> None:
    weights = dict(tree_flatten(tiny_model.parameters()))
    del weights["model.norm.weight"]
    with pytest.raises(UserError, match=r"lack model\.norm\.weight"):
        model_directory.write(copy, tiny_args, weights, tiny_tokenizer, 64)
    model, _ = model_directory.load(copy)
    assert model.args.max_position_embeddings == 256
    assert [path.name for path in copy.parent.iterdir()] == [copy.name]


def test_a_quantised_copy_runs_through_mlx_lm(
    copy: Path, tiny_tokenizer: Tokenizer, tmp_path: Path
) -> None:
    import mlx_lm

    quantised = tmp_path / "quantised"
    mlx_lm.convert(str(copy), str(quantised), quantize=True, q_group_size=32, q_bits=8)
    assert not model_directory.is_ours(quantised)
    with Engine.load(quantised) as engine, Engine.load(copy) as ours:
        passages = "[1] The sky is blue.\n[2] So it is."
        messages: Any = [
            {"role": "system", "content": "Be brief."},
            {"role": "context", "content": passages},
            {"role": "user", "content": "Why?"},
        ]
        # the template puts the question before the passages; of ours it is part of the turn
        asked = [messages[0], {"role": "context", "content": f"Why?\n{passages}"}, messages[2]]
        assert engine.render(messages) == ours.render(asked)
        assert len(list(engine.generate(engine.render(messages), GREEDY, stop_ids=()))) > 100


BREAKAGES: dict[str, tuple[Callable[[Path], Any], str]] = {
    "no config": (lambda d: (d / "config.json").unlink(), r"has no config\.json"),
    "config is no JSON": (lambda d: cut(d / "config.json", 40), r"config\.json is not readable"),
    "no weights": (lambda d: (d / "model.safetensors").unlink(), "has no weights"),
    "weights cut short": (
        lambda d: cut(d / "model.safetensors", 20_000),
        r"model\.safetensors has 20000 bytes where \d+ belong",
    ),
    "weights cut in the header": (lambda d: cut(d / "model.safetensors", 99), "is cut short"),
    "weights empty": (lambda d: cut(d / "model.safetensors", 0), "is cut short"),
    "weights are zeros": (
        lambda d: (d / "model.safetensors").write_bytes(bytes(5000)),
        "is cut short or no safetensors file",
    ),
    "no tokenizer": (lambda d: (d / "tokenizer.model").unlink(), r"has no tokenizer\.model"),
    "tokenizer cut short": (
        lambda d: cut(d / "tokenizer.model", 50),
        r"tokenizer\.model (is not a sentencepiece model|lacks the control tokens)",
    ),
    "tokenizer.json cut short": (
        lambda d: cut(d / "tokenizer.json", 50),
        r"tokenizer\.json is not readable",
    ),
    "another vocabulary": (
        lambda d: edit_json(d / "config.json", vocab_size=500),
        r"embed_tokens\.weight .* has the shape \[400, 32\] where .* asks for \[500, 32\]",
    ),
    "more layers than weights": (
        lambda d: edit_json(d / "config.json", num_hidden_layers=3),
        r"lack model\.layers\.2",
    ),
    "no architecture": (
        lambda d: (d / "config.json").write_text('{"mlx_toy_format": 1}'),
        "describes no model",
    ),
}


@pytest.mark.parametrize("name", BREAKAGES)
def test_a_broken_directory_is_one_sentence(copy: Path, name: str) -> None:
    break_it, sentence = BREAKAGES[name]
    break_it(copy)
    with pytest.raises(UserError, match=sentence) as caught:
        model_directory.load(copy)
    assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match=sentence):
        Engine.load(copy)


def test_a_tokenizer_of_another_model_is_told(
    copy: Path, tiny_args: ModelArgs, tiny_tokenizer: Tokenizer
) -> None:
    from dataclasses import replace

    larger = Model(replace(tiny_args, vocab_size=500))
    weights = dict(tree_flatten(larger.parameters()))
    with pytest.raises(UserError, match=r"says 500 tokens but tokenizer\.model has 400"):
        model_directory.write(copy, larger.args, weights, tiny_tokenizer, 64)


def test_a_missing_directory_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no model directory at"):
        model_directory.load(tmp_path / "nothing")
