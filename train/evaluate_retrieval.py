"""Measure how well passages are found: several ways to rank, on several libraries.

    python -m train evaluate-retrieval --data DIR
    python -m train evaluate-retrieval --data DIR --embedder MINE --embedder '' --questions 200
    python -m train evaluate-retrieval --data DIR --together --out figures.json

Prints a table for each set of questions (`train/retrieval_sets.py` says how they are made): the
share of questions whose right passage is first, among 5 and among 10, and the mean reciprocal rank.
With `--together` all passages are one library, with 5,000 others that answer nothing.
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from itertools import groupby
from pathlib import Path
from typing import Any

from corpus.catalog import data_directory
from mlx_toy.embedder import load_embedder
from mlx_toy.errors import UserError
from mlx_toy.tokenizer import Tokenizer
from train import retrieval_sets
from train.records import write_json
from train.retrieval_metrics import figures, rank_of_right
from train.retrieval_rows import CachedEmbedder, Ranker, in_app, in_memory
from train.retrieval_sets import QuestionSet, splitter

QUESTIONS = 500  # of a set: standard error of a recall at most 2.2 points
DISTRACTORS = 5000  # passages
OURS = "ours"  # the bundled embedder's name in a table

Figures = dict[str, dict[str, float]]  # by row


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of `python -m train evaluate-retrieval`."""
    parser.add_argument("--data", help="directory that holds eval/ (default: $MLX_TOY_DATA)")
    parser.add_argument(
        "--embedder",
        action="append",
        metavar="DIR",
        help="an embedder to measure, '' the bundled one; may be repeated (default: '')",
    )
    parser.add_argument(
        "--questions", type=int, default=QUESTIONS, help=f"of a set, 0: all (default: {QUESTIONS})"
    )
    parser.add_argument("--together", action="store_true", help="one library of all passages")
    parser.add_argument("--work", type=Path, help="directory that keeps vectors between runs")
    parser.add_argument("--out", type=Path, help="JSON file to write beside printing")


def run(options: argparse.Namespace) -> None:
    """Measure and print.

    Raises:
        UserError: the data or an embedder cannot be read.
    """
    data = data_directory(options.data)
    missing = [file for file in retrieval_sets.FILES.values() if not (data / file).exists()]
    if missing:
        raise UserError(f"no {missing[0]} in {data}: give the directory with the whole pack")
    split = splitter(count_tokens())
    sets = retrieval_sets.read_sets(data, split)
    if options.together:
        sets = retrieval_sets.together(sets, retrieval_sets.distractors(data, split, DISTRACTORS))
    paths = dict.fromkeys(options.embedder or [""])
    embedders = [open_embedder(path, options.work) for path in paths]
    found = {}
    for chosen, rows in measure([each.sample(options.questions) for each in sets], embedders):
        found[chosen.name] = describe(chosen, rows)
        print(to_table(chosen.name, found[chosen.name]), flush=True)
    if options.out:
        write_json(found, options.out)


def open_embedder(path: str, work: Path | None = None, name: str = "") -> CachedEmbedder:
    """Load an embedder, called by the last part of its path if not by another name."""
    return CachedEmbedder(load_embedder(path or None), name or Path(path).name or OURS, path, work)


def measure(
    sets: Sequence[QuestionSet], embedders: Sequence[CachedEmbedder]
) -> Iterator[tuple[QuestionSet, Figures]]:
    """Ask all questions of the sets; yields each set with the figures of every way to rank.

    Sets that share a library come one after another, and it is indexed once.
    """
    for _, group in groupby(sets, key=lambda chosen: id(chosen.library)):
        with ExitStack() as stack:
            first, *others = group
            rankers = dict(in_memory(first.texts, embedders))
            for embedder in embedders:
                _, found = stack.enter_context(in_app(first, embedder))
                rankers |= found
            for chosen in (first, *others):
                for embedder in embedders:
                    embedder.embed_queries([question.text for question in chosen.questions])
                yield chosen, ask(chosen, rankers)


def ask(chosen: QuestionSet, rankers: dict[str, Ranker]) -> Figures:
    """Figures of each way to rank, by its name."""
    places: dict[str, list[float]] = {name: [] for name in rankers}
    for question in chosen.questions:
        for name, rank in rankers.items():
            places[name].append(rank_of_right(rank(question.text), question.right))
    return {name: figures(found, chosen.cutoffs) for name, found in places.items()}


def describe(chosen: QuestionSet, rows: Figures) -> dict[str, Any]:
    """What a report keeps of a set: its size and the figures of its rows."""
    return {"passages": len(chosen.texts), "questions": len(chosen.questions), "rows": rows}


def to_table(name: str, found: dict[str, Any]) -> str:
    """Figures of a set, as `describe` keeps them, as a Markdown table with its best values bold."""
    rows: Figures = found["rows"]
    columns = list(next(iter(rows.values())))
    highest = {column: max(row[column] for row in rows.values()) for column in columns}
    size = f"{found['passages']:,} passages, {found['questions']:,} questions"
    heads = [column.replace("recall@", "R@").replace("mrr", "MRR") for column in columns]
    lines = [f"| {name}: {size} | {' | '.join(heads)} |", f"|---|{'---:|' * len(columns)}"]
    for row, values in rows.items():
        cells = [
            f"**{values[column]:.3f}**"
            if values[column] == highest[column]
            else f"{values[column]:.3f}"
            for column in columns
        ]
        lines.append(f"| {row} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def count_tokens() -> Callable[[str], int]:
    """Length of a text in tokens of the bundled model, as the app cuts by default."""
    from mlx_toy.loaded_model import BUNDLED

    tokenizer = Tokenizer.load(BUNDLED)
    return lambda text: len(tokenizer.encode(text))
