"""Files that are whole or not there."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def written_at_once(file: Path) -> Iterator[Path]:
    """Where to write what becomes `file` when the block ends well, and is removed otherwise.

    A process that is killed leaves the old file, and beside it `NAME.partial` for the next one to
    overwrite.
    """
    partial = file.with_name(file.name + ".partial")
    try:
        yield partial
        os.replace(partial, file)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
