"""All stages by one command, on your own text: from a file to a model that runs, in minutes.

    python -m train all --preset nano --text mybook.txt --out my-model

It runs what one would run by hand (the corpus by its own command, then tokenizer, pretraining,
fine-tuning where there are conversations, export), each step in its own directory below `--out`.
Interrupted, the same command goes on where it stopped.
"""

import argparse
import hashlib
import json
import math
import subprocess
import sys
from pathlib import Path

from mlx_toy.errors import UserError
from mlx_toy.tokenizer import FILE_NAME, Tokenizer
from train.arguments import positive
from train.presets import Preset, preset
from train.processes import Processes
from train.tracking import check_installed

EPOCHS = 10  # times the text is read, where the preset's steps would read it more often
MIN_STEPS = 100  # fewer teach a model nothing, however short the text
MIN_PIECES = 512  # of a tokenizer: 260 are bytes and control tokens
CHECKPOINTS_A_STAGE = 5  # at least; more often in a long stage
ORDER_FILE = "order.json"


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add the command's own flags; `--preset` is common to all stages."""
    origin = command.add_mutually_exclusive_group()
    origin.add_argument("--text", type=Path, nargs="+", metavar="FILE", help="your own text files")
    origin.add_argument("--data", help="directory with the sources (default: $MLX_TOY_DATA)")
    command.add_argument("--out", type=Path, required=True, metavar="DIR", help="of all results")
    command.add_argument(
        "--steps", type=positive, help="of pretraining (default: by the text's length)"
    )
    command.add_argument("--finetune-steps", type=positive, help="(default: the preset's)")
    command.add_argument("--seed", type=int, default=0, help="of weights and data")
    command.add_argument("--track", default="", metavar="PROJECT", help="log to trackio too")


def run(options: argparse.Namespace) -> None:
    """Run all stages, or those that are left.

    Raises:
        UserError: bad input, or `--out` holds the model of another text or preset.
    """
    from train.export import export
    from train.stages import finetune, pretrain

    size, out = preset(options.preset), options.out
    shards, tokenizer_dir = out / "shards", out / "tokenizer"
    if Processes().size > 1:
        raise UserError("`all` is for one process: run the stages one by one with mlx.launch")
    if options.track:
        check_installed()
    _check_order(options)
    if not (tokenizer_dir / FILE_NAME).is_file():
        _build_corpus(options, stdout=subprocess.DEVNULL)  # the sample for the tokenizer ...
        _train_tokenizer(out / "text.jsonl", tokenizer_dir, size.vocab_size)
    _build_corpus(options)  # ... and, once there is one, the shards
    tokenizer = Tokenizer.load(tokenizer_dir)

    steps = options.steps or _steps(size, shards)
    common = {"seed": options.seed, "track": options.track}
    base = out / "base"
    print(f"pretraining, {steps} steps", file=sys.stderr)
    every = _checkpoint_every(steps)
    done = pretrain(size, shards, tokenizer, base, steps=steps, checkpoint_every=every, **common)
    if done.step < steps:  # stopped by Ctrl-C
        return
    last, before = base, []
    if _has_conversations(shards):
        steps = options.finetune_steps or size.finetune_steps
        print(f"fine-tuning, {steps} steps", file=sys.stderr)
        last, before, every = out / "chat", [base], _checkpoint_every(steps)
        arguments = (size, shards, tokenizer, last, _newest(base))
        done = finetune(*arguments, steps=steps, checkpoint_every=every, **common)
        if done.step < steps:
            return
    export(last, tokenizer_dir, shards, out / "model", before=before)
    print(f"model directory {out / 'model'}; open it: python app.py --model {out / 'model'}")


def _check_order(options: argparse.Namespace) -> None:
    """Remember what a directory is made from, so that no model is mixed from two texts."""
    texts = {}
    for file in options.text or ():
        try:
            texts[file.name] = hashlib.sha256(file.read_bytes()).hexdigest()
        except OSError as error:
            raise UserError(f"cannot read {file} ({error.strerror}): check --text") from error
    order = {"preset": options.preset, "texts": texts, "data": options.data}
    path = options.out / ORDER_FILE
    if not path.is_file():
        options.out.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(order, indent=1))
    elif json.loads(path.read_text()) != order:
        raise UserError(
            f"{options.out} was made from other text or by another preset: name another --out, "
            "or delete it"
        )


def _build_corpus(options: argparse.Namespace, stdout: int | None = None) -> None:
    """Run the corpus's own command; it says itself what is wrong.

    Where there is no tokenizer yet it ends by telling, on `stdout` (None: the standard error), to
    train one and to run it again. Here both follow by themselves.
    """
    command = [sys.executable, "-m", "corpus", "build", "--preset", options.preset]
    command += ["--out", str(options.out)]
    if options.text:
        command += ["--text", *(str(file.resolve()) for file in options.text)]
    elif options.data:
        command += ["--data", options.data]
    done = subprocess.run(command, stdout=sys.stderr if stdout is None else stdout, check=False)
    if done.returncode:
        raise SystemExit(done.returncode)


def _train_tokenizer(sample: Path, out: Path, pieces: int) -> None:
    """With as many pieces as the text has use for, at most `pieces`."""
    from train.train_tokenizer import train_tokenizer

    while True:
        try:
            train_tokenizer(sample, out, pieces)
            return
        except UserError:
            if pieces // 2 < MIN_PIECES:
                raise
            pieces //= 2
            print(f"a short text: a tokenizer of {pieces} pieces", file=sys.stderr)


def _steps(size: Preset, shards: Path) -> int:
    """The preset's steps; fewer where they would read a short text again and again."""
    from train.shards import open_mixture

    tokens = sum(len(shard.tokens) for shard in open_mixture(shards, "pretrain").shards)
    wanted = math.ceil(EPOCHS * tokens / size.tokens_per_step)
    return min(size.pretrain_steps, max(MIN_STEPS, wanted))


def _checkpoint_every(steps: int) -> int:
    return min(100, max(1, steps // CHECKPOINTS_A_STAGE))


def _has_conversations(shards: Path) -> bool:
    from train.shards import open_shard, read_mixture_file

    names = read_mixture_file(shards)["stages"].get("finetune", {})
    found = (open_shard(shards, name, "train") for name in names)
    return any(shard is not None and shard.loss_mask is not None for shard in found)


def _newest(run_directory: Path) -> Path:
    from train import checkpoints
    from train.loop import CHECKPOINTS

    return checkpoints.latest(run_directory / CHECKPOINTS) or run_directory
