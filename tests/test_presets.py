"""Presets: one dial, written rules, and a table that says what comes out."""

from dataclasses import replace

from mlx_toy.backend import mx

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mlx.utils import tree_flatten

import train.presets
from corpus.budgets import BUDGETS
from mlx_toy.errors import UserError
from mlx_toy.model import Model
from train.__main__ import _parser, _preset
from train.initial import initial_weights
from train.optimizer import OptimizerSettings, initial_state, update
from train.presets import (
    PRESETS,
    Preset,
    batch_tokens,
    best_batch,
    count_parameters,
    matrix_rate,
    of_width,
    other_rate,
    preset,
)

WIDTHS = st.integers(1, 24).map(lambda n: 64 * n if n < 8 else 128 * (n - 4))


def test_table_in_the_module_is_what_the_rules_give():
    lines = train.presets.__doc__.split("\nname ")[1].splitlines()[1:]
    table = {line.split()[0]: [int(n.replace(",", "")) for n in line.split()[1:]] for line in lines}
    assert table == {
        p.name: [
            p.hidden_size,
            p.layers,
            p.vocab_size,
            p.parameters,
            p.pretrain_tokens,
            p.tokens_per_step,
            p.pretrain_steps,
        ]
        for p in PRESETS.values()
    }


@pytest.mark.parametrize("name", PRESETS)
def test_parameters_are_those_of_the_model(name):
    args = preset(name).model_args(preset(name).vocab_size)
    shapes = tree_flatten(Model(args).parameters())  # lazy: nothing is computed
    assert preset(name).parameters == sum(array.size for _, array in shapes)


def test_mini_keeps_the_architecture_of_the_bundled_weights():
    args = preset("mini").model_args(preset("mini").vocab_size)
    assert (args.hidden_size, args.num_hidden_layers, args.num_key_value_heads) == (192, 6, 3)
    assert (args.vocab_size, args.max_position_embeddings, args.intermediate_size) == (
        4096,
        512,
        512,
    )


def test_sizes_are_those_that_were_asked_for():
    assert 25e6 < preset("toy").parameters < 35e6
    assert 115e6 < preset("small").parameters < 125e6 and preset("small").vocab_size == 16_384


def test_every_preset_has_a_budget_of_text():
    assert set(BUDGETS) == set(PRESETS)


@given(WIDTHS)
def test_any_width_gives_a_model_that_can_be_built_and_a_whole_batch(width):
    made = of_width("any", width)
    args = made.model_args(made.vocab_size)
    assert args.num_attention_heads % args.num_key_value_heads == 0
    assert made.tokens_per_step % made.window == made.micro_tokens % made.window == 0
    assert made.vocab_size <= 65_536  # ids are 16-bit in the shards
    ratio = made.pretrain_tokens / count_parameters(args)
    assert 10.5 <= ratio <= 10.5 * (1 + 1 / made.pretrain_steps) + 1e-9


@given(WIDTHS, WIDTHS)
def test_a_larger_width_never_gives_less(one, other):
    narrow, wide = (of_width("any", width) for width in sorted((one, other)))
    for field in ("layers", "vocab_size", "context", "parameters", "tokens_per_step"):
        assert getattr(narrow, field) <= getattr(wide, field), field
    assert narrow.other_rate >= wide.other_rate and narrow.matrix_rate <= wide.matrix_rate


def test_rates_meet_the_points_that_their_rules_join():
    assert matrix_rate(2048) == pytest.approx(0.005) and matrix_rate(524_288) == 0.02
    assert other_rate(768) == 4e-3 and other_rate(128) == pytest.approx(0.0098, abs=1e-5)


def test_batch_is_the_next_power_of_two_of_the_rule():
    assert best_batch(1.2e6) == pytest.approx(1717, abs=2)
    assert batch_tokens(1.2e6) == 2048


def test_another_batch_takes_the_square_root_of_its_ratio_as_rate():
    mini = preset("mini")
    larger = mini.with_batch(4 * mini.tokens_per_step)
    assert larger.matrix_rate == pytest.approx(2 * mini.matrix_rate)
    assert larger.other_rate == pytest.approx(2 * mini.other_rate)
    assert (
        replace(
            larger,
            tokens_per_step=mini.tokens_per_step,
            matrix_rate=mini.matrix_rate,
            other_rate=mini.other_rate,
        )
        == mini
    )


def test_command_line_batch_brings_its_rates():
    flags = ["pretrain", "--tokenizer", "t", "--shards", "s", "--run", "r", "--preset", "mini"]
    flags += ["--tokens-per-step", "4096"]
    assert _preset(_parser().parse_args(flags)) == preset("mini").with_batch(4096)


@pytest.mark.parametrize("width", [64, 256])
def test_first_muon_step_moves_outputs_alike_at_every_width(width):
    """Why its rate needs no rule: the update's singular values do not depend on the width."""
    args = replace(of_width("any", width), layers=1).model_args(64)
    weights = initial_weights(args, seed=0)
    gradients = {
        name: mx.random.normal(array.shape, key=mx.random.key(1)) for name, array in weights.items()
    }
    rates = OptimizerSettings(0.02, 4e-3, weight_decay=0.0)
    new, _, _ = update(weights, gradients, initial_state(weights), rates, step=0, scale=1.0)
    name = "model.layers.0.self_attn.q_proj.weight"
    moved = mx.linalg.svd(new[name] - weights[name], compute_uv=False, stream=mx.cpu)
    assert moved.max().item() == pytest.approx(0.02, rel=0.3)
    assert mx.sqrt(mx.mean(moved**2)).item() == pytest.approx(0.02, rel=0.2)


@pytest.mark.parametrize("width", [0, 100, 576])
def test_a_width_that_the_rules_do_not_know_is_refused(width):
    with pytest.raises(ValueError, match="multiple of"):
        of_width("any", width)


def test_unknown_preset_names_the_known_ones():
    with pytest.raises(UserError, match="nano, mini, toy, small"):
        preset("huge")


def test_a_preset_can_be_written_by_hand():
    assert Preset("own", 64, 1, 1, 400, 64, 32, 256, 64, 4, 2).parameters == 79_040
