"""Settings of the app and the command line: one dataclass from flags and environment.

Flags win over environment variables (`MLX_TOY_MODEL` for `--model`, and so on), which win over the
defaults. Everything is checked here, once, before anything is loaded.
"""

import argparse
import os
import tempfile
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from mlx_toy.errors import UserError

PREFIX = "MLX_TOY_"
OWN_WORKSPACE = "default"  # of the one person whose computer this is
ON_SPACE = {"host": "0.0.0.0", "port": 7860, "max_passages": 5_000, "max_library_mb": 50}


def on_space() -> bool:
    """Whether this process runs on a Hugging Face Space."""
    return "SPACE_ID" in os.environ


def _default_library() -> str:
    if on_space():  # its disk is not kept, and its visitors are strangers to each other
        return str(Path(tempfile.gettempdir()) / "mlx-toy-library")
    return str(Path.home() / ".mlx_toy" / "library")


@dataclass(frozen=True)
class Settings:
    """What a person can choose.

    Attributes:
        model: directory or hub name of the model that answers; empty for the bundled one.
        base_model: the same for the model that completes text.
        embedder: directory or hub name of the retriever; empty for the bundled one.
        reranker: directory of what orders the passages found; empty for the bundled one.
        library: LanceDB address of the documents: a directory, `s3://…`, `db://…`.
        passages: at most so many go into a prompt.
        threshold: cosine under which nothing counts as near; None for the embedder's own, beside
            which counts what the reranker finds relevant.
        max_tokens: longest answer, in tokens.
        temperature: of sampling; 0 always takes the likeliest token.
        top_p: sample among the likeliest tokens that have this probability together.
        top_k: sample among so many likeliest tokens.
        repetition_penalty: above 1 makes repeated tokens less likely.
        max_file_mb: largest file, in megabytes.
        max_passages: most passages in the library of one person; search reads them all.
        max_library_mb: most megabytes of files in it.
        host: address to listen on.
        port: to listen on; None for the first free one from 7860.
    """

    model: str = ""
    base_model: str = ""
    embedder: str = ""
    reranker: str = ""
    library: str = ""
    passages: int = 3
    threshold: float | None = None
    max_tokens: int = 160
    temperature: float = 0.4
    top_p: float = 0.95
    top_k: int = 50
    repetition_penalty: float = 1.1
    max_file_mb: int = 20
    max_passages: int = 100_000
    max_library_mb: int = 2_000
    host: str = "127.0.0.1"
    port: int | None = None

    def __post_init__(self) -> None:
        if not self.library:
            object.__setattr__(self, "library", _default_library())
        for name, low, high in (
            ("passages", 1, 10),
            ("max_tokens", 1, 2048),
            ("temperature", 0, 2),
            ("top_p", 0, 1),
            ("top_k", 0, 1000),
            ("repetition_penalty", 1, 2),
            ("max_file_mb", 1, 1000),
            ("max_passages", 1, 10_000_000),
            ("max_library_mb", 1, 1_000_000),
            ("threshold", -1, 1),
            ("port", 0, 65535),
        ):
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                flag = name.replace("_", "-")
                raise UserError(f"--{flag} {value} is out of range: use {low} to {high}")


_TYPES: dict[str, Any] = {
    "passages": int,
    "max_tokens": int,
    "top_k": int,
    "max_file_mb": int,
    "max_passages": int,
    "max_library_mb": int,
    "port": int,
    "threshold": float,
    "temperature": float,
    "top_p": float,
    "repetition_penalty": float,
}
_HELP = {
    "model": "model that answers: a directory or a hub name (default: bundled)",
    "base_model": "model that completes text (default: bundled)",
    "embedder": "retriever: a directory or a hub name (default: bundled)",
    "reranker": "what orders the passages found: a directory (default: bundled)",
    "library": "LanceDB address of the documents (default: ~/.mlx_toy/library)",
    "passages": "passages in a prompt, at most (default: 3)",
    "threshold": "cosine under which nothing counts as near (default: the retriever decides)",
    "max_tokens": "longest answer in tokens (default: 160)",
    "temperature": "of sampling, 0 to 2 (default: 0.4)",
    "top_p": "sample among tokens of this joint probability (default: 0.95)",
    "top_k": "sample among so many tokens (default: 50)",
    "repetition_penalty": "1 to 2 (default: 1.1)",
    "max_file_mb": "largest document in megabytes (default: 20)",
    "max_passages": "most passages in a person's library (default: 100000; on a Space 5000)",
    "max_library_mb": "most megabytes of files in it (default: 2000; on a Space 50)",
    "host": "address to listen on (default: 127.0.0.1)",
    "port": "port to listen on (default: the first free one from 7860)",
}


def add_arguments(parser: argparse.ArgumentParser, names: tuple[str, ...] = tuple(_HELP)) -> None:
    """Add a flag for each setting (or for those in `names`)."""
    for name in names:
        parser.add_argument(
            "--" + name.replace("_", "-"),
            dest=name,
            type=_TYPES.get(name, str),
            default=None,
            metavar=name.upper(),
            help=_HELP[name],
        )


def from_options(options: argparse.Namespace) -> Settings:
    """Settings from parsed flags, then the environment, then the defaults.

    Raises:
        UserError: a value that is no number where one is needed, or out of range.
    """
    chosen: dict[str, Any] = {}
    for field in fields(Settings):
        value = getattr(options, field.name, None)
        variable = PREFIX + field.name.upper()
        if value is None and os.environ.get(variable):
            try:
                value = _TYPES.get(field.name, str)(os.environ[variable])
            except ValueError as error:
                raise UserError(
                    f"{variable}={os.environ[variable]} is no number: unset it"
                ) from error
        if value is not None:
            chosen[field.name] = value
    if on_space():
        chosen = {**ON_SPACE, **chosen}
    return Settings(**chosen)
