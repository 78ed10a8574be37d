"""Find texts that were read before: the same words, or nearly the same.

Exact: a hash of all words. Near: MinHash (Broder 1997) over sequences of five words, cut into
bands (Leskovec et al., Mining of Massive Datasets, chapter 3): texts that agree in a whole band
count as the same, which finds 99% of the pairs that share 95% of their sequences, 2% of those that
share 70%. datasketch makes the MinHash; the bands are compared here, sorted one at a time, because
its index keeps a dictionary entry for each band of each text, kilobytes a text, and a corpus has
millions.
"""

import hashlib
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from datasketch import MinHash

from corpus.clean import hash_sequences

BANDS, ROWS = 8, 16
SEQUENCE_WORDS = 5
MIN_SEQUENCES = 20  # of a text; shorter ones are alike by chance, so only exact duplicates go
SEED = 1
_AT_ONCE = 1_000  # sequences: their 128 numbers each then stay in the processor's cache

EXACT, NEAR = "exact duplicate", "near duplicate"


def band_keys(words: np.ndarray) -> np.ndarray:
    """A key for each band of a text [BANDS] uint64; all 0 if the text is too short."""
    sequences = np.unique(hash_sequences(words, SEQUENCE_WORDS) & np.uint64(0xFFFFFFFF))
    if len(sequences) < MIN_SEQUENCES:
        return np.zeros(BANDS, dtype=np.uint64)
    minhash = _empty().copy()
    for start in range(0, len(sequences), _AT_ONCE):
        minhash.update_batch(sequences[start : start + _AT_ONCE].tolist())
    rows = minhash.hashvalues.astype(np.uint64).reshape(BANDS, ROWS)
    return np.array([_key(row) for row in rows], dtype=np.uint64)


def exact_key(words: np.ndarray) -> int:
    """A key of all the words of a text [W] uint64, in their order."""
    return _key(words)


def repeated(keys: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Which keys occurred before, in the same array or an earlier one; 0 stands for no key."""
    joined = np.concatenate(keys)
    _, first = np.unique(joined, return_index=True)
    again = np.ones(len(joined), dtype=bool)
    again[first] = False
    again[joined == 0] = False
    return np.split(again, np.cumsum([len(part) for part in keys])[:-1])


@lru_cache(maxsize=1)
def _empty() -> MinHash:
    """A MinHash of nothing, to be copied: drawing its permutations takes longer than using them."""
    return MinHash(num_perm=BANDS * ROWS, seed=SEED, hashfunc=int)


def _key(numbers: np.ndarray) -> int:
    """A 64-bit number for an array; numpy would take an operation for each of its numbers."""
    return int.from_bytes(hashlib.sha256(numbers.tobytes()).digest()[:8], "little")
