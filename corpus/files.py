"""Small things about files: checksums, none that is half written, one writer a directory."""

import fcntl
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mlx_toy.errors import UserError
from mlx_toy.whole_files import written_at_once

_BLOCK = 1 << 20


def sha256_of(*files: Path) -> str:
    """Checksum of files, one after the other."""
    digest = hashlib.sha256()
    for file in files:
        with open(file, "rb") as stream:
            while block := stream.read(_BLOCK):
                digest.update(block)
    return digest.hexdigest()


def write_json(value: Any, file: Path) -> None:
    """Write a file at once, whatever happens."""
    with written_at_once(file) as partial:
        partial.write_text(json.dumps(value, indent=1, ensure_ascii=False), encoding="utf-8")


@contextmanager
def only_writer(folder: Path) -> Iterator[None]:
    """Make a directory, and keep a second command out of it.

    Raises:
        UserError: it cannot be written, or another one is writing there.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / ".lock").touch()
    except OSError as error:
        raise UserError(
            f"cannot write to {folder} ({error.strerror}): give another directory"
        ) from error
    with open(folder / ".lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise UserError(
                f"another command is writing to {folder}: wait for it, or give another directory"
            ) from error
        yield
