"""What a run tells: samples, metrics with utilisation and memory, the plot, trackio."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

from mlx_toy.backend import mx

import numpy as np
import pytest
from training_fixtures import TINY, write_shards

from mlx_toy.errors import UserError
from train import records
from train.batches import MicroBatch
from train.initial import initial_weights
from train.lanes import Lanes
from train.progress import peak_memory_bytes, step_flops
from train.samples import PIECES, chat_prompts, sampler
from train.stages import finetune, pretrain


@pytest.fixture(scope="module")
def shards(tmp_path_factory, tiny_tokenizer):
    return write_shards(tmp_path_factory.mktemp("shards"), tiny_tokenizer)


@pytest.fixture(scope="module")
def run(tmp_path_factory, shards, tiny_tokenizer):
    """Two checkpoints of a tiny base model."""
    run = tmp_path_factory.mktemp("run")
    pretrain(TINY, shards, tiny_tokenizer, run, steps=4, checkpoint_every=2)
    return run


def test_samples_are_kept_at_every_checkpoint(run):
    kept = records.read(run / records.SAMPLES_FILE)
    assert [r["step"] for r in kept] == [2] * 4 + [4] * 4
    assert kept[0]["prompt"].startswith("The cat sat on mat")
    assert [r["prompt"] for r in kept[:4]] == [r["prompt"] for r in kept[4:]]
    assert any(r["text"] for r in kept)


def test_samples_of_the_same_weights_are_the_same(tiny_args, tiny_tokenizer):
    weights = initial_weights(tiny_args, seed=1)
    sample = sampler(chat_prompts(tiny_tokenizer), tiny_tokenizer)
    with Lanes(tiny_args, 2) as team:
        first, second = sample(team, weights), sample(team, weights)
    assert first == second and all(len(s["text"]) > 0 for s in first)
    assert all(len(tiny_tokenizer.encode(s["text"])) <= 4 * PIECES for s in first)


def test_sampling_step_by_step_equals_the_whole_sequence(tiny_args):
    """The cache of the samples gives the logits that the model gives without one."""
    from train.samples import _Cache

    ids = mx.array([[1, 5, 9, 20, 7, 3]])

    def both(model):
        caches = [_Cache() for _ in model.layers]
        parts = [model(ids[:, :3], caches), *(model(ids[:, i : i + 1], caches) for i in (3, 4, 5))]
        return np.array(model(ids)), np.array(mx.concatenate(parts, axis=1))

    weights = initial_weights(tiny_args, seed=1)
    with Lanes(tiny_args, 1) as team:
        whole, stepwise = team.with_model(weights, both)
    assert np.allclose(whole, stepwise, atol=1e-5)


def test_metrics_tell_speed_utilisation_and_memory(run):
    metrics = records.read(run / records.METRICS_FILE)
    reports = [r for r in metrics if "loss" in r]
    assert [r["step"] for r in reports] == [2, 4]
    assert all(0 <= r["utilisation"] < 1 and r["peak_memory_mb"] > 10 for r in reports)
    validations = [r for r in metrics if "bits per byte text" in r]
    assert [r["step"] for r in validations] == [2, 4]
    assert (run / "loss.png").read_bytes().startswith(b"\x89PNG")


def test_operations_of_a_step_are_counted_by_the_rule(tiny_args):
    batch = MicroBatch(np.zeros((2, 17), np.int32), np.ones((2, 16), np.float32))
    # 2 layers, 4 heads of 8: 6 a parameter and token, 12 a layer, channel and pair of tokens
    expected = 6 * 1000 * 32 + 12 * 2 * 32 * 32 * 16
    assert step_flops(tiny_args, 1000, [batch]) == expected
    assert peak_memory_bytes() > 10e6


def test_finetuning_answers_the_fixed_questions(run, shards, tiny_tokenizer, tmp_path):
    from train import checkpoints
    from train.loop import CHECKPOINTS

    base = checkpoints.latest(run / CHECKPOINTS)
    finetune(TINY, shards, tiny_tokenizer, tmp_path, base, steps=2)
    prompts = [r["prompt"] for r in records.read(tmp_path / records.SAMPLES_FILE)]
    assert len(prompts) == 3 and prompts[0].startswith("Hello! Who are you?")


@pytest.mark.skipif(importlib.util.find_spec("trackio") is not None, reason="trackio is installed")
def test_tracking_without_trackio_is_refused_before_the_run(shards, tiny_tokenizer, tmp_path):
    with pytest.raises(UserError, match="pip install trackio"):
        pretrain(TINY, shards, tiny_tokenizer, tmp_path / "run", track="project")
    assert not (tmp_path / "run").exists()


TRACK = """
import sys
from pathlib import Path
from train.tracking import tracker
with tracker("project", Path(sys.argv[1]), {"seed": 1}) as track:
    track({"step": 1, "loss": 2.5})
"""


@pytest.mark.skipif(importlib.util.find_spec("trackio") is None, reason="trackio is optional")
def test_trackio_gets_every_metric(tmp_path):
    environment = {**os.environ, "TRACKIO_DIR": str(tmp_path / "trackio")}
    command = [sys.executable, "-c", TRACK, str(tmp_path / "run")]
    subprocess.run(command, cwd=Path(__file__).parent.parent, env=environment, check=True)
    assert list((tmp_path / "trackio").rglob("project*"))
