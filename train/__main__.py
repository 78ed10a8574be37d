"""Commands of training; each goes on where an interrupted one stopped.

    python -m train all       --preset nano --text mybook.txt --out DIR
    python -m train plan      --preset small --hours 8
    python -m train tokenizer --preset mini --text RUN/text.jsonl --out RUN/tokenizer
    python -m train pretrain  --preset mini --tokenizer RUN/tokenizer --shards RUN/shards \\
                              --run RUN/base
    python -m train finetune  --preset mini --tokenizer RUN/tokenizer --shards RUN/shards \\
                              --run RUN/chat --init RUN/base
    python -m train export    --tokenizer RUN/tokenizer --shards RUN/shards --run RUN/chat \\
                              --before RUN/base --out DIR
    python -m train embedder  --data DIR --tokenizer RUN/tokenizer --out DIR
    python -m train reader    --data DIR --out DIR
    python -m train calibrate --model DIR --data DIR
    python -m train selector  --model DIR
    python -m train reranker  --data DIR --out DIR
    python -m train evaluate  --model DIR --data DIR
    python -m train replies   --model DIR --out replies.md
    python -m train evaluate-retrieval --data DIR
"""

import argparse
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from mlx_toy.errors import UserError
from train.arguments import positive

if TYPE_CHECKING:
    from train.checkpoints import Checkpoint
    from train.presets import Preset


ONE_MODEL = ("evaluate", "replies")  # commands that run one model on all cores, as the app does


def _tokenizer(options: argparse.Namespace) -> None:
    from train.presets import preset
    from train.train_tokenizer import train_tokenizer

    size = options.vocab_size or preset(options.preset).vocab_size
    trained = train_tokenizer(options.text, options.out, size)
    print(f"{trained.vocab_size} pieces in {options.out}")


def _pretrain(options: argparse.Namespace) -> None:
    from mlx_toy.tokenizer import Tokenizer
    from train import stages

    done = stages.pretrain(
        _preset(options),
        options.shards,
        Tokenizer.load(options.tokenizer),
        options.run,
        steps=options.steps,
        decay_steps=options.decay_steps,
        branch=_newest(options.branch),
        init=_newest(options.init),
        seed=options.seed,
        checkpoint_every=options.checkpoint_every,
        track=options.track,
    )
    _print_end(done, options.run)


def _finetune(options: argparse.Namespace) -> None:
    from mlx_toy.tokenizer import Tokenizer
    from train import stages

    done = stages.finetune(
        _preset(options),
        options.shards,
        Tokenizer.load(options.tokenizer),
        options.run,
        _newest(options.init),
        steps=options.steps,
        seed=options.seed,
        checkpoint_every=options.checkpoint_every,
        track=options.track,
    )
    _print_end(done, options.run)


def _print_end(done: "Checkpoint", run: Path) -> None:
    from train import plot
    from train.processes import Processes

    if Processes().first:
        print(f"step {done.step} in {run}, loss curve in {plot.draw(run)}")


def _export(options: argparse.Namespace) -> None:
    from train.export import export

    arguments = (options.run, options.tokenizer, options.shards, options.out, options.preset)
    export(*arguments, before=options.before)
    print(f"model directory {options.out}")


def _card(options: argparse.Namespace) -> None:
    from train.card import write_card

    print(write_card(options.model, chat=options.kind == "chat"))


def _plot(options: argparse.Namespace) -> None:
    from train import plot

    print(plot.draw(options.run))


