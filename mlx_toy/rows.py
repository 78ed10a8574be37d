"""What the library stores: a row for each passage, and documents and hits read back from rows."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np

from mlx_toy.documents import Document
from mlx_toy.passages import Passage
from mlx_toy.tables import SEARCH_COLUMN, VECTOR_COLUMN

# Every passage carries its document's facts, so that adding a document is one transaction.
COLUMNS = {
    "id": "string",
    "document_id": "string",
    "document": "string",
    "added": "string",
    "pages": "int32",
    "characters": "int64",
    "passages": "int32",
    "passage": "int32",  # its place in the document, from 0
    "page": "int32",
    "heading": "string",
    "text": "string",
    "start": "int64",
    "end": "int64",
}
DOCUMENT_COLUMNS = ["document_id", "document", "passages", "pages", "characters", "added"]
HIT_COLUMNS = ["document_id", "document", "page", "heading", "text", "start", "end", "passage"]
PASSAGE_COLUMNS = ["text", "start", "end", "page", "heading"]
_DOCUMENT_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class StoredDocument:
    """A document in a library.

    Attributes:
        id: made here from its content.
        name: of the file.
        passages: how many it was cut into.
        pages: how many it has; None if its format has no pages.
        characters: length of its text.
        added: when, in UTC, ISO 8601.
        already: whether it was there before it was added.
    """

    id: str
    name: str
    passages: int
    pages: int | None
    characters: int
    added: str
    already: bool = False


@dataclass(frozen=True)
class Hit:
    """A passage found.

    Attributes:
        document_id, document: the id and the name of its document.
        page, heading, text, start, end: as in `Passage`.
        similarity: cosine of the query's and the passage's vectors.
        score: by which hits are ordered: the reranker's if there is one, else the fused one.
        vector_rank, text_rank: place (from 1) in each ranked list; None if not in it.
        text_score: BM25 of the words, by the full-text index; None if not in its list.
        relevance: probability that the passage holds an answer, by the reranker; None without one.
        passage: its place in the document, from 0; `Library.passages` gives its neighbours.
    """

    document_id: str
    document: str
    page: int | None
    heading: str
    text: str
    start: int
    end: int
    similarity: float
    score: float
    vector_rank: int | None
    text_rank: int | None
    text_score: float | None = None
    relevance: float | None = None
    passage: int = 0


def make_rows(
    document_id: str,
    document: Document,
    passages: list[Passage],
    vectors: np.ndarray,
    schema: Any,
) -> Any:
    """The rows of a document as an Arrow table; `vectors` are [N, D] for N passages."""
    import pyarrow as pa

    added = datetime.now(UTC).isoformat(timespec="milliseconds")
    rows = [
        {
            "id": f"{document_id}-{number}",
            "document_id": document_id,
            "document": document.name.encode("utf-8", "replace").decode(),
            "added": added,
            "pages": len(document.page_starts) or None,
            "characters": len(document.text),
            "passages": len(passages),
            "passage": number,
            "page": passage.page,
            "heading": passage.heading,
            "text": passage.text,
            "start": passage.start,
            "end": passage.end,
            SEARCH_COLUMN: f"{passage.heading}\n{passage.text}",
        }
        for number, passage in enumerate(passages)
    ]
    column = schema.get_field_index(VECTOR_COLUMN)
    table = pa.Table.from_pylist(rows, schema=schema.remove(column))
    flat = pa.FixedSizeListArray.from_arrays(vectors.ravel(), vectors.shape[1])
    return table.add_column(column, schema.field(column), flat)


def stored_documents(table: Any, document_id: str | None = None) -> list[StoredDocument]:
    """The documents of a table, or the one of that id, in the order in which they were added."""
    condition = "passage = 0" + (f" AND {is_document(document_id)}" if document_id else "")
    rows = table.search().where(condition).select(DOCUMENT_COLUMNS).limit(None).to_list()
    rows.sort(key=lambda row: row["added"])
    names = {"document_id": "id", "document": "name"}
    return [StoredDocument(**{names.get(key, key): row[key] for key in row}) for row in rows]


def is_document(document_id: str) -> str:
    """The filter for one document; only an id that was made here can get into it."""
    if not _DOCUMENT_ID.fullmatch(document_id):
        raise ValueError(f"{document_id!r} is not the id of a document")
    return f"document_id = '{document_id}'"
