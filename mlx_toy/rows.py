"""What the library stores: a row for each passage, and documents and hits read back from rows."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np

from mlx_toy.documents import Document
from mlx_toy.passages import Passage
from mlx_toy.table_schema import SEARCH_COLUMN, VECTOR_COLUMN

# Every passage carries its document's facts, so that adding a document is one transaction.
COLUMNS = {
    "id": "string",
    "document_id": "string",
    "document": "string",
    "added": "string",
    "pages": "int32",
    "characters": "int64",
    "bytes": "int64",  # size of the file
    "kind": "string",
    "notes": "string",  # a sentence a line
    "file": "string",  # digest of the file, "" for pasted text
    "passages": "int32",
    "passage": "int32",  # its place in the document, from 0
    "page": "int32",
    "heading": "string",
    "before": "string",  # the document's text between the passage before and this one
    "text": "string",
    "start": "int64",
    "end": "int64",
}
DOCUMENT_COLUMNS = ["document_id", "document", "passages", "pages", "characters", "added"]
DOCUMENT_COLUMNS += ["bytes", "kind", "notes"]
HIT_COLUMNS = ["document_id", "document", "page", "heading", "text", "start", "end", "passage"]
HIT_COLUMNS += ["before"]
PASSAGE_COLUMNS = ["text", "start", "end", "page", "heading"]
_DOCUMENT_ID = re.compile(r"[0-9a-f]{32}")
_FILE_DIGEST = re.compile(r"[0-9a-f]{64}")


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
        bytes: size of the file.
        kind: of its format, as in `Document`.
        notes: sentences about what was lost, such as pages without text.
        already: whether it was there before it was added.
        same_name: ids of other documents of its name, when it was added and left them there.
        replaced: ids of other documents of its name, whose place it took.
    """

    id: str
    name: str
    passages: int
    pages: int | None
    characters: int
    added: str
    bytes: int = 0
    kind: str = ""
    notes: tuple[str, ...] = ()
    already: bool = False
    same_name: tuple[str, ...] = ()
    replaced: tuple[str, ...] = ()


@dataclass(frozen=True)
class Hit:
    """A passage found.

    Attributes:
        document_id, document: the id and the name of its document.
        page, heading, text, start, end: as in `Passage`.
        similarity: cosine of the query's and the passage's vectors.
        score: by which hits are ordered: the fused one, or the reranker's if there is one, with
            what the reader says of those in front, which does not compare with the others' score.
        vector_rank, text_rank: place (from 1) in each ranked list; None if not in it.
        text_score: BM25 of the words, by the full-text index; None if not in its list.
        relevance: probability that the passage holds an answer, by the reranker; None without one.
        odds: how much likelier the reader finds its best words there than that they do not answer,
            in nats; None if it was not asked.
        nearness: how near in meaning it finds the nearest sentence to the question, a cosine; None
            likewise.
        passage: its place in the document, from 0; `Library.passages` gives its neighbours.
        before: the document's text between the passage before and this one.
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
    odds: float | None = None
    nearness: float | None = None
    passage: int = 0
    before: str = ""


def make_rows(
    document_id: str,
    document: Document,
    passages: list[Passage],
    vectors: np.ndarray,
    schema: Any,
) -> Any:
    """The rows of a document as an Arrow table; `vectors` are [N, D] for N passages."""
    import pyarrow as pa

    facts = {
        "document_id": document_id,
        "document": document.name.encode("utf-8", "replace").decode(),
        "added": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "pages": len(document.page_starts) or None,
        "characters": len(document.text),
        "bytes": document.size,
        "kind": document.kind,
        "notes": "\n".join(document.notes),
        "file": document.file_digest,
        "passages": len(passages),
    }
    ends = [0, *(passage.end for passage in passages)]
    rows = [
        {
            **facts,
            "id": f"{document_id}-{number}",
            "passage": number,
            "page": passage.page,
            "heading": passage.heading,
            "before": document.text[ends[number] : passage.start],
            "text": passage.text,
            "start": passage.start,
            "end": passage.end,
            SEARCH_COLUMN: f"{passage.heading}\n{passage.text}",
        }
        for number, passage in enumerate(passages)
    ]
    column = schema.get_field_index(VECTOR_COLUMN)
    return with_vectors(pa.Table.from_pylist(rows, schema=schema.remove(column)), vectors, schema)


def with_vectors(rows: Any, vectors: np.ndarray, schema: Any) -> Any:
    """An Arrow table of `schema`: rows without vectors, and the vectors [N, D]."""
    import pyarrow as pa

    column = schema.get_field_index(VECTOR_COLUMN)
    flat = pa.FixedSizeListArray.from_arrays(vectors.ravel(), vectors.shape[1])
    return rows.add_column(column, schema.field(column), flat).cast(schema)


def stored_documents(table: Any, condition: str = "") -> list[StoredDocument]:
    """The documents of a table in the order in which they were added.

    Args:
        table: of a workspace.
        condition: a filter, such as `is_document`.
    """
    first = "passage = 0" + (f" AND {condition}" if condition else "")
    rows = table.search().where(first).select(DOCUMENT_COLUMNS).limit(None).to_list()
    rows.sort(key=lambda row: row["added"])
    return [_stored(row) for row in rows]


def _stored(row: dict[str, Any]) -> StoredDocument:
    names = {"document_id": "id", "document": "name"}
    facts = {names.get(key, key): row[key] for key in row}
    return StoredDocument(**{**facts, "notes": tuple(row["notes"].splitlines())})


def joined_text(table: Any, document_id: str) -> str:
    """The text of a document: its passages and what stands between them."""
    columns = ["passage", "before", "text"]
    found = table.search().where(is_document(document_id)).select(columns).limit(None).to_list()
    found.sort(key=lambda row: row["passage"])
    return "".join(row["before"] + row["text"] for row in found)


def all_rows(table: Any) -> Any:
    """All rows of a table of any format as an Arrow table: its columns and ours, but no vectors.

    In format 1 what stands between two passages was not kept; blanks keep the offsets true.
    """
    import pyarrow as pa

    has = set(table.schema.names)
    columns = [name for name in (*COLUMNS, SEARCH_COLUMN) if name in has]
    rows = table.search().select(columns).limit(None).to_list()
    if not has.issuperset(COLUMNS):
        rows.sort(key=lambda row: (row["document_id"], row["passage"]))
        end, last = 0, None
        for row in rows:
            end = end if row["document_id"] == last else 0
            added = {"bytes": 0, "kind": "", "notes": "", "file": "", "before": ""}
            row |= {**added, "before": " " * (row["start"] - end)}
            end, last = row["end"], row["document_id"]
    kinds = list(COLUMNS.items())
    return pa.Table.from_pylist(rows, pa.schema([*kinds, (SEARCH_COLUMN, "string")]))


def is_id(document_id: str) -> bool:
    """Whether this can be the id of a document."""
    return _DOCUMENT_ID.fullmatch(document_id) is not None


def is_document(*document_ids: str) -> str:
    """The filter for some documents; only ids that were made here can get into it."""
    for document_id in document_ids:
        if not is_id(document_id):
            raise ValueError(f"{document_id!r} is not the id of a document")
    listed = ", ".join(f"'{document_id}'" for document_id in document_ids)
    return f"document_id IN ({listed})"


def is_file(digest: str) -> str:
    """The filter for documents that came from a file of this digest."""
    if not _FILE_DIGEST.fullmatch(digest):
        raise ValueError(f"{digest!r} is not the digest of a file")
    return f"file = '{digest}'"
