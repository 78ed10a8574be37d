"""The catalogue: which sources there are, under which licences, and how much of each is read."""

import os
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlx_toy.errors import UserError

CATALOG = Path(__file__).with_name("catalog.toml")
DATA_VARIABLE = "MLX_TOY_DATA"
STAGES = ("pretrain", "decay", "finetune")
KINDS = ("text", "chat", "question", "pair")


@dataclass(frozen=True)
class Home:
    """The public place that a source can be fetched from (`corpus/fetch.py`).

    Attributes:
        kind: "url", "archive" (a .tar.gz, as of a repository at a commit) or "huggingface".
        address: the URL, or the name of the dataset.
        form: how its files become records, one of `corpus.convert.FORMS`.
        files: names inside a dataset or an archive; `*` stands for anything.
        revision: of a dataset: a commit, or a branch that is resolved to one and recorded.
        sha256: checksum of the URL's content; a dataset's files bring their own.
        bytes: size of that content.
        most: records that are kept; 0 for all.
    """

    kind: str
    address: str
    form: str
    files: tuple[str, ...] = ()
    revision: str = "main"
    sha256: str = ""
    bytes: int = 0
    most: int = 0


@dataclass(frozen=True)
class Source:
    """One source of the catalogue.

    Attributes:
        name: unique; a shard carries it with the slash replaced.
        kind: what a record holds, one of `KINDS`.
        file: where it lies under the data directory; a folder stands for all its JSON lines.
        sha256: checksum of that file; empty if it is made here.
        records: number of records in it.
        licence: SPDX identifier or a plain word.
        attribution: whom the licence asks to name.
        upstream: where the source comes from.
        stages: parts of a stage's tokens, by stage.
        ours: written by this project; it lies beside the catalogue, not in the data directory.
        home: where it can be fetched from; without it, the source is only read where it lies.
    """

    name: str
    kind: str
    file: str
    sha256: str
    records: int
    licence: str
    attribution: str
    upstream: str
    stages: dict[str, float] = field(default_factory=dict)
    ours: bool = False
    home: Home | None = None

    def path(self, data: Path) -> Path:
        """Where it is, given the data directory."""
        return (CATALOG.parent if self.ours else data) / self.file

    @property
    def shard_name(self) -> str:
        """The name of its shard files."""
        return self.name.replace("/", "-")


def load_catalog(path: Path = CATALOG) -> list[Source]:
    """Read the catalogue.

    Raises:
        UserError: an entry is incomplete, unknown in kind or stage, or named twice.
    """
    try:
        sources = [_source(entry) for entry in tomllib.loads(path.read_text())["source"]]
    except (TypeError, KeyError, tomllib.TOMLDecodeError) as error:
        raise UserError(
            f"{path} is not a catalogue of sources ({error}): correct the entry"
        ) from error
    names = [source.name for source in sources]
    for source in sources:
        if source.kind not in KINDS or set(source.stages) - set(STAGES):
            raise UserError(
                f"{path}: {source.name} has an unknown kind or stage: "
                f"use one of {', '.join(KINDS)} and of {', '.join(STAGES)}"
            )
        if names.count(source.name) > 1:
            raise UserError(f"{path}: {source.name} is listed twice: keep one")
    return sources


def _source(entry: dict[str, Any]) -> Source:
    home = entry.pop("home", None)
    if home:
        home = Home(**home | {"files": tuple(home.get("files", ()))})
    return Source(**entry, home=home)


def data_directory(flag: str | None) -> Path:
    """The directory with the data: the flag, else the environment variable.

    Raises:
        UserError: neither is given, or there is no such directory.
    """
    chosen = flag or os.environ.get(DATA_VARIABLE)
    if not chosen:
        raise UserError(f"no training data given: pass --data DIR or set {DATA_VARIABLE}")
    if not Path(chosen).is_dir():
        raise UserError(f"no training data at {chosen}: pass --data DIR with an existing directory")
    return Path(chosen)
