"""Commands of the corpus; an interrupted one goes on when it is run again.

python -m corpus list                                         the sources and licences
python -m corpus fetch --data DIR [NAME ...]                  open data from its public homes
python -m corpus build --preset mini --data DIR --out RUN     text sample, then token shards
python -m corpus build --preset nano --text FILES --out RUN   the same from your own files
python -m corpus show --stage finetune --n 5 --build RUN      examples, with what is learned marked
"""

import argparse
import errno
import os
import sys
from collections.abc import Callable
from pathlib import Path

from corpus.budgets import BUDGETS
from corpus.catalog import DATA_VARIABLE, STAGES, data_directory, load_catalog
from mlx_toy.errors import UserError
from mlx_toy.output import note, show


def _list(options: argparse.Namespace) -> None:
    for source in load_catalog():
        show(f"{source.name:28} {source.records:>9,} {source.licence:32} {source.upstream}")


def _fetch(options: argparse.Namespace) -> None:
    from corpus.fetch import fetch, plan
    from corpus.files import only_writer

    data = data_directory(options.data)
    plans = plan(load_catalog(), options.names, data)
    for one in plans:
        show(str(one))
    if not plans:
        show(f"everything is in {data} already")
    elif not options.yes:
        if not sys.stdin.isatty():
            raise UserError("nothing was fetched: run the same command with --yes")
        if input("Fetch all this? [y/N] ").strip().lower() not in ("y", "yes"):
            return
    with only_writer(data / ".fetch"):
        for one in plans:
            show(f"{one.source.name}: {fetch(one, data):,} records in {one.source.path(data)}")


def _build(options: argparse.Namespace) -> None:
    from corpus import build, parallel, report
    from corpus.files import only_writer
    from corpus.own_text import own_source
    from mlx_toy.tokenizer import FILE_NAME, Tokenizer

    sources, budget = load_catalog(), BUDGETS[options.preset]
    limit = int(options.million_tokens * 1e6) if options.million_tokens else budget.tokens
    tokenizer = options.tokenizer or options.out / "tokenizer"
    workers = options.workers or min(parallel.MOST, parallel.core_count())
    if (tokenizer / FILE_NAME).is_file():
        Tokenizer.load(tokenizer)  # whether it can be used is said before any time is spent
    elif options.tokenizer:
        raise UserError(f"no {FILE_NAME} in {tokenizer}: train it, or leave --tokenizer out")
    data = options.out if options.text else data_directory(options.data)
    with only_writer(options.out), parallel.Workers(workers) as pool:
        if options.text:
            own = own_source(options.text, options.out)
            sources = [own, *(source for source in sources if source.ours)]
        screening = build.screen_sources(sources, data, options.out, limit, pool)
        note(report.table(screening.parts))
        if not (tokenizer / FILE_NAME).is_file():
            sample = options.out / "text.jsonl"
            size = build.write_text_sample(screening, data, sample, budget.sample_bytes)
            show(
                f"{size / 1e6:.1f} MB of text in {sample}; now train the tokenizer, then run this "
                f"command again:\npython -m train tokenizer --preset {options.preset} "
                f"--text {sample} --out {tokenizer}"
            )
            return
        headers = build.write_shards(screening, data, tokenizer, options.out, limit, pool)
        tokens = sum(header.tokens for header in headers)
        show(f"{len(headers)} shards, {tokens:,} tokens in {options.out / 'shards'}")


def _show(options: argparse.Namespace) -> None:
    from corpus.show import examples
    from mlx_toy.tokenizer import Tokenizer

    tokenizer = Tokenizer.load(options.tokenizer or options.build / "tokenizer")
    colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    for example in examples(
        options.build, tokenizer, options.stage, options.n, colour, options.seed
    ):
        print(example, end="\n\n")


def _positive(kind: Callable[[str], float]) -> Callable[[str], float]:
    """What reads a number above 0 from the command line."""

    def read(text: str) -> float:
        try:
            number = kind(text)
        except ValueError:
            number = 0
        if not 0 < number < float("inf"):
            raise argparse.ArgumentTypeError(f"{text!r} is no number above 0")
        return number

    return read


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m corpus",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="list the sources").set_defaults(run_command=_list)

    fetch = commands.add_parser("fetch", help="fetch open data, after saying what and how much")
    fetch.set_defaults(run_command=_fetch)
    fetch.add_argument("names", nargs="*", metavar="NAME", help="(default: all that have a home)")
    fetch.add_argument("--data", help=f"directory to write (default: ${DATA_VARIABLE})")
    fetch.add_argument("--yes", action="store_true", help="fetch without asking")

    build = commands.add_parser("build", help="write the text sample, then the token shards")
    build.set_defaults(run_command=_build)
    build.add_argument("--preset", default="nano", choices=BUDGETS)
    origin = build.add_mutually_exclusive_group()
    origin.add_argument("--data", help=f"directory with the sources (default: ${DATA_VARIABLE})")
    origin.add_argument(
        "--text", type=Path, nargs="+", metavar="FILE", help="your own files instead"
    )
    build.add_argument("--out", type=Path, required=True, metavar="DIR", help="of the build")
    build.add_argument(
        "--tokenizer", type=Path, metavar="DIR", help="with a tokenizer (default: OUT/tokenizer)"
    )
    build.add_argument(
        "--million-tokens",
        type=_positive(float),
        metavar="N",
        help="at most, of one source (default: the preset's)",
    )
    build.add_argument(
        "--workers",
        type=_positive(int),
        metavar="N",
        help="processes (default: one a core, eight at most)",
    )

    show = commands.add_parser("show", help="print examples of what a stage reads")
    show.set_defaults(run_command=_show)
    show.add_argument("--stage", default="finetune", choices=STAGES)
    show.add_argument("--n", type=int, default=5, help="how many (default: 5)")
    show.add_argument("--build", type=Path, required=True, metavar="DIR", help="of the build")
    show.add_argument("--tokenizer", type=Path, metavar="DIR", help="(default: BUILD/tokenizer)")
    show.add_argument("--seed", type=int, default=0, help="of the choice")
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit code (2 for bad input)."""
    try:
        options = _parser().parse_args(arguments)
        options.run_command(options)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped; the same command goes on from here", file=sys.stderr)
        return 130
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        print("error: the disk is full: make room; the same command goes on", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
