"""Guarded access to LanceDB tables, one for each workspace.

Why apart from `library.py`: opening and checking a table, turning LanceDB's errors into sentences,
and keeping deleted text off the disk are one concern; what is stored and how it is found is
another. LanceDB takes seconds to import, so it is imported when a `Tables` is made.
"""

import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

from mlx_toy.errors import UserError
from mlx_toy.indexes import (
    VECTOR_INDEX_ROWS,
    VectorIndexer,
    drop_vector_index,
    has_index,
    index_words,
)
from mlx_toy.library_errors import LibraryError, OtherEmbedderError, OtherFormatError, explained
from mlx_toy.table_schema import SEARCH_COLUMN, check_schema, make_schema

TRIES, CONFLICT_TRIES = 2, 8  # of an action, and of one that others committed before
CONFLICT_WAIT_S = 0.05  # before the second try; longer before each further one
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
        vector_index_rows: from so many rows on a table gets an index of its vectors.
    """

    def __init__(
        self,
        uri: str | Path,
        fingerprint: str,
        dimensions: int,
        columns: dict[str, str],
        purge_interval_s: float = PURGE_INTERVAL_S,
        vector_index_rows: int = VECTOR_INDEX_ROWS,
    ) -> None:
        os.environ.setdefault("LANCEDB_LOG", "error")
        import lancedb

        self.uri = str(uri) if "://" in str(uri) else str(Path(uri).expanduser())
        self.schema = make_schema(columns, fingerprint, dimensions)
        self._purge_interval_s = purge_interval_s
        self._lock = threading.RLock()
        self._open: dict[str, Any] = {}
        self._writes: dict[str, int] = {}  # since files were last merged
        self._holding_deleted: set[str] = set()  # workspaces whose files hold deleted text
        self._purged_at: dict[str, float] = {}
        with explained(self.uri):
            # Every read looks for the newest version: the command line may write beside the app.
            self._db: Any = lancedb.connect(self.uri, read_consistency_interval=timedelta(0))
        self._indexer = VectorIndexer(self._db.open_table, vector_index_rows, self.uri)

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
            self._indexer.consider(workspace, self._open[workspace])
            return result

    def inspect(self, workspace: str, action: Callable[[Any], _T]) -> _T:
        """What `action` returns for a table that there is, whatever wrote it."""
        check_name(workspace)
        with self._lock, explained(self.uri):
            return action(self._db.open_table(workspace))

    def check_workspace(self, workspace: str) -> None:
        """Raise if another embedder or version wrote it; damage concerns its own users only."""
        try:
            self.read(workspace, lambda table: None, None)
        except (OtherEmbedderError, OtherFormatError):
            raise
        except LibraryError:
            return

    def rewrite(self, workspace: str, rows: Callable[[Any], Iterator[Any]]) -> None:
        """Put other rows in the place of all, in one transaction: the new ones or the old.

        Args:
            workspace: whose table, whatever format and embedder it has.
            rows: the table as it is -> batches of the rows that it is to have, in our schema.

        Raises:
            LibraryError: another process changed it meanwhile, or it cannot be read or written.
        """
        import pyarrow as pa

        check_name(workspace)
        failures: list[BaseException] = []

        def batches(table: Any, version: int) -> Iterator[Any]:
            try:
                yield from rows(table)
                if self._db.open_table(workspace).version != version:
                    raise LibraryError(
                        f"The library at {self.uri} was changed by another program meanwhile; "
                        "close the other and try again."
                    )
            except BaseException as error:  # comes back as one of LanceDB's, without its kind
                failures.append(error)
                raise

        with self._lock, explained(self.uri):
            table = self._db.open_table(workspace)
            reader = pa.RecordBatchReader.from_batches(self.schema, batches(table, table.version))
            try:
                table = self._db.create_table(workspace, reader, self.schema, mode="overwrite")
            except BaseException:
                if failures:
                    raise failures[0] from None
                raise
            index_words(table)
            self._open[workspace], self._writes[workspace] = table, 1
            self._maintain(workspace, closing=True)

    def drop(self, workspace: str) -> None:
        """Delete a workspace's table and its files; one that is not there is no error."""
        check_name(workspace)
        with self._lock, explained(self.uri):
            self._open.pop(workspace, None)
            self._writes.pop(workspace, None)
            self._holding_deleted.discard(workspace)
            self._db.drop_table(workspace, ignore_missing=True)

    def close(self) -> None:
        """Merge files and remove deleted text from the disk; wait for an index that is built."""
        self._indexer.wait()
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

        Another process may have dropped the table, or purged the version that was being read. Where
        it only committed first, as with several that make the same index, we try a few times more.
        """
        check_name(workspace)
        with explained(self.uri):
            for attempt in range(1, CONFLICT_TRIES + 1):
                try:
                    table = self._table(workspace, create)
                    if table is None:
                        assert default is not None
                        return default()
                    return action(table)
                except UserError:
                    raise
                except Exception as error:
                    self._open.pop(workspace, None)
                    conflict = "commit conflict" in str(error)
                    if attempt >= (CONFLICT_TRIES if conflict else TRIES):
                        raise
                    if conflict:
                        time.sleep(attempt * CONFLICT_WAIT_S)
        raise AssertionError("not reached")

    def _table(self, workspace: str, create: bool) -> Any:
        """The open table of a workspace, checked; None if there is none and none is made."""
        if workspace in self._open:
            table = self._open[workspace]
            # Another process may have embedded it anew since it was opened.
            check_schema(table.schema, self.schema, self.uri)
            return table
        try:
            table = self._db.open_table(workspace)
        except Exception as error:
            if not re.search(r"not ?found", f"{type(error).__name__} {error}", re.IGNORECASE):
                raise
            if not create:
                return None
            table = self._db.create_table(workspace, schema=self.schema, exist_ok=True)
        check_schema(table.schema, self.schema, self.uri)
        if create and not has_index(table, SEARCH_COLUMN):
            index_words(table)
        self._open[workspace] = table
        return table

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
                index_words(table)
                drop_vector_index(table)
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
