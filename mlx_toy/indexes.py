"""The indexes of a table: one of its words always, one of its vectors when there are many.

Why not always: up to about a hundred thousand passages comparing a question with all of them takes
less than a tenth of a second and misses none; beyond, a graph of neighbours (HNSW, Malkov and
Yashunin 2016, arXiv:1603.09320) takes milliseconds, finds nearly all, and takes minutes to build.
So it is built in a thread of its own while the library goes on, and rows that are not in it yet are
compared one by one.
"""

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from mlx_toy.library_errors import LibraryError, explained
from mlx_toy.table_schema import SEARCH_COLUMN, VECTOR_COLUMN

VECTOR_INDEX_ROWS = 100_000  # passages from which an index of the vectors pays


def index_words(table: Any) -> None:
    """Make the full-text index, or make it anew."""
    from lancedb.index import FTS

    config = FTS(base_tokenizer="icu/split", with_position=True)
    table.create_index(SEARCH_COLUMN, config=config, replace=True)


def has_index(table: Any, column: str) -> bool:
    """Whether a column has an index."""
    return any(column in index.columns for index in table.list_indices())


def drop_vector_index(table: Any) -> None:
    """Remove the index of the vectors, and with it what it holds of deleted rows."""
    for index in table.list_indices():
        if VECTOR_COLUMN in index.columns:
            table.drop_index(index.name)


class VectorIndexer:
    """Builds indexes of vectors in the background, one a table.

    Args:
        open_table: a table by its name, on a handle of its own.
        rows: from so many on a table gets one.
        uri: of the library, for messages.
    """

    def __init__(self, open_table: Callable[[str], Any], rows: int, uri: str) -> None:
        self._open_table, self._rows, self._uri = open_table, rows, uri
        self._building: dict[str, threading.Thread] = {}

    def consider(self, name: str, table: Any) -> None:
        """Begin to build an index if the table should have one."""
        if name in self._building and self._building[name].is_alive():
            return
        if table.count_rows() >= self._rows and not has_index(table, VECTOR_COLUMN):
            thread = threading.Thread(target=self._build, args=(name,), daemon=True)
            self._building[name] = thread
            thread.start()

    def wait(self) -> None:
        """Return when no index is being built any more."""
        for thread in list(self._building.values()):
            thread.join()

    def _build(self, name: str) -> None:
        """Build one; if the table changes too much meanwhile, a later write tries again."""
        from lancedb.index import HnswSq

        with suppress(LibraryError), explained(self._uri):
            table = self._open_table(name)
            table.create_index(VECTOR_COLUMN, config=HnswSq(distance_type="cosine"), replace=True)
