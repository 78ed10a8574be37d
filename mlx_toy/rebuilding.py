"""Make damaged workspaces of a library anew from the files that were kept.

Why: a disk may fail and a sync tool may cut a file short. What can be read is left as it is; the
index of words is made anew where it is broken; a table that cannot be read is moved aside, and its
documents are read again from `originals/`. What is lost is said.

Run:  python -m mlx_toy rebuild
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlx_toy.documents import SourceFile
from mlx_toy.errors import UserError
from mlx_toy.indexes import index_words
from mlx_toy.ingest import Ingest, IngestCancelled
from mlx_toy.library import Library
from mlx_toy.library_errors import LibraryError
from mlx_toy.originals import Originals
from mlx_toy.rows import COLUMNS, all_rows
from mlx_toy.table_schema import SEARCH_COLUMN, VECTOR_COLUMN
from mlx_toy.tables import Tables


@dataclass(frozen=True)
class Rebuilt:
    """What became of a workspace.

    Attributes:
        workspace: its name.
        intact: whether nothing had to be done.
        documents: how many were read anew.
        lost: a sentence for each document that could not be.
        aside: where the damaged table is, if it may hold what is lost.
    """

    workspace: str
    intact: bool = False
    documents: int = 0
    lost: tuple[str, ...] = ()
    aside: Path | None = None


def rebuild(
    uri: str, fingerprint: str, dimensions: int, ingest: Callable[[Library], Ingest]
) -> list[Rebuilt]:
    """Repair what is damaged; may be called again after an interruption, and goes on from there.

    Args:
        uri: of the library, which nothing else writes to meanwhile.
        fingerprint, dimensions: of the embedder.
        ingest: how documents get into a library.

    Raises:
        LibraryError: it is damaged and no folder, so that no files were kept.
    """
    tables, originals = Tables(uri, fingerprint, dimensions, COLUMNS), Originals(uri)
    names = tables.names()
    aside = {workspace: _aside(uri, workspace) for workspace in {*names, *originals.workspaces()}}
    broken = []
    for workspace in aside:
        if workspace in names and _is_readable(tables, workspace):
            if aside[workspace].exists():  # an earlier attempt was interrupted
                broken.append(workspace)
            continue
        broken.append(workspace)
        if workspace in names:
            _move_aside(uri, workspace, aside[workspace])
    tables.close()
    made = []
    if broken:
        with Library(uri, fingerprint, dimensions) as library:
            made = [
                _read_again(ingest(library), originals, workspace, aside[workspace])
                for workspace in sorted(broken)
            ]
    return [Rebuilt(name, intact=True) for name in sorted(set(names) - set(broken))] + made


def _aside(uri: str, workspace: str) -> Path:
    """Where the damaged table of a workspace is put: beside it, by a name that no workspace has."""
    return Path(uri) / f"{workspace}.damaged.lance"


def _move_aside(uri: str, workspace: str, aside: Path) -> None:
    if "://" in uri:
        raise LibraryError(
            f"Workspace {workspace} of the library at {uri} is damaged, and no files were kept "
            "there; restore a backup, or remove the workspace and add its documents again."
        )
    if aside.exists():  # the new table was damaged in its turn
        shutil.rmtree(Path(uri) / f"{workspace}.lance")
    else:
        (Path(uri) / f"{workspace}.lance").rename(aside)


def _is_readable(tables: Tables, workspace: str) -> bool:
    """Whether all rows can be read; a broken index of words is made anew."""

    def read(table: Any) -> None:
        all_rows(table)
        for batch in table.search().select([VECTOR_COLUMN]).limit(None).to_batches():
            batch.validate()

    def search(table: Any) -> None:
        from lancedb.query import MatchQuery

        match = MatchQuery("the", SEARCH_COLUMN)  # type: ignore[call-arg]
        table.search(match, query_type="fts").limit(1).to_list()

    try:
        tables.inspect(workspace, read)
    except LibraryError:
        return False
    try:
        tables.inspect(workspace, search)
    except LibraryError:
        tables.inspect(workspace, index_words)
    return True


def _read_again(ingest: Ingest, originals: Originals, workspace: str, aside: Path) -> Rebuilt:
    """Add all documents of a workspace whose files were kept."""
    lost = []
    names = originals.names(workspace)
    for document_id, name in names.items():
        path = originals.find(workspace, document_id)
        assert path is not None
        try:
            if path.suffix == ".txt" and Path(name).suffix.lower() != ".txt":  # it was pasted
                stored = ingest.add_text(workspace, path.read_text(encoding="utf-8"), name)
            else:
                stored = ingest.add_file(workspace, SourceFile(name, path.read_bytes()))
            if stored.id != document_id:  # it is read in another way now
                originals.remove(workspace, [document_id])
        except IngestCancelled:
            raise
        except (UserError, OSError, ValueError) as error:
            lost.append(str(error))
    if names and not lost:
        shutil.rmtree(aside, ignore_errors=True)
    found = len(names) - len(lost)
    return Rebuilt(workspace, False, found, tuple(lost), aside if aside.exists() else None)
