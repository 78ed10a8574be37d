"""Commands of the corpus.

python -m corpus text   --data DIR --out RUN/text.jsonl             a sample for the tokenizer
python -m corpus shards --data DIR --tokenizer RUN --out RUN/shards   token shards for training
python -m corpus list                                               the sources and licences
"""

import argparse
import sys
from pathlib import Path

from corpus.build import write_shards, write_text_sample
from corpus.catalog import DATA_VARIABLE, data_directory, load_catalog
from mlx_toy.errors import UserError


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m corpus", description=__doc__.split("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    where = f"directory with the sources (default: ${DATA_VARIABLE})"
    text = commands.add_parser("text", help="write a text sample for the tokenizer")
    text.add_argument("--data", help=where)
    text.add_argument("--out", type=Path, required=True, help="JSON-lines file to write")
    text.add_argument("--megabytes", type=float, default=40, help="of text (default: 40)")
    shards = commands.add_parser("shards", help="write token shards")
    shards.add_argument("--data", help=where)
    shards.add_argument("--tokenizer", type=Path, required=True, help="directory with a tokenizer")
    shards.add_argument("--out", type=Path, required=True, help="directory for the shards")
    shards.add_argument(
        "--million-tokens", type=float, default=1000, help="at most, of one source (default: 1000)"
    )
    commands.add_parser("list", help="list the sources")
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit code (2 for bad input)."""
    options = _parser().parse_args(arguments)
    try:
        sources = load_catalog()
        if options.command == "list":
            for source in sources:
                print(
                    f"{source.name:28} {source.records:>9,} {source.licence:32} {source.upstream}"
                )
            return 0
        data = data_directory(options.data)
        if options.command == "text":
            options.out.parent.mkdir(parents=True, exist_ok=True)
            written = write_text_sample(sources, data, options.out, int(options.megabytes * 1e6))
            print(f"{written / 1e6:.1f} MB of text in {options.out}")
        else:
            limit = int(options.million_tokens * 1e6)
            headers = write_shards(sources, data, options.tokenizer, options.out, limit)
            tokens = sum(header.tokens for header in headers)
            print(f"{len(headers)} shards, {tokens:,} tokens in {options.out}")
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
