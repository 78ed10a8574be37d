"""The training loop: it learns, it resumes exactly, and no crash spoils a run."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

from mlx_toy.backend import mx

import numpy as np
import pytest
from training_fixtures import ONE_THREAD

from corpus.shards import Encoded, write_shard
from mlx_toy.errors import UserError
from train import checkpoints
from train.batches import ConversationBatches, MicroBatch, WindowBatches
from train.initial import initial_weights
from train.lanes import Lanes
from train.loop import CHECKPOINTS, RunSettings, start, train
from train.optimizer import OptimizerSettings, initial_state, orthogonalize, update
from train.records import METRICS_FILE
from train.schedule import WarmupStableDecay
from train.shards import Mixture, open_shard

RATES = OptimizerSettings(matrix_rate=0.02, other_rate=4e-3)


@pytest.fixture
def shards(tmp_path, tiny_tokenizer):
    """A text shard and a conversation shard of regular, learnable sequences."""
    rng = np.random.default_rng(0)
    common = {
        "vocab_size": tiny_tokenizer.vocab_size,
        "tokenizer_sha256": "x",
        "licence": "CC0-1.0",
    }

    def records(masked):
        for _ in range(300):
            ids = [1, *(rng.integers(0, 20) + np.arange(30) % 7).tolist(), 2]
            yield Encoded(ids, [0] * 16 + [1] * 15 + [0] if masked else None, 90)

    for name, kind in (("text", "text"), ("talk", "conversation")):
        write_shard(
            tmp_path, records(kind != "text"), name=name, split="train", kind=kind, **common
        )
    return tmp_path


def text_batches(shards, schedule, rows=8):
    mixture = Mixture([open_shard(shards, "text", "train")], [1.0])
    return WindowBatches(mixture, mixture, schedule, window=32, rows=rows, micro_rows=2, seed=1)


def settings(run, args, steps=6, every=2):
    schedule = WarmupStableDecay(steps, warmup_steps=2, decay_steps=2)
    return RunSettings(
        run=run,
        model=args,
        schedule=schedule,
        optimizer=RATES,
        checkpoint_every=every,
        report_every=2,
    )


def test_loss_falls(shards, tiny_args, tmp_path):
    run = settings(tmp_path / "run", tiny_args, steps=40, every=40)
    train(run, text_batches(shards, run.schedule), start(run), lanes=1)
    lines = (tmp_path / "run" / METRICS_FILE).read_text().splitlines()
    losses = [json.loads(line)["loss"] for line in lines]
    assert losses[-1] < 0.7 * losses[0]


@pytest.mark.parametrize("lanes", [1, 2])
def test_resumed_run_equals_uninterrupted_run(shards, tiny_args, tmp_path, lanes):
    whole = settings(tmp_path / "whole", tiny_args)
    batches = text_batches(shards, whole.schedule)
    expected = train(whole, batches, start(whole), lanes=lanes)

    cut = settings(tmp_path / "cut", tiny_args)
    _interrupt(cut, batches, at=5, lanes=lanes)
    begin = start(cut)
    assert begin.step == 4
    resumed = train(cut, batches, begin, lanes=lanes)
    for name, array in expected.weights.items():
        assert np.array_equal(np.array(array), np.array(resumed.weights[name])), name
    for name, array in expected.optimizer.items():
        assert np.array_equal(np.array(array), np.array(resumed.optimizer[name])), name


@pytest.mark.parametrize("dtype", [mx.float32, mx.bfloat16])
def test_run_goes_on_on_another_backend(shards, tiny_args, tmp_path, monkeypatch, dtype):
    """A run of two CPU lanes goes on as a GPU computes: one lane, MLX's own operations, 16 bits."""
    there, here = tmp_path / "there", tmp_path / "here"
    begun = settings(there, tiny_args, steps=10)
    batches = text_batches(shards, begun.schedule)
    _interrupt(begun, batches, at=4, lanes=2)
    shutil.copytree(there, here)
    train(begun, batches, start(begun), lanes=2)
    expected = _losses(there)
    monkeypatch.setattr("mlx_toy.ops.info", lambda: SimpleNamespace(device="cuda"))
    monkeypatch.setattr("train.lanes.compute_dtype", lambda: dtype)
    moved = settings(here, tiny_args, steps=10)
    begin = start(moved)
    assert begin.step == 4
    train(moved, batches, begin, lanes=1)
    found = _losses(here)
    tolerance = 1e-4 if dtype == mx.float32 else 0.05
    assert found == pytest.approx(expected, abs=tolerance)