def _newest(path: Path | None) -> Path | None:
    """The newest checkpoint of a run; a checkpoint itself stays what it is."""
    from train import checkpoints, loop

    return path and (checkpoints.latest(path / loop.CHECKPOINTS) or path)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m train",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    directory = {"type": Path, "required": True, "metavar": "DIR"}

    from train import everything

    whole = commands.add_parser("all", help="all stages on your own text")
    whole.set_defaults(run_command=everything.run)
    _add_preset(whole)
    everything.add_arguments(whole)

    from train import plan as planner

    plan = commands.add_parser("plan", help="say what can be trained here, and how good it may get")
    plan.set_defaults(run_command=planner.run)
    planner.add_arguments(plan)

    tokenizer = commands.add_parser("tokenizer", help="train the tokenizer")
    tokenizer.set_defaults(run_command=_tokenizer)
    _add_preset(tokenizer)
    tokenizer.add_argument("--text", type=Path, required=True, help="JSON-lines file of texts")
    tokenizer.add_argument("--out", **directory, help="directory to write")
    tokenizer.add_argument("--vocab-size", type=int, help="pieces (default: the preset's)")

    for stage, handler in (("pretrain", _pretrain), ("finetune", _finetune)):
        command = commands.add_parser(stage, help=f"{stage} a model, or go on")
        command.set_defaults(run_command=handler)
        _add_preset(command)
        command.add_argument("--tokenizer", **directory, help="its directory")
        command.add_argument("--shards", **directory, help="directory of token shards")
        command.add_argument("--run", **directory, help="directory of the run")
        command.add_argument(
            "--steps", type=positive, help="of the schedule (default: the preset's)"
        )
        command.add_argument(
            "--tokens-per-step", type=positive, help="(default: the preset's); rates go with it"
        )
        command.add_argument("--seed", type=int, default=0, help="of weights and data")
        command.add_argument("--checkpoint-every", type=positive, default=100, help="steps")
        command.add_argument("--rate", type=float, default=1, help="factor of the preset's rates")
        command.add_argument("--track", default="", metavar="PROJECT", help="log to trackio too")
        if stage == "pretrain":
            command.add_argument("--decay-steps", type=int, help="at the end (default: 30%%)")
            began = command.add_mutually_exclusive_group()
            began.add_argument("--branch", type=Path, help="run or checkpoint to go on from")
            began.add_argument("--init", type=Path, help="run or model to begin with, at step 0")
        else:
            command.add_argument("--init", **directory, help="run or directory of the base model")

    export = commands.add_parser("export", help="write a model directory from a run")
    export.set_defaults(run_command=_export)
    export.add_argument("--preset", help="insist that the run was trained with this one")
    export.add_argument("--tokenizer", **directory, help="its directory")
    export.add_argument("--shards", **directory, help="for the list of sources")
    export.add_argument("--run", **directory, help="directory of the run")
    export.add_argument("--out", **directory, help="model directory to write")
    export.add_argument(
        "--before",
        type=Path,
        nargs="*",
        default=[],
        metavar="DIR",
        help="runs that this one began from, oldest first, for the page that shows how it learned",
    )

    from train import average

    mean = commands.add_parser("average", help="one model of several fine-tunings of one base")
    mean.set_defaults(run_command=average.run)
    average.add_arguments(mean)

    from train import calibrate as calibration
    from train import evaluate as evaluation
    from train import reader

    calibrate = commands.add_parser("calibrate", help="fit when to answer and when to refuse")
    calibrate.set_defaults(run_command=calibration.run)
    calibration.add_arguments(calibrate)
    reading = commands.add_parser("reader", help="learn which words of a passage answer a question")
    reading.set_defaults(run_command=reader.run)
    reader.add_arguments(reading)

    from train import selector as choosing

    selector = commands.add_parser("selector", help="learn which of our written replies fits")
    selector.set_defaults(run_command=choosing.run)
    choosing.add_arguments(selector)

    evaluate = commands.add_parser("evaluate", help="measure a model on held-out data")
    evaluate.set_defaults(run_command=evaluation.run)
    evaluation.add_arguments(evaluate)

    from train.evaluation import replies as reading

    replies = commands.add_parser("replies", help="write replies to 60 openings for a reader")
    replies.set_defaults(run_command=reading.run)
    reading.add_arguments(replies)

    card = commands.add_parser("card", help="write the model card of a model directory")
    card.set_defaults(run_command=_card)
    card.add_argument("--model", **directory, help="model directory, exported and evaluated")
    card.add_argument("--kind", choices=("base", "chat"), required=True)

    from train import embedder as retriever
    from train import reranker as second_stage

    reranker = commands.add_parser("reranker", help="train or measure the reranker")
    reranker.set_defaults(run_command=second_stage.run)
    second_stage.add_arguments(reranker)

    embedder = commands.add_parser("embedder", help="train or measure the retriever")
    embedder.set_defaults(run_command=retriever.run)
    retriever.add_arguments(embedder)

    from train import evaluate_retrieval

    retrieval = commands.add_parser("evaluate-retrieval", help="measure how passages are found")
    retrieval.set_defaults(run_command=evaluate_retrieval.run)
    evaluate_retrieval.add_arguments(retrieval)

    plot = commands.add_parser("plot", help="draw the loss curve of a run")
    plot.set_defaults(run_command=_plot)
    plot.add_argument("--run", **directory, help="directory of the run")
    return parser


def _preset(options: argparse.Namespace) -> "Preset":
    """The named preset, with the batch that was asked for."""
    from train.presets import preset

    chosen = preset(options.preset)
    chosen = replace(
        chosen,
        matrix_rate=chosen.matrix_rate * options.rate,
        other_rate=chosen.other_rate * options.rate,
    )
    if options.tokens_per_step is None:
        return chosen
    if options.tokens_per_step < chosen.window:
        raise UserError(
            f"--tokens-per-step {options.tokens_per_step} is less than one window: "
            f"use {chosen.window} or more"
        )
    return chosen.with_batch(options.tokens_per_step)


def _add_preset(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--preset", default="nano", help="nano, mini, toy or small (default: nano)"
    )


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit code (2 for bad input)."""
    if next(iter(sys.argv[1:] if arguments is None else arguments), "") not in ONE_MODEL:
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # a lane a core, see train/lanes.py
    try:
        options = _parser().parse_args(arguments)
        options.run_command(options)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
