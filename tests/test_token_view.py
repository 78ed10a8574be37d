"""An answer token by token: figures equal to the model's own, attention equal to the fused one."""

import math
from collections.abc import Iterator
from pathlib import Path

from mlx_toy.backend import mx

import numpy as np
import pytest
from engine_fixtures import greedy, tokens_of

from mlx_toy.attention_view import attention_weights
from mlx_toy.chat import Message, format_passages
from mlx_toy.engine import Engine
from mlx_toy.errors import UserError
from mlx_toy.foreign import ForeignTokenizer
from mlx_toy.model import Model, ModelArgs
from mlx_toy.token_view import (
    ALTERNATIVES,
    copied_from,
    passage_tokens,
    submit_token_details,
    token_details,
)
from mlx_toy.tokenizer import Tokenizer
from mlx_toy.worker import JobCancelled

PASSAGES = ["The chat format of a model.\nIt has two  lines.", "A token →", "shards [2] in"]
QUESTION = "What is a token?"
MESSAGES: list[Message] = [
    {"role": "context", "content": format_passages(PASSAGES, QUESTION)},
    {"role": "user", "content": QUESTION},
]


@pytest.fixture(scope="module")
def answered(tiny_engine: Engine) -> tuple[list[int], list[int]]:
    """A prompt with three passages, and a greedy answer of 24 tokens."""
    prompt = tiny_engine.render(MESSAGES)
    return prompt, tokens_of(tiny_engine.generate(prompt, greedy(24), stop_ids=()))


