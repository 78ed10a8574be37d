"""Embed all passages of a library anew: for another embedder, or in today's format of the tables.

Why: vectors of two embedders cannot be compared, so changing it means making all of them again. The
new rows take the place of the old ones of a workspace in one transaction, so that one that was
interrupted is as it was, and never a mixture.

Run:  python -m mlx_toy reembed --embedder NAME
"""

from collections.abc import Callable, Iterator
from typing import Any

from mlx_toy.embedder import Embedder
from mlx_toy.ingest import IngestCancelled, IngestProgress, Progress, below_headings, embed_sorted
from mlx_toy.library_errors import LibraryError, OldFormatError, OtherEmbedderError
from mlx_toy.rows import COLUMNS, all_rows, with_vectors
from mlx_toy.table_schema import check_schema
from mlx_toy.tables import Tables


def reembed(
    uri: str,
    embedder: Embedder,
    progress: Progress | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> int:
    """Embed the passages of all workspaces that another embedder or an older version wrote.

    Args:
        uri: of the library, which nothing else writes to meanwhile.
        embedder: the new one.
        progress: told how many passages of a workspace are done.
        cancelled: asked after every few passages whether to stop.

    Returns:
        How many passages were embedded; 0 if all are up to date.

    Raises:
        IngestCancelled: it was stopped; the workspace that it was at is as it was.
        LibraryError: the library cannot be read or written.
    """
    count = 0

    def tell(done: int, total: int) -> None:
        if cancelled and cancelled():
            raise IngestCancelled("Stopped: the library is as it was.")
        if progress:
            progress(IngestProgress("embedding", done, total))

    def rows(table: Any) -> Iterator[Any]:
        nonlocal count
        found = all_rows(table)
        texts = zip(found["heading"].to_pylist(), found["text"].to_pylist(), strict=True)
        vectors = embed_sorted(embedder, [below_headings(*pair) for pair in texts], tell)
        count += len(vectors)
        yield from with_vectors(found, vectors, tables.schema).to_batches()

    tables = Tables(uri, embedder.fingerprint, embedder.dimensions, COLUMNS)
    failure: LibraryError | None = None
    # The first workspace, by which a library is judged when it is opened, comes last.
    for workspace in reversed(tables.names()):
        try:
            if _is_outdated(tables, workspace):
                tables.rewrite(workspace, rows)
        except LibraryError as error:  # the others can be embedded all the same
            failure = error
    tables.close()
    if failure:
        raise failure
    return count


def _is_outdated(tables: Tables, workspace: str) -> bool:
    """Whether another embedder or an older version wrote a workspace."""
    try:
        tables.inspect(
            workspace, lambda table: check_schema(table.schema, tables.schema, tables.uri)
        )
    except (OtherEmbedderError, OldFormatError):
        return True
    return False
