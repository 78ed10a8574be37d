"""Keep passages and find them again: a LanceDB database with one table for each workspace.

Why one table each: a request opens the table of its own workspace and no other, so isolation needs
no filter, statistics of words are not shared, and dropping a workspace is immediate. A table's
metadata names the embedder that made its vectors, since vectors of two embedders do not compare.
A document's passages are added in one transaction and removed in one: it is there or it is not.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from mlx_toy.documents import Document
from mlx_toy.fusion import Fusion
from mlx_toy.indexes import VECTOR_INDEX_ROWS
from mlx_toy.library_errors import LibraryError, OtherEmbedderError, explained
from mlx_toy.originals import Original, Originals
from mlx_toy.passages import Passage
from mlx_toy.rows import (
    COLUMNS,
    PASSAGE_COLUMNS,
    Hit,
    StoredDocument,
    is_document,
    is_file,
    is_id,
    joined_text,
    make_rows,
    stored_documents,
)
from mlx_toy.search import find_hits
from mlx_toy.tables import PURGE_INTERVAL_S, Tables, check_name

__all__ = ["Fusion", "Hit", "Library", "LibraryError", "Original", "OtherEmbedderError"]
__all__ += ["StoredDocument"]

CANDIDATES = 30  # passages of each of the two searches, as many as the reranker learned with
MAX_QUERY = 2_000  # characters of a query that are searched for: its beginning and its end


class Library:
    """The passages of all workspaces. Any thread may call it; calls take turns.

    Args:
        uri: a directory, or another LanceDB address ("s3://...", "db://...", "memory://").
        fingerprint: of the embedder whose vectors are stored.
        dimensions: length of its vectors.
        fusion: how the two ranked lists are weighed.
        rerank: a question, its hits, and the query that found them -> the same hits in a better
            order; None keeps the fused.
        purge_interval_s: least time between two removals of deleted text from the disk; what is
            left over is removed by `close`.
        vector_index_rows: from so many passages on a workspace gets an index of its vectors; below
            it every passage is compared.

    Raises:
        LibraryError: if it cannot be opened.
        OtherEmbedderError: if its vectors were made by another embedder.
    """

    def __init__(
        self,
        uri: str | Path,
        fingerprint: str,
        dimensions: int,
        fusion: Fusion | None = None,
        rerank: Callable[[str, list[Hit], str], list[Hit]] | None = None,
        purge_interval_s: float = PURGE_INTERVAL_S,
        vector_index_rows: int = VECTOR_INDEX_ROWS,
    ) -> None:
        self.dimensions = dimensions
        self._fusion, self._rerank = fusion or Fusion(), rerank
        self._tables = Tables(
            uri, fingerprint, dimensions, COLUMNS, purge_interval_s, vector_index_rows
        )
        self.uri = self._tables.uri
        self._originals = Originals(self.uri)
        for workspace in self._tables.names()[:1]:  # all were written by one embedder: tell it now
            self._tables.check_workspace(workspace)

    def __enter__(self) -> "Library":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Merge files and remove deleted text from the disk; wait for an index that is built."""
        self._tables.close()

    def workspaces(self) -> list[str]:
        """The names of all workspaces."""
        return self._tables.names()

    def drop_workspace(self, workspace: str) -> None:
        """Remove a workspace and its files; one that is not there is no error."""
        self._tables.drop(workspace)
        self._originals.drop(workspace)

    def clear(self, workspace: str) -> None:
        """Remove all documents of a workspace, and their text from the disk."""
        self.drop_workspace(workspace)

    def add(
        self,
        workspace: str,
        document: Document,
        passages: list[Passage],
        vectors: np.ndarray,
        original: Original | None = None,
        replace_old: bool = False,
    ) -> StoredDocument:
        """Store a document's passages in one transaction; the same content only once.

        Args:
            workspace: where to; made if there is none.
            document: what the passages are of.
            passages: at least one, in order.
            vectors: one for each passage, [N, D].
            original: the file, to be kept if this library is a folder.
            replace_old: whether other documents of the same name go, in the same transaction.

        Returns:
            The document as stored, with `already` true if it was there before.
        """
        if not passages:
            raise LibraryError(f"{document.name} has no text that could be stored.")
        vectors = self._checked(vectors, (len(passages), self.dimensions))
        document_id = _id(document)

        def insert(table: Any) -> StoredDocument:
            rows = make_rows(document_id, document, passages, vectors, self._tables.schema)
            name = rows["document"][0].as_py()
            namesakes = (other.id for other in stored_documents(table) if other.name == name)
            others = tuple(other for other in namesakes if other != document_id)
            # Not `add`: another process may be storing the same document at this moment.
            merge = table.merge_insert("id").when_not_matched_insert_all()
            if others and replace_old:
                merge = merge.when_not_matched_by_source_delete(is_document(*others))
            result = merge.execute(rows)
            stored = stored_documents(table, is_document(document_id))[0]
            there, gone = ((), others) if replace_old else (others, ())
            already = result.num_inserted_rows == 0
            return replace(stored, already=already, same_name=there, replaced=gone)

        stored = self._tables.write(workspace, insert, lambda stored: bool(stored.replaced))
        self._originals.remove(workspace, stored.replaced)
        if original:
            self.keep_original(workspace, stored, original)
        return stored

    def keep_original(self, workspace: str, stored: StoredDocument, original: Original) -> None:
        """Keep a document's file, unless the document has been removed meanwhile."""
        with explained(self.uri):
            self._originals.keep(workspace, stored.id, stored.name, *original)
        if self._document(workspace, is_document(stored.id)) is None:
            self._originals.remove(workspace, [stored.id])

    def documents(self, workspace: str) -> list[StoredDocument]:
        """The documents of a workspace, in the order in which they were added."""
        return self._tables.read(workspace, stored_documents, [])

    def find_file(self, workspace: str, digest: str) -> StoredDocument | None:
        """The document that came from a file of this digest (`SourceFile.digest`)."""
        return self._document(workspace, is_file(digest))

    def find_text(self, workspace: str, document: Document) -> StoredDocument | None:
        """The document that has the same text."""
        return self._document(workspace, is_document(_id(document)))

    def _document(self, workspace: str, condition: str) -> StoredDocument | None:
        def find(table: Any) -> StoredDocument | None:
            return next(iter(stored_documents(table, condition)), None)

        return self._tables.read(workspace, find, None)

    def document_text(self, workspace: str, document_id: str) -> str:
        """All text of a document, to which the offsets of its passages and of hits refer.

        Raises:
            LibraryError: there is no such document.
        """
        is_ours = is_id(document_id) and self._document(workspace, is_document(document_id))
        if not is_ours:
            raise LibraryError("That document is not in the library any more; reload the list.")
        return self._tables.read(workspace, lambda table: joined_text(table, document_id), "")

    def original(self, workspace: str, document_id: str) -> Path | None:
        """The file that a document was read from; None if it is not there or was not kept."""
        check_name(workspace)
        return self._originals.find(workspace, document_id) if is_id(document_id) else None

    def remove(self, workspace: str, document_id: str) -> bool:
        """Remove a document in one transaction; false if there is none of that id."""
        if not is_id(document_id) or not self._document(workspace, is_document(document_id)):
            return False
        condition = is_document(document_id)
        self._tables.write(workspace, lambda table: table.delete(condition), lambda _: True)
        self._originals.remove(workspace, [document_id])
        return True

    def passages(self, workspace: str, document_id: str, first: int, last: int) -> list[Passage]:
        """Passages of a document in order, such as the neighbours of one that was found.

        Args:
            workspace: where the document is.
            document_id: as in `Hit` and `StoredDocument`.
            first: place of the first, from 0; below 0 is the document's beginning.
            last: place of the last one; past the document's end is its end.
        """
        condition = f"{is_document(document_id)} AND passage BETWEEN {int(first)} AND {int(last)}"

        def find(table: Any) -> list[Passage]:
            columns = ["passage", *PASSAGE_COLUMNS]
            rows = table.search().where(condition).select(columns).limit(None).to_list()
            rows.sort(key=lambda row: row["passage"])
            return [Passage(**{name: row[name] for name in PASSAGE_COLUMNS}) for row in rows]

        return self._tables.read(workspace, find, [])

    def search(
        self, workspace: str, query: str, vector: np.ndarray, k: int = 5, question: str = ""
    ) -> list[Hit]:
        """The `k` passages that fit a question best, by meaning, by words, and read again.

        Args:
            workspace: where to look, and nowhere else.
            query: any text; its words are looked up in headings and passages.
            vector: its embedding, [D].
            k: how many.
            question: what is asked, if the query says more than that.
        """
        vector = self._checked(vector, (self.dimensions,))
        query, question = _searched(query), _searched(question)
        if k < 1:
            return []
        count = max(k, CANDIDATES)

        def find(table: Any) -> list[Hit]:
            return find_hits(table, query, vector, count, self._fusion)

        hits: list[Hit] = self._tables.read(workspace, find, [])
        if self._rerank and hits:
            hits = self._rerank(question or query, hits, query)
        return hits[:k]

    def _checked(self, vectors: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        """The vectors as float32; LanceDB would store some wrong ones in silence."""
        vectors = np.asarray(vectors, dtype=np.float32)
        if vectors.shape != shape or not np.isfinite(vectors).all():
            raise ValueError(f"vectors of {vectors.shape}, expected finite numbers of {shape}")
        return vectors


def _searched(text: str) -> str:
    """What is read of a question or a query: all of it, or its beginning and its end."""
    text = text.encode("utf-8", "ignore").decode()
    if len(text) > MAX_QUERY:
        text = f"{text[: MAX_QUERY // 2]} {text[-MAX_QUERY // 2 :]}"
    return text


def _id(document: Document) -> str:
    """The id of a document: two files of the same text are one."""
    return document.digest[:32]
