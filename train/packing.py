"""Several conversations in one row, none of which sees another.

Why: conversations differ in length, and padding each to a row of its own wastes arithmetic. Rows
are filled best-fit decreasing (Krell et al. 2021, arXiv:2107.02027); the number of every token's
document goes with the row, and attention keeps to it. Rotary positions need no reset, because
attention depends on the distance of two tokens alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Row:
    """Documents laid out one after the other.

    Attributes:
        tokens: int32 [T + 1]; inputs are all but the last, targets all but the first.
        mask: float32 [T]: how much the target counts; not at all at the first token of a document,
            which nothing foretells.
        documents: int32 [T]: the number of each input's document; padding has one of its own.
    """

    tokens: np.ndarray
    mask: np.ndarray
    documents: np.ndarray


def pack(lengths: Sequence[int], capacities: Sequence[int]) -> list[tuple[int, list[int]]]:
    """Share documents among rows so that few places stay empty.

    Args:
        lengths: of the documents, none above the largest capacity.
        capacities: places that a row may have; a document that fits into no open row opens the
            smallest that holds it.

    Returns:
        For each row its capacity and the indices of its documents.
    """
    rows: list[tuple[int, list[int]]] = []
    room: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        fitting = [row for row, left in enumerate(room) if left >= lengths[index]]
        if fitting:
            best = min(fitting, key=lambda row: room[row])
        else:
            best = len(rows)
            rows.append((min(c for c in capacities if c >= lengths[index]), []))
            room.append(rows[best][0])
        rows[best][1].append(index)
        room[best] -= lengths[index]
    return rows


def lay_out(documents: Sequence[tuple[np.ndarray, np.ndarray]], length: int) -> Row:
    """One row of documents.

    Args:
        documents: (ids, how much each token counts), at most `length` + 1 tokens in all.
        length: of the row, T.
    """
    tokens = np.zeros(length + 1, dtype=np.int32)
    mask = np.zeros(length + 1, dtype=np.float32)
    numbers = np.full(length + 1, len(documents), dtype=np.int32)
    start = 0
    for number, (ids, learned) in enumerate(documents):
        stop = start + len(ids)
        tokens[start:stop], numbers[start:stop] = ids, number
        mask[start + 1 : stop] = learned[1:]
        start = stop
    return Row(tokens, mask[1:], numbers[:-1])
