"""A build that is killed: run again, it ends as if nothing had happened, and no process stays."""

import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import corpus.__main__ as command
from corpus.catalog import load_catalog

WORDS = [a + b + c for a in "bdfgklmnprst" for b in "aeiou" for c in "dlmnrst"]
# Runs the command, and kills itself where an audit event names a file for the given time.
KILLED = """
import os, pathlib, signal, sys
import corpus.__main__ as command
from corpus.catalog import load_catalog

catalog, event, name, times = pathlib.Path(sys.argv[1]), *sys.argv[2:4], int(sys.argv[4])
seen = 0

def hook(happened, arguments):
    global seen
    if happened == event and os.path.basename(str(arguments[0])) == name:
        seen += 1
        if seen == times:
            os.kill(os.getpid(), signal.SIGKILL)

command.load_catalog = lambda: load_catalog(catalog)
sys.addaudithook(hook)
command.main(sys.argv[5:])
"""
CATALOG = """
[[source]]
name = "base/{name}"
kind = "{kind}"
file = "{name}"
sha256 = ""
records = 0
licence = "CC0-1.0"
attribution = "us"
upstream = "made here"
stages = {{ pretrain = 1, decay = 1, finetune = 1 }}
"""


@pytest.fixture
def catalog(tmp_path, monkeypatch):
    """Two sources: text in two files, the first larger than what is encoded at once; chats."""
    rng = random.Random(0)

    def words(count):
        return " ".join(rng.choices(WORDS, k=count))

    data = tmp_path / "data"
    for name, first, second in (("text", 1600, 20), ("chat", 40, 20)):
        (data / name).mkdir(parents=True)
        for file, count in (("first.jsonl", first), ("second.jsonl", second)):
            with open(data / name / f"{name}-{file}", "w") as lines:
                for i in range(count):
                    turns = [("user", words(9)), ("assistant", words(9))]
                    record = {
                        "id": f"{file} {i}",
                        "valid": i % 10 == 5,
                        "text": words(40),
                        "messages": [{"role": role, "content": said} for role, said in turns],
                    }
                    lines.write(json.dumps(record) + "\n")
    (data / "eval").mkdir()
    (data / "eval" / "held_out.jsonl").write_text(json.dumps({"text": words(30)}) + "\n")
    file = tmp_path / "catalog.toml"
    file.write_text("".join(CATALOG.format(name=name, kind=name) for name in ("text", "chat")))
    monkeypatch.setattr(command, "load_catalog", lambda: load_catalog(file))
    return file


def arguments(catalog, out):
    data = str(catalog.parent / "data")
    return ["build", "--data", data, "--out", str(out), "--workers", "1"]


def kill(catalog, out, event, name, times=1):
    """Run a build that kills itself at a moment."""
    moment = [str(catalog), event, name, str(times)]
    python = [sys.executable, "-c", KILLED, *moment, *arguments(catalog, out)]
    repository = Path(command.__file__).parent.parent
    done = subprocess.run(python, cwd=repository, capture_output=True, text=True, timeout=60)
    assert done.returncode == -signal.SIGKILL, done.stderr


def add_tokenizer(out, tokenizer):
    (out / "tokenizer").mkdir()
    (out / "tokenizer" / "tokenizer.model").write_bytes(tokenizer.model_proto)


def files(out):
    return {str(f.relative_to(out)): f.read_bytes() for f in out.rglob("*") if f.is_file()}


def test_killed_builds_end_like_an_uninterrupted_one(catalog, tiny_tokenizer, tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert command.main(arguments(catalog, whole)) == 0  # the text sample
    add_tokenizer(whole, tiny_tokenizer)
    assert command.main(arguments(catalog, whole)) == 0  # the shards

    kill(catalog, killed, "open", "base-chat.rows")  # one source is screened
    kill(catalog, killed, "os.rename", "text.jsonl.partial")
    assert command.main(arguments(catalog, killed)) == 0
    add_tokenizer(killed, tiny_tokenizer)
    # The third time: after the checksum and the validation split.
    kill(catalog, killed, "open", "text-second.jsonl", times=3)
    half = (killed / "shards" / "base-text.train.bin").stat().st_size
    assert 0 < half < (whole / "shards" / "base-text.train.bin").stat().st_size
    kill(catalog, killed, "os.rename", "base-chat.valid.json.partial")
    kill(catalog, killed, "os.rename", "corpus.json.partial")
    assert command.main(arguments(catalog, killed)) == 0
    assert "shards/base-chat.train.bin" in files(whole)
    assert files(killed) == files(whole)


def test_workers_end_when_their_parent_is_killed():
    """The pipe of the output is closed when the last process that could write to it is gone."""
    program = (
        "import itertools; from corpus.parallel import Workers\n"
        "for _ in Workers(2).map(abs, itertools.count()): print('at work', flush=True)"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=Path(command.__file__).parent.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert parent.stdout.readline() == b"at work\n"
    os.kill(parent.pid, signal.SIGKILL)
    parent.communicate(timeout=20)  # until the end of the output
