"""No run is lost or spoiled: two at once, foreign checkpoints, too little text, a full disk."""

import json
import os
import resource
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from mlx_toy.backend import mx

import pytest
from training_fixtures import ONE_THREAD, TINY, write_shards

from mlx_toy.errors import UserError
from mlx_toy.tokenizer import Tokenizer
from train import checkpoints, records
from train.batches import ConversationBatches
from train.checkpoints import Checkpoint
from train.loop import CHECKPOINTS
from train.run_lock import only_run
from train.shards import Mixture, open_mixture, open_shard
from train.stages import finetune, pretrain
from train.train_tokenizer import train_tokenizer

ROOT = Path(__file__).parent.parent
HOLD = """
import sys
from pathlib import Path
from train.run_lock import only_run
with only_run(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def shards(tmp_path, tiny_tokenizer):
    return write_shards(tmp_path / "shards", tiny_tokenizer)


@pytest.fixture
def other_tokenizer(tmp_path):
    """As many pieces as the tiny one, but others."""
    sample = tmp_path / "other.jsonl"
    text = " ".join(f"{number * number:x}{number:o}" for number in range(2000))
    sample.write_text(json.dumps({"text": text}) + "\n")
    return train_tokenizer(sample, tmp_path / "other", vocab_size=400)


def test_second_run_in_a_directory_is_refused_until_the_first_is_dead(tmp_path):
    run = tmp_path / "run"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(run)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout.readline() == "held\n"
    refused = pytest.raises(UserError, match=rf"process {holder.pid} trains in .*run already")
    with refused, only_run(run):
        pass
    os.kill(holder.pid, signal.SIGKILL)
    holder.communicate()
    with only_run(run):
        pass


def test_stages_hold_their_directory(shards, tiny_tokenizer, tmp_path):
    with only_run(tmp_path / "run"), pytest.raises(UserError, match="trains in"):
        pretrain(TINY, shards, tiny_tokenizer, tmp_path / "run")


def test_run_directory_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "run").write_text("")
    with pytest.raises(UserError, match="cannot hold a run"), only_run(tmp_path / "run"):
        pass


def test_foreign_checkpoints_are_refused(shards, tiny_tokenizer, other_tokenizer, tmp_path):
    run = tmp_path / "run"
    pretrain(TINY, shards, tiny_tokenizer, run, steps=2)
    with pytest.raises(UserError, match=r"another architecture \(preset tiny: .*hidden_layers 1"):
        pretrain(replace(TINY, layers=2), shards, tiny_tokenizer, run)
    assert isinstance(other_tokenizer, Tokenizer) and other_tokenizer.vocab_size == 400
    others = write_shards(tmp_path / "others", other_tokenizer)
    with pytest.raises(UserError, match="another tokenizer"):
        pretrain(TINY, others, other_tokenizer, run)
    with pytest.raises(UserError, match=r"another stage \(pretrain, not finetune\)"):
        finetune(TINY, shards, tiny_tokenizer, run, run)
    assert checkpoints.load(checkpoints.latest(run / CHECKPOINTS)).step == 2


def test_shards_of_another_tokenizer_are_refused(shards, other_tokenizer, tmp_path):
    with pytest.raises(UserError, match="shards were made with another tokenizer"):
        pretrain(TINY, shards, other_tokenizer, tmp_path / "run")


def test_text_shorter_than_a_window_is_refused(tiny_tokenizer, tmp_path):
    short = write_shards(tmp_path / "short", tiny_tokenizer, texts=2)
    with pytest.raises(UserError, match=r"too little text.*\(text\).*window of 257 tokens"):
        pretrain(replace(TINY, window=256), short, tiny_tokenizer, tmp_path / "run")


def test_text_that_is_learned_by_heart_is_announced(tiny_tokenizer, tmp_path, capfd):
    short = write_shards(tmp_path / "short", tiny_tokenizer, texts=2)
    pretrain(TINY, short, tiny_tokenizer, tmp_path / "run", steps=10)
    assert "learns by heart: give more text" in capfd.readouterr().err


def test_conversations_without_an_answer_are_refused(shards):
    shard = open_shard(shards, "talk", "train")
    mute = Mixture([replace(shard, loss_mask=shard.loss_mask * 0)], [1.0])
    batches = ConversationBatches(
        mute, context=64, window=32, tokens_per_step=64, micro_tokens=64, seed=0
    )
    with pytest.raises(UserError, match="no assistant's words"):
        batches(0)


@pytest.mark.parametrize("file", ["text.train.bin", "text.train.offsets.bin", "text.train.json"])
@pytest.mark.parametrize("damage", ["", None])
def test_damaged_shards_are_refused(shards, file, damage):
    (shards / file).write_text("") if damage == "" else (shards / file).unlink()
    with pytest.raises(UserError, match="build the shards again"):
        open_mixture(shards, "pretrain")


FULL_DISK = """
import resource, signal, sys
from train.__main__ import main
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), resource.RLIM_INFINITY))
sys.exit(main(sys.argv[2:]))
"""


def test_full_disk_stops_with_the_last_checkpoint_named(shards, tiny_tokenizer, tmp_path):
    """A limit on the size of files stands in for a disk without room."""
    run = tmp_path / "run"
    arguments = ["pretrain", "--preset", "nano", "--steps", "2", "--checkpoint-every", "1"]
    arguments += ["--tokens-per-step", "256", "--tokenizer", shards, "--shards", shards]
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, "200000", *map(str, arguments), "--run", str(run)],
        cwd=ROOT,
        env=ONE_THREAD,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2, done.stderr
    assert "could not be written" in done.stderr and "Traceback" not in done.stderr
    assert checkpoints.latest(run / CHECKPOINTS) is None
    assert not list((run / CHECKPOINTS).iterdir())


def test_checkpoint_that_cannot_be_written_leaves_the_one_before(tmp_path):
    small = Checkpoint(1, {"w": mx.zeros((8,))}, {"first.w": mx.zeros((8,))}, {})
    large = Checkpoint(2, {"w": mx.zeros((50_000,))}, {"first.w": mx.zeros((50_000,))}, {})
    checkpoints.save(tmp_path, small)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))
    try:
        with pytest.raises(UserError, match=r"make room.*it goes on from .*step-00000001"):
            checkpoints.save(tmp_path, large)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert checkpoints.load(checkpoints.latest(tmp_path)).step == 1


def test_records_after_the_checkpoint_are_dropped_when_a_run_goes_on(tmp_path):
    file = tmp_path / records.METRICS_FILE
    for step in (1, 2, 3):
        records.append(file, {"step": step})
    with open(file, "a") as cut:
        cut.write('{"step": 4, "lo')
    records.rewind(tmp_path, 2)
    assert records.read(file) == [{"step": 1}, {"step": 2}]


def test_polite_kill_saves_and_says_how_to_go_on(shards, tmp_path):
    run = tmp_path / "run"
    arguments = ["pretrain", "--preset", "nano", "--steps", "500", "--tokens-per-step", "256"]
    arguments += ["--tokenizer", shards, "--shards", shards, "--run", run]
    victim = subprocess.Popen(
        [sys.executable, "-m", "train", *map(str, arguments)],
        cwd=ROOT,
        env=ONE_THREAD,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    victim.stderr.readline()  # the report of step 10
    victim.terminate()
    _, said = victim.communicate(timeout=60)
    step = checkpoints.load(checkpoints.latest(run / CHECKPOINTS)).step
    assert victim.returncode == 0 and 10 <= step < 500
    assert f"stopped at step {step}, saved: run the same command again" in said


def test_checkpoint_of_broken_weights_is_not_saved(shards, tiny_tokenizer, tmp_path):
    """A rate beyond all reason: the run ends, and what is on disk is a number."""
    wild = replace(TINY, matrix_rate=1e30, other_rate=1e30)
    with pytest.raises(UserError, match=r"not a number at step \d+: run again with lower rates"):
        pretrain(wild, shards, tiny_tokenizer, tmp_path / "run", steps=20, checkpoint_every=1)
    newest = checkpoints.latest(tmp_path / "run" / CHECKPOINTS)
    if newest is not None:
        weights = checkpoints.load(newest).weights
        assert all(mx.isfinite(array).all().item() for array in weights.values())
