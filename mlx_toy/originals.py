"""The files that documents were read from, kept beside a library that is a folder.

Why: a source is best shown as the page it stands on, and a library that is damaged, or whose reader
has become better, can be made anew. A document's file is `originals/WORKSPACE/ID.SUFFIX` within the
library's folder, with its name in `ID.name`; it comes and goes with the document. A library at
another address ("s3://…", "memory://") keeps none.
"""

import os
import shutil
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

FOLDER = "originals"
NAME_SUFFIX = ".name"  # of the file with a document's name; no document ends so
MAX_SUFFIX = 12  # characters


class Original(NamedTuple):
    """A file to keep: its suffix, by which it is read anew, and its bytes."""

    suffix: str
    data: bytes


class Originals:
    """The files of all workspaces; names of workspaces and ids are checked by the library.

    Args:
        uri: of the library.
    """

    def __init__(self, uri: str) -> None:
        self._folder = None if "://" in uri else Path(uri) / FOLDER

    def keep(self, workspace: str, document_id: str, name: str, suffix: str, data: bytes) -> None:
        """Keep a document's file, whole or not at all, unless there is one.

        Raises:
            OSError: the disk is full or may not be written to.
        """
        if self._folder is None or self.find(workspace, document_id):
            return
        folder = self._folder / workspace
        folder.mkdir(parents=True, exist_ok=True)
        if not suffix[1:].isalnum() or not suffix.isascii() or len(suffix) > MAX_SUFFIX:
            suffix = ".bin"
        _write(folder / (document_id + NAME_SUFFIX), name.encode("utf-8", "replace"))
        _write(folder / (document_id + suffix), data)

    def find(self, workspace: str, document_id: str) -> Path | None:
        """A document's file; None if none was kept."""
        if self._folder is None:
            return None
        found = (self._folder / workspace).glob(document_id + ".*")
        return next((path for path in found if path.suffix != NAME_SUFFIX), None)

    def names(self, workspace: str) -> dict[str, str]:
        """The names of the documents whose files are kept, by id, the oldest first."""
        if self._folder is None:
            return {}
        files = sorted(
            (self._folder / workspace).glob("*" + NAME_SUFFIX),
            key=lambda path: path.stat().st_mtime,
        )
        named = {path.stem: path.read_text(encoding="utf-8", errors="replace") for path in files}
        return {key: name for key, name in named.items() if self.find(workspace, key)}

    def workspaces(self) -> list[str]:
        """The workspaces that have files."""
        if self._folder is None or not self._folder.is_dir():
            return []
        return [path.name for path in self._folder.iterdir() if path.is_dir()]

    def remove(self, workspace: str, document_ids: Iterable[str]) -> None:
        """Delete the files of documents; those that are not there are no error."""
        if self._folder is None:
            return
        for document_id in document_ids:
            for path in (self._folder / workspace).glob(document_id + ".*"):
                path.unlink(missing_ok=True)

    def drop(self, workspace: str) -> None:
        """Delete the files of a workspace."""
        if self._folder is not None:
            shutil.rmtree(self._folder / workspace, ignore_errors=True)


def _write(path: Path, data: bytes) -> None:
    """Write a file under another name first, so that it is whole once it is there."""
    handle, temporary = tempfile.mkstemp(prefix=".", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise
