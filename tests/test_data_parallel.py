"""Several processes train as one: the same losses and the same weights, to float tolerance."""

import json
import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from training_fixtures import ONE_THREAD, TINY, write_shards

from train import checkpoints, records
from train.loop import CHECKPOINTS

TESTS = Path(__file__).parent
STEPS = 5
BATCH = replace(TINY, tokens_per_step=512)  # 8 micro-batches of 2 windows of 32 tokens
TRAIN = f"""
import sys
from pathlib import Path
from mlx_toy.errors import UserError
from mlx_toy.tokenizer import Tokenizer
from train.stages import pretrain
from test_data_parallel import BATCH
shards, run = map(Path, sys.argv[1:])
try:
    pretrain(BATCH, shards, Tokenizer.load(shards), run, steps={STEPS}, checkpoint_every=1)
except UserError as error:
    sys.exit(f"error: {{error}}")
"""


def launch(shards, run, *, size):
    """Train in `size` processes of a ring on this computer, as `mlx.launch` starts them."""
    path = os.pathsep.join([str(TESTS), str(TESTS.parent)])
    environment = [{**ONE_THREAD, "PYTHONPATH": path} for _ in range(size)]
    if size > 1:
        hosts = run.parent / "hosts.json"
        hosts.write_text(json.dumps([[f"127.0.0.1:{port}"] for port in _free_ports(size)]))
        for rank, variables in enumerate(environment):
            variables.update(MLX_RANK=str(rank), MLX_HOSTFILE=str(hosts))
    return [
        subprocess.Popen(
            [sys.executable, "-c", TRAIN, shards, run if rank == 0 else run.parent / "elsewhere"],
            env=variables,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank, variables in enumerate(environment)
    ]


def _free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def finish(processes):
    """The exit code of each process and what it said."""
    said = [process.communicate(timeout=120)[1] for process in processes]
    return [process.returncode for process in processes], said


@pytest.fixture
def shards(tmp_path, tiny_tokenizer):
    return write_shards(tmp_path / "shards", tiny_tokenizer)


def test_two_processes_train_as_one_with_twice_the_batch(shards, tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    codes, said = finish(launch(shards, one, size=1))
    assert codes == [0], said
    codes, said = finish(launch(shards, two, size=2))
    assert codes == [0, 0], said
    assert said[1] == ""  # the second process is silent ...
    assert not (tmp_path / "elsewhere").exists()  # ... and writes nothing
    curves = [
        [r["loss"] for r in records.read(run / records.METRICS_FILE) if "loss" in r]
        for run in (one, two)
    ]
    assert len(curves[0]) == len(curves[1]) == STEPS
    assert np.allclose(*curves, atol=2e-3)
    alone, shared = (checkpoints.load(checkpoints.latest(run / CHECKPOINTS)) for run in (one, two))
    assert alone.step == shared.step == STEPS
    assert alone.facts["tokens"] == shared.facts["tokens"] == STEPS * BATCH.tokens_per_step
    for name, array in alone.weights.items():
        assert np.allclose(np.array(array), np.array(shared.weights[name]), atol=1e-3), name


def test_run_goes_on_with_another_number_of_processes(shards, tmp_path):
    """The directory is held by another at first: both processes end, and both say why."""
    from train.run_lock import only_run

    with only_run(tmp_path / "run"):
        codes, said = finish(launch(shards, tmp_path / "run", size=2))
    assert codes == [1, 1] and "trains in" in said[0] and "another process" in said[1], said
    finish(launch(shards, tmp_path / "run", size=1))
    newest = checkpoints.latest(tmp_path / "run" / CHECKPOINTS)
    newest.rename(newest.with_name(".gone"))  # so that one step is left to do
    codes, said = finish(launch(shards, tmp_path / "run", size=2))
    assert codes == [0, 0] and f"step {STEPS}/{STEPS}" in said[0], said
