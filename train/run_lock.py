"""One run at a time in a directory.

The lock is `flock` on an open file: the system lets go of it when the process ends, however it
ends, so a crashed run leaves nothing behind that somebody must delete.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mlx_toy.errors import UserError

LOCK_FILE = ".lock"


@contextmanager
def only_run(directory: Path) -> Iterator[None]:
    """Hold a run's directory, which is made, for the length of the block.

    Raises:
        UserError: another process holds it, or it cannot be written.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        file = open(directory / LOCK_FILE, "a+")  # noqa: SIM115  (closed below, with the lock)
    except OSError as error:
        raise UserError(
            f"{directory} cannot hold a run ({error.strerror}): name another --run directory"
        ) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            file.seek(0)
            raise UserError(
                f"process {file.read().strip() or '?'} trains in {directory} already: "
                "wait for it, stop it, or name another --run directory"
            ) from error
        with suppress(OSError):  # the number is for people; a full disk does not matter here
            os.ftruncate(file.fileno(), 0)
            os.write(file.fileno(), str(os.getpid()).encode())
        yield
