"""Where token sequences stand verbatim in token shards: an exact search that streams.

A shard is read in pieces. In each, the hash of every 32 tokens in a row is made by doubling
(1, 2, 4, ... 32 tokens), looked up among those of the sequences, and what is found is compared
token by token. So memory and time do not depend on how many sequences are looked for.
"""

from collections.abc import Iterable, Sequence

import numpy as np

WINDOW = 32  # tokens that are hashed together, a power of two
_PIECE = 1 << 21  # tokens of a shard at a time: 16 MB of hashes
_BASE = np.uint64(0x9E3779B97F4A7C15)  # odd, so that no factor is lost modulo 2^64


def find(sequences: Sequence[Sequence[int]], shards: Iterable[np.ndarray]) -> list[bool]:
    """Which of the sequences occur.

    Args:
        sequences: ids, each of at least `WINDOW`.
        shards: tokens [N] of each shard.

    Raises:
        ValueError: a sequence is shorter.
    """
    wanted = [np.asarray(sequence, dtype=np.uint64) for sequence in sequences]
    if any(len(sequence) < WINDOW for sequence in wanted):
        raise ValueError(f"a sequence to look for has fewer than {WINDOW} tokens")
    found = [False] * len(wanted)
    if not wanted:
        return found
    hashes = np.array([_hashes(sequence[:WINDOW])[0] for sequence in wanted], dtype=np.uint64)
    order = np.argsort(hashes, kind="stable")
    longest = max(map(len, wanted))
    for shard in shards:
        for start in range(0, len(shard), _PIECE):
            piece = np.asarray(shard[start : start + _PIECE + longest - 1], dtype=np.uint64)
            _find_in(piece, wanted, hashes[order], order, found)
    return found


def _find_in(
    piece: np.ndarray,
    wanted: Sequence[np.ndarray],
    hashes: np.ndarray,
    order: np.ndarray,
    found: list[bool],
) -> None:
    """Mark the sequences that stand in a piece."""
    here = _hashes(piece)
    first = np.searchsorted(hashes, here)
    first[first == len(hashes)] = 0
    for position in np.flatnonzero(hashes[first] == here):
        rank = first[position]
        while rank < len(hashes) and hashes[rank] == here[position]:
            index = order[rank]
            sequence = wanted[index]
            there = piece[position : position + len(sequence)]
            found[index] = found[index] or np.array_equal(there, sequence)
            rank += 1


def _hashes(tokens: np.ndarray) -> np.ndarray:
    """Hash of every `WINDOW` tokens in a row of uint64 [N]: [N - WINDOW + 1]."""
    values, width, power = tokens + np.uint64(1), 1, _BASE
    while width < WINDOW:
        values = values[:-width] * power + values[width:] if len(values) > width else values[:0]
        with np.errstate(over="ignore"):
            power = power * power
        width *= 2
    return values
