"""What a table of the library looks like, and whether one that is found can be used.

Why: a table outlives the program that wrote it. Its metadata says which format it has and which
embedder made its vectors, so that neither is ever guessed or mixed.
"""

from typing import Any

from mlx_toy.library_errors import OldFormatError, OtherEmbedderError, OtherFormatError

FORMAT = 2  # of the tables; raised when their columns change
FINGERPRINT_KEY, FORMAT_KEY = b"mlx_toy.embedder", b"mlx_toy.format"
VECTOR_COLUMN, SEARCH_COLUMN = "vector", "search_text"


def make_schema(columns: dict[str, str], fingerprint: str, dimensions: int) -> Any:
    """The Arrow schema of a table.

    Args:
        columns: name -> type of all but the text that is searched and the vector; the key first.
        fingerprint: of the embedder that makes the vectors.
        dimensions: length of a vector.
    """
    import pyarrow as pa

    key, *others = columns.items()
    primary = {"lance-schema:unenforced-primary-key": "true"}
    return pa.schema(
        [
            pa.field(key[0], key[1], nullable=False, metadata=primary),
            *(pa.field(name, kind) for name, kind in others),
            pa.field(SEARCH_COLUMN, "string"),
            pa.field(VECTOR_COLUMN, pa.list_(pa.float32(), dimensions)),
        ],
        metadata={FINGERPRINT_KEY: fingerprint.encode(), FORMAT_KEY: str(FORMAT).encode()},
    )


def check_schema(found: Any, expected: Any, uri: str) -> None:
    """Raise if a table's schema shows that something else wrote it.

    Raises:
        OldFormatError: an earlier version of this program did.
        OtherFormatError: a later one did, or another program.
        OtherEmbedderError: its vectors are of another embedder.
    """
    theirs = _format_of(found)
    other = "pass another --library"
    if theirs is None:
        raise OtherFormatError(f"The library at {uri} was not written by mlx-toy; {other}.")
    if theirs > FORMAT:
        raise OtherFormatError(
            f"The library at {uri} was written by a newer version of mlx-toy (format {theirs}, "
            f"this one knows {FORMAT}); update mlx-toy, or {other}."
        )
    if theirs < FORMAT:
        raise OldFormatError(
            f"The library at {uri} was written by an older version of mlx-toy; bring it up to date "
            f"with `python -m mlx_toy reembed`, or {other}."
        )
    if not _same_embedder(found, expected):
        raise OtherEmbedderError(
            f"The library at {uri} was written with another embedder; embed it anew with "
            f"`python -m mlx_toy reembed`, pass the same --embedder as then, or {other}."
        )


def _format_of(schema: Any) -> int | None:
    """The format of a table; None if it is none of ours."""
    text = (schema.metadata or {}).get(FORMAT_KEY, b"").decode("ascii", "replace")
    return int(text) if text.isdigit() else None


def _same_embedder(found: Any, expected: Any) -> bool:
    """Whether the vectors of two tables can be compared."""
    names = [(schema.metadata or {}).get(FINGERPRINT_KEY) for schema in (found, expected)]
    kinds = [schema.field(VECTOR_COLUMN).type for schema in (found, expected)]
    return names[0] == names[1] and kinds[0] == kinds[1]
