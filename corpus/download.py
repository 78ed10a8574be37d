"""Get one file over HTTP: resumed where it broke off, checked before it is used.

The bytes go to `NAME.part` beside the target; a second attempt asks the server for the rest. Only a
file of the right size and checksum gets its name.
"""

import errno
import os
import shutil
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path

from corpus.files import sha256_of
from mlx_toy.errors import UserError

TIMEOUT_S = 60
_BLOCK = 1 << 20


@dataclass(frozen=True)
class Remote:
    """A file that can be fetched.

    Attributes:
        name: how people know it.
        address: URL, or owner/dataset@commit for a file of a dataset on the Hugging Face hub.
        bytes: its size; 0 if the server does not tell.
        sha256: its checksum; empty if it is not known beforehand.
    """

    name: str
    address: str
    bytes: int
    sha256: str


def ask(url: str, name: str) -> int:
    """The size of a URL's content; 0 if the server does not tell.

    Raises:
        UserError: it cannot be reached.
    """
    try:
        request = urllib.request.Request(url, method="HEAD")
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
            return int(answer.headers.get("Content-Length") or 0)
    except (OSError, HTTPException, ValueError) as error:
        raise UserError(f"cannot reach {url} for {name} ({error}): try again later") from error


def check_room(folder: Path, wanted: int) -> None:
    """Make sure that a download fits.

    Raises:
        UserError: it does not.
    """
    free = shutil.disk_usage(folder).free
    if wanted > free:
        raise UserError(
            f"{folder} has {free / 1e9:.1f} GB free, {wanted / 1e9:.1f} GB are needed: make room"
        )


def download(remote: Remote, target: Path, progress: Callable[[int], None]) -> None:
    """Fetch a file, or the rest of it.

    Args:
        remote: from where; its address is a URL.
        target: where to; its directory exists.
        progress: is told how many bytes have come.

    Raises:
        UserError: it broke off, or is not the file that was expected, or the disk is full.
    """
    part = target.with_name(target.name + ".part")
    have = part.stat().st_size if part.exists() else 0
    if not (remote.bytes and have == remote.bytes):
        try:
            _fetch_rest(remote, part, have, progress)
        except urllib.error.HTTPError as error:
            raise UserError(
                f"{remote.address} answers {error.code} {error.reason}: try later, or correct the "
                "catalogue"
            ) from error
        except (urllib.error.URLError, HTTPException, TimeoutError, ConnectionError) as error:
            raise UserError(
                f"{remote.address} broke off ({error}): run the same command again, it goes on"
            ) from error
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            raise UserError(
                f"the disk is full, {target.name} is not complete: make room and run the same "
                "command again, it goes on"
            ) from error
    size = part.stat().st_size
    if remote.bytes and size < remote.bytes:
        raise UserError(
            f"{remote.address} broke off after {size:,} of {remote.bytes:,} bytes: "
            "run the same command again, it goes on"
        )
    found = sha256_of(part)
    if (remote.bytes and size != remote.bytes) or remote.sha256 not in ("", found):
        part.unlink()
        raise UserError(
            f"{remote.address} is not the file that the catalogue describes (its SHA-256 is "
            f"{found}, {size:,} bytes): it was removed; if it is newer, correct the catalogue"
        )
    os.replace(part, target)


def _fetch_rest(remote: Remote, part: Path, have: int, progress: Callable[[int], None]) -> None:
    request = urllib.request.Request(remote.address)
    if have:
        request.add_header("Range", f"bytes={have}-")
    try:
        answer = urllib.request.urlopen(request, timeout=TIMEOUT_S)
    except urllib.error.HTTPError as error:
        if error.code == 416 and have:  # nothing is left; the checks decide
            return
        raise
    with answer:
        goes_on = answer.status == 206  # else the server sends all of it once more
        with open(part, "ab" if goes_on else "wb") as file:
            while block := answer.read(_BLOCK):
                file.write(block)
                progress(len(block))
