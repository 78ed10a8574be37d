"""Guarded access to LanceDB tables, one for each workspace.

Why apart from `library.py`: opening and checking a table, turning LanceDB's errors into sentences,
and keeping deleted text off the disk are one concern; what is stored and how it is found is
another. LanceDB takes seconds to import, so it is imported when a `Tables` is made.
"""

import os
import re
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

from mlx_toy.errors import UserError
from mlx_toy.library_errors import LibraryError, OtherEmbedderError, explained

FORMAT = "2"  # of the tables; raised when their columns change
FINGERPRINT_KEY, FORMAT_KEY = b"mlx_toy.embedder", b"mlx_toy.format"
VECTOR_COLUMN, SEARCH_COLUMN = "vector", "search_text"
WRITES_BEFORE_MERGE = 16  # each write adds a file, and rows that are not in the index yet
PURGE_INTERVAL_S = 60.0  # rewriting a large table for every document removed would be slow
OLD_VERSIONS = timedelta(milliseconds=1)  # age at which a replaced version of a table goes

_WORKSPACE = re.compile(r"[A-Za-z0-9_-]{1,64}")
_T = TypeVar("_T")


class Tables:
    """The tables of one LanceDB database. One lock: calls from several threads take turns.

    Args:
        uri: a directory or another LanceDB address.
        fingerprint: of the embedder that makes the vectors.
        dimensions: length of a vector.
        columns: the other columns, name -> pyarrow type, the key first.
        purge_interval_s: least time between two purges of one table.
    """

    def __init__(
        self,
        uri: str | Path,
        fingerprint: str,
        dimensions: int,
        columns: dict[str, str],
        purge_interval_s: float,
    ) -> None:
        os.environ.setdefault("LANCEDB_LOG", "error")
        import lancedb
        import pyarrow as pa

        self.uri = str(uri) if "://" in str(uri) else str(Path(uri).expanduser())
        key, *others = columns.items()
        primary = {"lance-schema:unenforced-primary-key": "true"}
        self.schema = pa.schema(
            [
                pa.field(key[0], key[1], nullable=False, metadata=primary),
                *(pa.field(name, kind) for name, kind in others),
                pa.field(SEARCH_COLUMN, "string"),
                pa.field(VECTOR_COLUMN, pa.list_(pa.float32(), dimensions)),
            ],
            metadata={FINGERPRINT_KEY: fingerprint.encode(), FORMAT_KEY: FORMAT.encode()},
        )
        self._purge_interval_s = purge_interval_s
        self._lock = threading.RLock()
        self._open: dict[str, Any] = {}
        self._writes: dict[str, int] = {}  # since files were last merged
        self._holding_deleted: set[str] = set()  # workspaces whose files hold deleted text
        self._purged_at: dict[str, float] = {}
        with explained(self.uri):
            # Every read looks for the newest version: the command line may write beside the app.
            self._db: Any = lancedb.connect(self.uri, read_consistency_interval=timedelta(0))

    def names(self) -> list[str]:
        """The workspaces that have a table."""
        with self._lock, explained(self.uri):
            names: list[str] = []
            token = None
            while True:
                answer = self._db.list_tables(page_token=token)
                names += [name for name in answer.tables if _WORKSPACE.fullmatch(name)]
                token = answer.page_token
                if not token:
                    return names

    def read(self, workspace: str, action: Callable[[Any], _T], default: _T) -> _T:
        """What `action` returns for the workspace's table; `default` if it has none."""
        with self._lock:
            return self._with_table(workspace, action, lambda: default, create=False)

    def write(
        self,
        workspace: str,
        action: Callable[[Any], _T],
        deletes: Callable[[_T], bool] = lambda _: False,
    ) -> _T:
        """As `read`, for an action that changes the table, which is made if there is none.

        The action may be run twice, so running it again must change nothing more. `deletes` says
        of its result whether it deleted rows.
        """
        with self._lock:
            result = self._with_table(workspace, action, None, create=True)
            self._writes[workspace] = self._writes.get(workspace, 0) + 1
            if deletes(result):
                self._holding_deleted.add(workspace)
            self._maintain(workspace)
            return result

    def check_workspace(self, workspace: str) -> None:
        """Raise if another embedder wrote a workspace; other damage concerns its own users only."""
        try:
            self.read(workspace, lambda table: None, None)
        except OtherEmbedderError:
            raise
        except LibraryError:
            return

    def drop(self, workspace: str) -> None:
        """Delete a workspace's table and its files; one that is not there is no error."""
        check_name(workspace)
        with self._lock, explained(self.uri):
            self._open.pop(workspace, None)
            self._writes.pop(workspace, None)
            self._holding_deleted.discard(workspace)
            self._db.drop_table(workspace, ignore_missing=True)

    def close(self) -> None:
        """Merge files and remove deleted text from the disk."""
        with self._lock:
            for workspace in list(self._writes):
                self._maintain(workspace, closing=True)
            self._open.clear()

    def _with_table(
        self,
        workspace: str,
        action: Callable[[Any], _T],
        default: Callable[[], _T] | None,
        create: bool,
    ) -> _T:
        """Run an action on a table; if it fails, once more on the table opened anew.

        Another process may have dropped the table, or purged the version that was being read.
        """
        check_name(workspace)
        with explained(self.uri):
            for last_try in (False, True):
                try:
                    table = self._table(workspace, create)
                    if table is None:
                        assert default is not None
                        return default()
                    return action(table)
                except UserError:
                    raise
                except Exception:
                    self._open.pop(workspace, None)
                    if last_try:
                        raise
        raise AssertionError("not reached")

    def _table(self, workspace: str, create: bool) -> Any:
        """The open table of a workspace, checked; None if there is none and none is made."""
        if workspace in self._open:
            return self._open[workspace]
        try:
            table = self._db.open_table(workspace)
        except Exception as error:
            if not re.search(r"not ?found", f"{type(error).__name__} {error}", re.IGNORECASE):
                raise
            if not create:
                return None
            table = self._db.create_table(workspace, schema=self.schema, exist_ok=True)
        self._check(table.schema)
        if create and not table.list_indices():
            self._index(table)
        self._open[workspace] = table
        return table

    def _check(self, found: Any) -> None:
        """Raise if a table's schema shows that something else wrote it."""
        metadata = found.metadata or {}
        other = f"remove {self.uri} to start anew, or pass another --library"
        if metadata.get(FORMAT_KEY) != FORMAT.encode():
            raise LibraryError(f"The library at {self.uri} has another format; {other}.")
        theirs, ours = metadata.get(FINGERPRINT_KEY), self.schema.metadata[FINGERPRINT_KEY]
        if (
            theirs != ours
            or found.field(VECTOR_COLUMN).type != self.schema.field(VECTOR_COLUMN).type
        ):
            raise OtherEmbedderError(
                f"The library at {self.uri} was written with another embedder; pass the same "
                f"--embedder as then, or {other}."
            )

    def _index(self, table: Any) -> None:
        """Make the full-text index, or make it anew."""
        from lancedb.index import FTS

        config = FTS(base_tokenizer="icu/split", with_position=True)
        table.create_index(SEARCH_COLUMN, config=config, replace=True)

    def _maintain(self, workspace: str, closing: bool = False) -> None:
        """Merge small files now and then, and purge deleted text; a failure is tried again later.

        Deleting only marks rows. Rewriting all that are left, in one transaction that a write of
        another process cannot be lost in, leaves the deleted ones in old versions alone, which
        then go; the words of deleted text leave with the old index.
        """
        table = self._open.get(workspace)
        if table is None:
            return
        waited_s = time.monotonic() - self._purged_at.get(workspace, -self._purge_interval_s)
        purge = workspace in self._holding_deleted
        purge = purge and (closing or waited_s >= self._purge_interval_s)
        if not (purge or closing or self._writes[workspace] >= WRITES_BEFORE_MERGE):
            return
        with suppress(LibraryError), explained(self.uri):
            if purge:
                table.update(values_sql={"document_id": "document_id"})
                self._index(table)
                self._purged_at[workspace] = time.monotonic()
            table.optimize(cleanup_older_than=OLD_VERSIONS)
            self._writes.pop(workspace, None)
            if purge:
                self._holding_deleted.discard(workspace)


def check_name(workspace: str) -> None:
    """Workspaces are named by the server; a name is part of a path and never anything else."""
    if not _WORKSPACE.fullmatch(workspace):
        raise LibraryError(
            f"A workspace is named by 1 to 64 letters, digits, _ or -, not {workspace[:80]!r}."
        )
