"""Measure a model on data that it was never trained on, and write the report.

    python -m train evaluate --model DIR --data DIR                    every row
    python -m train evaluate --model DIR --data DIR --only grammar     one of them
    python -m train evaluate --model DIR --data DIR --shards DIR --baselines
    python -m train evaluate --model DIR --data DIR --peers OTHER/report.json

Writes `report.json`, a report card (`report.md`) and figures into the model directory or `--out`.
Each row is kept once it is measured, so a run that was cut off goes on when it is started again,
and a row is measured again only for other weights or other sizes. `--model` is one of our model
directories or any that mlx-lm loads, so that peers are measured by the same command.
"""

import argparse
import hashlib
import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from mlx_toy.confidence import CALIBRATION_FILE
from mlx_toy.engine import Engine
from mlx_toy.errors import UserError
from mlx_toy.loaded_model import locate
from train.arguments import positive
from train.evaluation import (
    baselines,
    citations,
    endings,
    grammar,
    memory,
    questions,
    replies,
    report_card,
    text,
)
from train.evaluation.figure import Figure
from train.evaluation.report import FILE, Report, fingerprint
from train.evaluation.subject import Sizes, Subject
from train.from_model import LINEAGE_FILE

ROWS: dict[str, Callable[[Subject], dict[str, Figure]]] = {
    "text": text.measure,
    "grammar": grammar.measure,
    "questions": questions.measure,
    "citations": citations.measure,
    "endings": endings.measure,
    "memory": memory.measure,
    "chats": replies.measure,
}
CHAT_ROWS = ("questions", "citations", "endings", "chats")  # a base model does not answer
SIZES = {  # what else than the weights decides a row's figures
    "text": ("texts",),
    "grammar": ("pairs",),
    "questions": ("questions",),
    "citations": ("citations",),
    "endings": ("seeds",),
    "memory": ("samples",),
    "chats": (),
    "baselines": ("texts", "pairs", "questions"),
}


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add the command's own flags."""
    command.add_argument("--model", default="", help="directory or name (default: bundled)")
    command.add_argument("--data", help="directory that holds eval/ (default: $MLX_TOY_DATA)")
    command.add_argument("--out", type=Path, metavar="DIR", help="(default: the model directory)")
    command.add_argument(
        "--only", nargs="+", choices=[*ROWS, "baselines"], default=[], help="rows to measure"
    )
    command.add_argument("--again", action="store_true", help="also what is measured already")
    command.add_argument("--shards", type=Path, metavar="DIR", help="what the model was trained on")
    command.add_argument("--baselines", action="store_true", help="copying, and an n-gram model")
    command.add_argument(
        "--peers", type=Path, nargs="+", default=[], metavar="FILE", help="reports of other models"
    )
    for size in fields(Sizes):
        flag = f"--{size.name}"
        command.add_argument(
            flag, type=positive, default=size.default, help=f"how many (default: {size.default})"
        )


def run(options: argparse.Namespace) -> None:
    """Measure what is asked for and missing, then write the report card and the figures."""
    from corpus.catalog import data_directory

    data = data_directory(options.data)
    path, name = locate(options.model)
    if options.out is None and options.model and not Path(options.model).expanduser().is_dir():
        raise UserError(
            f"{options.model} is no directory: say with --out where to write the report"
        )
    out = options.out or path
    sizes = Sizes(**{size.name: getattr(options, size.name) for size in fields(Sizes)})
    with Engine.load(options.model) as engine:
        facts = {"name": name, "parameters": engine.parameters, "sha256": fingerprint(path)}
        report = Report(out / FILE, facts)
        subject = Subject(engine, path, data, sizes, options.shards, out / replies.PAGE)
        failed = measure(subject, report, rows_of(options, path), again=options.again)
    for peer in options.peers:
        report.put_peer(peer)
    print(report_card.write(out, path, report.content))
    if failed:
        reasons = "; ".join(f"{row} ({reason})" for row, reason in failed.items())
        raise UserError(f"not measured: {reasons}")


def rows_of(options: argparse.Namespace, model: Path) -> list[str]:
    """The rows that are asked for; of a base model not those that need one that answers."""
    if options.only:
        return options.only
    chosen = [row for row in ROWS if row not in CHAT_ROWS or not is_base(model)]
    return [*chosen, "baselines"] if options.baselines else chosen


def is_base(model: Path) -> bool:
    """Whether a directory's lineage says that the model was never taught to answer."""
    path = model / LINEAGE_FILE
    if not path.is_file():
        return False
    stages = json.loads(path.read_text(encoding="utf-8"))["stages"]
    return all(stage["stage"] != "finetune" for stage in stages)


def measure(
    subject: Subject, report: Report, rows: list[str], again: bool = False
) -> dict[str, str]:
    """Measure rows one after the other, keeping each.

    Returns:
        For each row that could not be measured, why.
    """
    failed = {}
    for row in rows:
        settings = _settings(row, subject)
        if row != "chats" and not again and report.has(row, settings):
            print(f"{row}: measured already", file=sys.stderr)
            continue
        try:
            _measure_row(row, settings, subject, report)
        except UserError as error:  # such as a set that is not at hand; the others may be
            print(f"{row}: {error}", file=sys.stderr)
            failed[row] = str(error)
    return failed


def _measure_row(row: str, settings: dict[str, Any], subject: Subject, report: Report) -> None:
    began = time.monotonic()
    if row == "baselines":
        found = baselines.measure(subject)
        report.put_baselines(settings, found, time.monotonic() - began)
        return
    figures = ROWS[row](subject)
    if figures:
        report.put(row, settings, figures, time.monotonic() - began)
    for name, figure in figures.items():
        error = f" ± {figure.standard_error:.3f}" if figure.standard_error is not None else ""
        print(f"{name} = {figure.value:.3f}{error}, n = {figure.n}", file=sys.stderr)


def _settings(row: str, subject: Subject) -> dict[str, Any]:
    """What decides a row's figures beside the weights: sizes, and how the app abstains."""
    sizes = asdict(subject.sizes)
    settings: dict[str, Any] = {name: sizes[name] for name in SIZES[row]}
    if row == "baselines":
        settings["shards"] = subject.shards is not None
    calibration = subject.directory / CALIBRATION_FILE
    if row in ("questions", "citations") and calibration.is_file():
        settings["calibration"] = hashlib.sha256(calibration.read_bytes()).hexdigest()
    return settings
