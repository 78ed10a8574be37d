"""What can go wrong with the library, in sentences.

Why apart: LanceDB raises errors of many kinds, some of them panics of its Rust code, with messages
for its own developers. One place turns them into what is wrong and what to do.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from mlx_toy.errors import UserError

_RUST_SOURCE = re.compile(r",? ?/(?:root/\.cargo|rustc)/\S*")
_RUST_TYPE = re.compile(r"^lance error: (?:LanceError\(\w+\): )?")
_NOT_WRITABLE = re.compile(r"permission|read-only|denied", re.IGNORECASE)
_DISK_FULL = re.compile(r"no space left|os error 28", re.IGNORECASE)
_BAD_ADDRESS = re.compile(r"no object store provider", re.IGNORECASE)


class LibraryError(UserError):
    """The library cannot be opened, read or written; the message says what to do."""


class OtherEmbedderError(LibraryError):
    """The library was written with another embedder."""


class OtherFormatError(LibraryError):
    """The library was written by another version of this program, or by another program."""


class OldFormatError(OtherFormatError):
    """The library was written by an earlier version of this program."""


@contextmanager
def explained(uri: str) -> Iterator[None]:
    """Turn whatever LanceDB raises about the library at `uri` into a LibraryError."""
    try:
        yield
    except (UserError, KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException as error:  # a panic in Rust code is no Exception
        message = _RUST_SOURCE.sub("", str(error)).strip()
        line = message.splitlines()[0] if message else type(error).__name__
        detail = _RUST_TYPE.sub("", line)[:200].rstrip(" .,:")
        if isinstance(error, OSError) or _NOT_WRITABLE.search(message):
            advice = "check that it is a folder you may write to, or pass another --library"
        elif _DISK_FULL.search(message):
            advice = "free some space on the disk and try again"
        elif _BAD_ADDRESS.search(message):
            advice = "pass a folder or an address such as s3://bucket/folder as --library"
        else:
            advice = "it may be damaged: `python -m mlx_toy rebuild` saves what can be saved"
        raise LibraryError(f"The library at {uri} cannot be used ({detail}); {advice}.") from error
