"""Run commands in this process, with what they read and write in hand."""

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from mlx_toy.cli import main

REPOSITORY = Path(__file__).parent.parent
PAGES = [
    "The lighthouse at Brenn was built in 1874.\nIts keeper was Ada Moor, who lived there alone.",
    "The ferry to Brenn runs twice a week in winter,\non Monday and Friday.",
]
QUESTION = "When was the lighthouse at Brenn built?"


class Result(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.out.splitlines()]


Run = Callable[..., Result]


def make_run(
    model: Path,
    library: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Run:
    """A function that runs a command; model and library are these, unless it names others."""
    monkeypatch.setenv("MLX_TOY_LIBRARY", str(library))
    monkeypatch.setenv("MLX_TOY_MODEL", str(model))

    def run(*arguments: object, stdin: bytes = b"") -> Result:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin), "utf-8"))
        try:
            code = main([str(argument) for argument in arguments])
        except SystemExit as end:
            code = int(end.code or 0)
        return Result(code, *capsys.readouterr())

    return run


def is_one_sentence(result: Result) -> bool:
    """Whether a command failed with one line that a person understands."""
    return result.code == 2 and result.err.startswith("error: ") and result.err.count("\n") == 1