def _interrupt(run, batches, at, lanes):
    """Train until a power cut while step `at` is read."""

    class PowerCut(Exception):
        pass

    def until(step):
        if step == at:
            raise PowerCut
        return batches(step)

    with pytest.raises(PowerCut):
        train(run, until, start(run), lanes=lanes)


def _losses(run):
    lines = (run / METRICS_FILE).read_text().splitlines()
    return [json.loads(line)["loss"] for line in lines]


def test_killed_process_resumes_exactly(tmp_path, tiny_tokenizer):
    """`kill -9` in the middle of a real command, then the same command again."""
    text = tmp_path / "text.jsonl"
    lines = [f"The {animal} sat on mat {i}." for i in range(400) for animal in ("cat", "dog")]
    text.write_text(
        "".join(json.dumps({"id": str(i), "text": t}) + "\n" for i, t in enumerate(lines))
    )
    (tmp_path / "tokenizer.model").write_bytes(tiny_tokenizer.model_proto)
    write_shard(
        tmp_path,
        (Encoded([1, *tiny_tokenizer.encode(t), 2], None, len(t)) for t in lines),
        name="text",
        split="train",
        kind="text",
        vocab_size=tiny_tokenizer.vocab_size,
        tokenizer_sha256=_checksum(tiny_tokenizer),
        licence="CC0-1.0",
    )
    stages = {stage: {"text": 1.0} for stage in ("pretrain", "decay", "finetune")}
    (tmp_path / "mixture.json").write_text(json.dumps({"stages": stages, "sources": {}}))

    def command(run):
        flags = ["--preset", "nano", "--steps", "4", "--checkpoint-every", "1"]
        flags += ["--tokens-per-step", "512"]
        places = ["--tokenizer", tmp_path, "--shards", tmp_path, "--run", tmp_path / run]
        return [sys.executable, "-m", "train", "pretrain", *flags, *map(str, places)]

    place = {"cwd": Path(__file__).parent.parent, "env": ONE_THREAD}
    subprocess.run(command("whole"), **place, check=True, capture_output=True)
    victim = subprocess.Popen(command("cut"), **place, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while checkpoints.latest(tmp_path / "cut" / CHECKPOINTS) is None:
        assert victim.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    os.kill(victim.pid, signal.SIGKILL)
    victim.wait()
    subprocess.run(command("cut"), **place, check=True, capture_output=True)
    whole, cut = (
        checkpoints.load(checkpoints.latest(tmp_path / run / CHECKPOINTS))
        for run in ("whole", "cut")
    )
    assert whole.step == cut.step == 4
    for name, array in whole.weights.items():
        assert np.array_equal(np.array(array), np.array(cut.weights[name])), name


def _checksum(tokenizer):
    import hashlib

    return hashlib.sha256(tokenizer.model_proto).hexdigest()


def test_gradients_do_not_depend_on_lanes_or_micro_batches(tiny_args):
    weights = initial_weights(tiny_args, seed=0)
    rng = np.random.default_rng(0)
    tokens = rng.integers(0, tiny_args.vocab_size, (4, 17)).astype(np.int32)
    mask = (rng.random((4, 16)) < 0.5).astype(np.float32)
    one, two = Lanes(tiny_args, 1), Lanes(tiny_args, 2)
    whole, loss, counted = one.gradients(weights, [MicroBatch(tokens, mask)])
    halves = [MicroBatch(tokens[:1], mask[:1]), MicroBatch(tokens[1:], mask[1:])]
    split, split_loss, _ = two.gradients(weights, halves)
    assert counted == mask.sum()
    assert loss == pytest.approx(split_loss, rel=1e-5)
    for name, gradient in whole.items():
        assert np.allclose(np.array(gradient), np.array(split[name]), atol=1e-5), name
    one.close(), two.close()


def test_masked_targets_have_no_gradient(tiny_args):
    weights = initial_weights(tiny_args, seed=0)
    tokens = np.arange(17, dtype=np.int32)[None]
    mask = np.zeros((1, 16), dtype=np.float32)
    mask[0, :4] = 1
    other = tokens.copy()
    other[0, 6:] += 50  # only where nothing counts
    team = Lanes(tiny_args, 1)
    first, loss, _ = team.gradients(weights, [MicroBatch(tokens, mask)])
    second, other_loss, _ = team.gradients(weights, [MicroBatch(other, mask)])
    assert loss == pytest.approx(other_loss, rel=1e-6)
    name = "model.layers.0.mlp.up_proj.weight"
    assert np.allclose(np.array(first[name]), np.array(second[name]), atol=1e-7)
    team.close()


def test_conversation_rows_learn_what_the_mask_says(shards):
    mixture = Mixture([open_shard(shards, "talk", "train")], [1.0])
    batches = ConversationBatches(
        mixture, context=64, window=32, tokens_per_step=256, micro_tokens=128, seed=0
    )
    for batch in batches(3):
        assert batch.tokens.shape[1] == batch.mask.shape[1] + 1
        assert batch.mask.size <= 128
        for row, mask in zip(batch.tokens, batch.mask, strict=True):
            if row.any():
                # the record learns ids 16 to 30; as targets they are one place to the left
                assert np.flatnonzero(mask).tolist() == list(range(15, 30))


def test_batches_depend_on_seed_and_step_alone(shards, tiny_args):
    schedule = WarmupStableDecay(10, 1, 1)
    first, second = text_batches(shards, schedule), text_batches(shards, schedule)
    assert np.array_equal(first(7)[0].tokens, second(7)[0].tokens)
    assert not np.array_equal(first(7)[0].tokens, first(8)[0].tokens)


def test_schedule_rises_stays_and_falls():
    schedule = WarmupStableDecay(steps=100, warmup_steps=10, decay_steps=20)
    factors = [schedule(step) for step in range(100)]
    assert factors[0] == pytest.approx(0.1) and factors[10:80] == [1.0] * 70
    assert factors[90] == pytest.approx(0.5) and factors[99] == pytest.approx(0.05)
    assert not schedule.decays(79) and schedule.decays(80)


def test_muon_moves_every_direction_alike():
    matrix = mx.random.normal((24, 40), key=mx.random.key(0))
    singular = np.linalg.svd(np.array(orthogonalize(matrix)), compute_uv=False)
    assert singular.min() > 0.6 and singular.max() < 1.3


def test_adamw_step_equals_the_textbook():
    weights = {"model.norm.weight": mx.array([1.0, -2.0])}
    gradients = {"model.norm.weight": mx.array([0.3, -0.1])}
    rates = OptimizerSettings(matrix_rate=0.02, other_rate=0.01, clip_norm=10)
    new, _, norm = update(weights, gradients, initial_state(weights), rates, step=0, scale=0.5)
    # at the first step, bias correction makes the update the sign of the gradient
    assert np.allclose(np.array(new["model.norm.weight"]), [1 - 0.005, -2 + 0.005], atol=1e-6)
    assert norm.item() == pytest.approx(np.hypot(0.3, 0.1), rel=1e-5)


def test_checkpoint_of_another_architecture_is_refused(shards, tiny_args, tmp_path):
    from dataclasses import replace

    run = settings(tmp_path / "run", tiny_args, steps=2)
    train(run, text_batches(shards, run.schedule), start(run), lanes=1)
    with pytest.raises(UserError, match="another architecture"):
        start(settings(tmp_path / "run", replace(tiny_args, num_hidden_layers=3)))


def test_nan_stops_and_names_the_last_good_checkpoint(shards, tiny_args, tmp_path):
    run = settings(tmp_path / "run", tiny_args, steps=2)
    train(run, text_batches(shards, run.schedule), start(run), lanes=1)
    broken = settings(tmp_path / "run", tiny_args, steps=6)
    begin = start(broken)
    begin.weights["model.norm.weight"] = begin.weights["model.norm.weight"] * float("nan")
    mx.eval(begin.weights)
    with pytest.raises(UserError, match="step-00000002"):
        train(broken, text_batches(shards, broken.schedule), begin, lanes=1)


def test_half_written_checkpoint_is_never_taken(shards, tiny_args, tmp_path):
    run = settings(tmp_path / "run", tiny_args, steps=4)
    train(run, text_batches(shards, run.schedule), start(run), lanes=1)
    folder = tmp_path / "run" / CHECKPOINTS
    (folder / ".step-00000009.partial").mkdir()
    assert checkpoints.latest(folder).name == "step-00000004"
    assert start(run).step == 4


def test_shard_of_the_wrong_length_is_refused(shards):
    with open(shards / "text.train.bin", "ab") as file:
        file.write(b"\0\0")
    with pytest.raises(UserError, match="build the shards again"):
        open_shard(shards, "text", "train")
