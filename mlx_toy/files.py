"""The bytes of a file that a user gave us, taken once.

Why once: the file may change or vanish while it is worked on. What is checked, parsed, hashed and
kept as the original is the same bytes.
"""

import hashlib
import re
import stat
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from mlx_toy.format_process import Limits
from mlx_toy.page_text import clean_text
from mlx_toy.refusals import DocumentError

MAX_NAME = 120  # characters of a file's name that are kept and shown


@dataclass(frozen=True)
class SourceFile:
    """A file's name, safe to show, and its bytes."""

    name: str
    data: bytes

    @property
    def suffix(self) -> str:
        """The end of its name in lower case, with the dot; "" if there is none."""
        return Path(self.name).suffix.lower()

    @cached_property
    def digest(self) -> str:
        """SHA-256, in hexadecimal, of all that decides how it is read: its suffix and its bytes."""
        return hashlib.sha256(self.suffix.encode() + b"\0" + self.data).hexdigest()


def read_file(
    path: str | Path, name: str | None = None, limits: Limits | None = None
) -> SourceFile:
    """Take the bytes of a regular file that is neither empty nor too large.

    Args:
        path: the file.
        name: what to call it, if not by the last part of its path; its suffix then counts.
        limits: of which the size counts.

    Raises:
        DocumentError: with one sentence, if it cannot be opened.
    """
    limits = limits or Limits()
    path = Path(path)
    name = clean_name(name or path.name)
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise DocumentError(f"{name} is not a file; give the path of one.")
        with path.open("rb") as file:
            data = file.read(limits.max_bytes + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "its path is not valid"
        raise DocumentError(f"{name} cannot be opened ({reason}); check its path.") from error
    if not data:
        raise DocumentError(f"{name} is empty; choose a file that has some text.")
    if len(data) > limits.max_bytes:
        size = f"{limits.max_bytes / 2**20:.3g} MB"
        raise DocumentError(f"{name} is larger than {size}; split it into smaller files.")
    return SourceFile(name, data)


def clean_name(name: str) -> str:
    """The last part of a path as a single line of bounded length, with its suffix kept."""
    name = " ".join(clean_text(re.split(r"[/\\]", name)[-1]).split()) or "document"
    if len(name) > MAX_NAME:
        suffix = Path(name).suffix[:12]
        name = name[: MAX_NAME - len(suffix) - 1] + "…" + suffix
    return name
