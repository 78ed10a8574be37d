"""Look a question up in one table: by its vector and by its words, the two lists merged.

Apart from `library.py`, which keeps passages: this is how they are found. No text of a user gets
into a filter expression; the words go to the full-text index as a query object, never as syntax.
"""

from typing import Any

import numpy as np

from mlx_toy.fusion import Fusion, fuse
from mlx_toy.rows import HIT_COLUMNS, Hit
from mlx_toy.table_schema import SEARCH_COLUMN, VECTOR_COLUMN


def find_hits(table: Any, query: str, vector: np.ndarray, count: int, fusion: Fusion) -> list[Hit]:
    """The passages of both lists, in the fused order.

    Args:
        table: of a workspace.
        query: any text; its words are looked up in headings and passages.
        vector: its embedding, [D].
        count: how many passages each list has at most.
        fusion: how the lists are weighed.
    """
    from lancedb.query import MatchQuery

    columns = ["id", *HIT_COLUMNS, VECTOR_COLUMN]
    near = table.search(vector, vector_column_name=VECTOR_COLUMN).distance_type("cosine")
    match = MatchQuery(query, SEARCH_COLUMN)  # type: ignore[call-arg]
    words = table.search(match, query_type="fts")
    by_vector = near.limit(count).select([*columns, "_distance"]).to_list()
    by_text = words.limit(count).select([*columns, "_score"]).to_list()
    rows = {row["id"]: row for row in [*by_vector, *by_text]}
    text_scores = {row["id"]: float(row["_score"]) for row in by_text}
    ids = ([row["id"] for row in by_vector], [row["id"] for row in by_text])
    return [
        Hit(
            **{name: rows[item.key][name] for name in HIT_COLUMNS},
            similarity=_cosine(vector, rows[item.key][VECTOR_COLUMN]),
            score=item.score,
            vector_rank=item.vector_rank,
            text_rank=item.text_rank,
            text_score=text_scores.get(str(item.key)),
        )
        for item in fuse(*ids, fusion)
    ]


def _cosine(a: np.ndarray, b: list[float]) -> float:
    """Cosine of two vectors; 0 if one is all zeros."""
    norms = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(np.dot(a, b)) / norms if norms else 0.0