@pytest.mark.parametrize("model_type", ["llama", "qwen3"])
def test_attention_weights_give_what_the_fused_operation_gives(
    tiny_args: ModelArgs, model_type: str
) -> None:
    mx.random.seed(3)
    attention = (
        Model(ModelArgs(**{**vars(tiny_args), "model_type": model_type})).layers[0].self_attn
    )
    x = mx.random.normal((1, 20, tiny_args.hidden_size))
    weights = attention_weights(attention, x, first=0)
    heads, groups = tiny_args.num_attention_heads, tiny_args.num_key_value_heads
    values = attention.v_proj(x).reshape(1, 20, groups, -1).swapaxes(1, 2)
    seen = weights @ mx.repeat(values, heads // groups, axis=1)
    out = attention.o_proj(seen.swapaxes(1, 2).reshape(1, 20, -1))
    assert mx.abs(out - attention(x, "causal")).max().item() < 1e-5
    assert mx.abs(weights[:, 13:] - attention_weights(attention, x, first=13)).max().item() < 1e-6


def test_attention_is_shared_out_among_what_stands_before(tiny_args: ModelArgs) -> None:
    attention = Model(tiny_args).layers[0].self_attn
    weights = np.array(attention_weights(attention, mx.random.normal((1, 12, 32)), first=4))
    assert weights.shape == (tiny_args.num_attention_heads, 8, 12)
    assert np.allclose(weights.sum(axis=2), 1, atol=1e-5)
    assert all(weights[:, row, row + 5 :].max(initial=0) == 0 for row in range(8))


def test_probability_rank_entropy_and_alternatives_are_the_models(
    tiny_engine: Engine, tiny_model: Model, answered: tuple[list[int], list[int]]
) -> None:
    prompt, answer = answered
    answer = [*answer[:10], 77, *answer[10:]]  # also a token that the model would not have taken
    details = token_details(tiny_engine, prompt, answer)
    assert [detail.id for detail in details] == answer
    logits = np.array(tiny_model(mx.array([[*prompt, *answer]])))[0, len(prompt) - 1 : -1]
    probabilities = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    entropies = -(probabilities * np.log2(probabilities)).sum(axis=1)
    for detail, row, entropy in zip(details, probabilities, entropies, strict=True):
        assert math.isclose(detail.probability, row[detail.id], rel_tol=1e-3)
        assert math.isclose(detail.entropy_bits, entropy, rel_tol=1e-3)
        assert detail.rank == 1 + (row > row[detail.id]).sum()
        assert [other.id for other in detail.alternatives] == np.argsort(-row)[
            :ALTERNATIVES
        ].tolist()
        assert detail.attention == []
    assert all(detail.rank == 1 for detail in details[:10])
    assert details[10].rank > 1


def test_each_token_says_how_much_it_looked_at_each_passage(
    tiny_engine: Engine, answered: tuple[list[int], list[int]]
) -> None:
    prompt, answer = answered
    spans = passage_tokens(tiny_engine, prompt)
    everything = [(0, 0, len(prompt)), *spans, (4, 5, 5)]
    details = token_details(tiny_engine, prompt, answer, everything)
    assert math.isclose(details[0].attention[0][1], 1, abs_tol=1e-5)
    for detail in details:
        whole, *shares, nothing = [share for _, share in detail.attention]
        assert [number for number, _ in detail.attention] == [0, 1, 2, 3, 4]
        assert all(0 < share <= whole <= 1 + 1e-5 for share in shares)
        assert nothing == 0


def test_passages_are_found_in_the_prompt(tiny_engine: Engine) -> None:
    prompt = tiny_engine.render(MESSAGES)
    spans = passage_tokens(tiny_engine, prompt)
    shown = [tiny_engine.tokenizer.decode(prompt[start:end]) for _, start, end in spans]
    assert "".join(shown) == format_passages(PASSAGES)
    assert [line.rstrip("\n") for line in shown] == format_passages(PASSAGES).split("\n")
    assert passage_tokens(tiny_engine, tiny_engine.render(MESSAGES[1:])) == []


def test_an_empty_answer_has_no_tokens(tiny_engine: Engine) -> None:
    assert token_details(tiny_engine, [1, 20], []) == []


def test_what_does_not_fit_is_refused(tiny_engine: Engine) -> None:
    with pytest.raises(UserError, match="reads at most 256"):
        token_details(tiny_engine, [1] * 200, [20] * 57)
    for prompt, passages in (([], []), ([-1], []), ([10**6], []), ([1, 20], [(1, 0, 3)])):
        with pytest.raises(ValueError):
            token_details(tiny_engine, prompt, [20], passages)


def test_it_can_be_cancelled(tiny_engine: Engine) -> None:
    job = submit_token_details(tiny_engine, [1] * 200, [20] * 40, [(1, 0, 100)])
    job.cancel()
    with pytest.raises(JobCancelled):
        job.result()
    assert len(token_details(tiny_engine, [1], [20])) == 1


def test_tokens_are_spelled_with_their_spaces(tiny_engine: Engine) -> None:
    tokenizer: Tokenizer = tiny_engine.tokenizer
    ids = tokenizer.encode("a token of →")
    assert "".join(map(tokenizer.token_text, ids)) == "a token of <0xE2><0x86><0x92>"
    assert tokenizer.token_text(tokenizer.end_id) == "<|end|>"


@pytest.fixture(scope="module")
def foreign_engine(
    tiny_model_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Engine]:
    """The tiny model as mlx-lm itself loads it, for want of our mark in its configuration."""
    import json
    import shutil

    copy = Path(shutil.copytree(tiny_model_dir, tmp_path_factory.mktemp("foreign") / "model"))
    config = json.loads((copy / "config.json").read_text())
    del config["mlx_toy_format"]
    (copy / "config.json").write_text(json.dumps(config))
    with Engine.load(copy) as engine:
        yield engine


def test_a_foreign_model_tells_all_but_its_attention(
    foreign_engine: Engine, tiny_engine: Engine, answered: tuple[list[int], list[int]]
) -> None:
    prompt, answer = answered
    assert not foreign_engine.is_ours
    assert passage_tokens(foreign_engine, prompt) == []
    theirs = token_details(foreign_engine, prompt, answer, [(1, 0, 9)])
    for detail, ours in zip(theirs, token_details(tiny_engine, prompt, answer), strict=True):
        assert detail.id == ours.id and detail.attention == []
        assert math.isclose(detail.probability, ours.probability, abs_tol=1e-3)
    tokenizer: ForeignTokenizer = foreign_engine.tokenizer
    assert "".join(map(tokenizer.token_text, tokenizer.encode("a token of"))) == "a token of"


def test_words_are_followed_to_the_passage_that_has_them() -> None:
    passages = ["It rained all day.", "The shop opens at six o'clock.", "The shop is shut all day."]
    pieces = ["The", " shop", " op", "ens", " at", " seven", ",", " all", " day", " [", "2", "]"]
    none = [None] * 4
    assert copied_from(pieces, passages) == [2, 2, 2, 2, 2, None, None, 1, 1, *none[:3]]
    preferred = copied_from(pieces, passages, preferred=[3])
    assert preferred == [2, 2, 2, 2, 2, None, None, 3, 3, *none[:3]]
    assert copied_from(["six", " [2]"], passages) == [2, None]
    assert copied_from([], passages) == [] == copied_from([], [])
