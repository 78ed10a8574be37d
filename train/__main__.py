"""Commands of training; each goes on where an interrupted one stopped.

    python -m train tokenizer --preset mini --text RUN/text.jsonl --out RUN/tokenizer
    python -m train pretrain  --preset mini --tokenizer RUN/tokenizer --shards RUN/shards --run RUN/base
    python -m train finetune  --preset mini --tokenizer RUN/tokenizer --shards RUN/shards \\
                              --run RUN/chat --init RUN/base
    python -m train export    --tokenizer RUN/tokenizer --shards RUN/shards --run RUN/chat --out DIR
    python -m train embedder  --data DIR --tokenizer RUN/tokenizer --out DIR
"""

import argparse
import os
import sys
from pathlib import Path

from mlx_toy.errors import UserError


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m train",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True)

    tokenizer = commands.add_parser("tokenizer", help="train the tokenizer")
    _preset_argument(tokenizer)
    tokenizer.add_argument("--text", type=Path, required=True, help="JSON-lines file of texts")
    tokenizer.add_argument("--out", type=Path, required=True, help="directory to write")
    tokenizer.add_argument("--vocab-size", type=int, help="pieces (default: the preset's)")

    for stage in ("pretrain", "finetune"):
        command = commands.add_parser(stage, help=f"{stage} a model, or go on")
        _preset_argument(command)
        command.add_argument("--tokenizer", type=Path, required=True, help="its directory")
        command.add_argument("--shards", type=Path, required=True, help="directory of token shards")
        command.add_argument("--run", type=Path, required=True, help="directory of the run")
        command.add_argument("--steps", type=int, help="of the schedule (default: the preset's)")
        command.add_argument("--seed", type=int, default=0)
        command.add_argument("--checkpoint-every", type=int, default=100, help="steps")
        if stage == "pretrain":
            command.add_argument("--decay-steps", type=int, help="at the end (default: 30%%)")
            command.add_argument("--branch", type=Path, help="run or checkpoint to go on from")
        else:
            command.add_argument("--init", type=Path, required=True, help="run of the base model")

    export = commands.add_parser("export", help="write a model directory from a run")
    export.add_argument("--tokenizer", type=Path, required=True, help="its directory")
    export.add_argument("--shards", type=Path, required=True, help="for the list of sources")
    export.add_argument("--run", type=Path, required=True, help="directory of the run")
    export.add_argument("--out", type=Path, required=True, help="model directory to write")

    plot = commands.add_parser("plot", help="draw the loss curve of a run")
    plot.add_argument("--run", type=Path, required=True, help="directory of the run")

    return parser


def _preset_argument(command: argparse.ArgumentParser) -> None:
    command.add_argument("--preset", default="nano", help="nano, mini or toy (default: nano)")


def _run(options: argparse.Namespace) -> None:
    # Imported here, so that a wrong command line is answered at once.
    from mlx_toy.tokenizer import Tokenizer
    from train import checkpoints, loop

    def newest(path: Path | None) -> Path | None:
        return path and (checkpoints.latest(path / loop.CHECKPOINTS) or path)

    if options.command == "tokenizer":
        from train.presets import preset
        from train.train_tokenizer import train_tokenizer

        size = options.vocab_size or preset(options.preset).vocab_size
        trained = train_tokenizer(options.text, options.out, size)
        print(f"{trained.vocab_size} pieces in {options.out}")
    elif options.command in ("pretrain", "finetune"):
        from train import plot, stages
        from train.presets import preset

        common = {
            "steps": options.steps,
            "seed": options.seed,
            "checkpoint_every": options.checkpoint_every,
        }
        chosen, tokenizer = preset(options.preset), Tokenizer.load(options.tokenizer)
        if options.command == "pretrain":
            done = stages.pretrain(
                chosen,
                options.shards,
                tokenizer,
                options.run,
                **common,
                decay_steps=options.decay_steps,
                branch=newest(options.branch),
            )
        else:
            done = stages.finetune(
                chosen, options.shards, tokenizer, options.run, newest(options.init), **common
            )
        plot.draw(options.run)
        print(f"step {done.step} in {options.run}")
    elif options.command == "plot":
        from train import plot

        print(plot.draw(options.run))
    elif options.command == "export":
        from train.export import export

        export(options.run, options.tokenizer, options.shards, options.out)
        print(f"model directory {options.out}")


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit code (2 for bad input)."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # a lane a core, see train/lanes.py
    options = _parser().parse_args(arguments)
    try:
        _run(options)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
