"""One command from a text file to a model directory."""

import json
import subprocess
import sys
from pathlib import Path

from training_fixtures import ONE_THREAD

from mlx_toy import model_directory

ROOT = Path(__file__).parent.parent


def train_all(*arguments):
    command = [sys.executable, "-m", "train", "all", "--preset", "nano", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, env=ONE_THREAD, capture_output=True, text=True)


def test_own_text_becomes_a_model(tmp_path):
    book = tmp_path / "book.txt"
    people, places = ("Ann", "Tom", "Ida", "Max"), ("garden", "harbour", "kitchen", "forest")
    book.write_text(
        "\n\n".join(
            f"On day {day} {people[day % 4]} went to the {places[day % 3]} and saw {day * 7} birds."
            f" {people[day % 3]} counted {day} of them before the rain came, and said nothing."
            for day in range(400)
        )
    )
    out = tmp_path / "out"
    short = ["--text", book, "--out", out, "--steps", 2, "--finetune-steps", 1]
    done = train_all(*short)
    assert done.returncode == 0, done.stderr
    model_directory.validate(out / "model")
    stages = json.loads((out / "model" / "lineage.json").read_text())["stages"]
    assert [stage["stage"] for stage in stages] == ["pretrain", "finetune"]

    again = train_all(*short)  # everything is there: nothing is trained twice
    assert again.returncode == 0 and "step 1/2" not in again.stderr, again.stderr
    book.write_text(book.read_text() + "The end.")
    other = train_all(*short)
    assert other.returncode == 2 and "name another --out" in other.stderr


def test_missing_text_is_one_sentence(tmp_path):
    done = train_all("--text", tmp_path / "none.txt", "--out", tmp_path / "out")
    assert done.returncode == 2 and not (tmp_path / "out").exists()
    assert done.stderr.count("\n") == 1 and done.stderr.startswith("error: cannot read")
