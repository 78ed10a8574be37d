"""A 5-gram model with interpolated, modified Kneser-Ney smoothing: what counting alone can do.

Chen and Goodman 1998, "An empirical study of smoothing techniques for language modeling". An n-gram
keeps its count less a discount; what was taken is handed to the model of one word less. Below the
longest, counts are of the different tokens that stand before, not of occurrences.

Tables are sorted arrays of 64-bit hashes, so 20 million tokens take about 2 GB and a minute; that
two n-grams share a hash happens once in some 10^5 such models.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

ORDER = 5
_BASE = np.uint64(0xD1342543DE82EF95)  # odd
_LEAST_DISCOUNT = 0.1  # so that nothing is impossible where the formula leaves no discount


@dataclass(frozen=True)
class _Table:
    """All n-grams of one length.

    Attributes:
        keys: their hashes, sorted [G].
        kept: probability in its context that an n-gram keeps [G].
        contexts: hashes of the contexts, sorted [C].
        given: probability that a context hands to the shorter model [C].
    """

    keys: np.ndarray
    kept: np.ndarray
    contexts: np.ndarray
    given: np.ndarray


class NGramModel:
    """Counts of token sequences.

    Args:
        tokens: ids [N] of the text to count.
        vocab_size: number of ids.
        order: longest n-gram.
    """

    def __init__(self, tokens: np.ndarray, vocab_size: int, order: int = ORDER):
        self.order, self.vocab_size = order, vocab_size
        self._values = np.random.default_rng(0).integers(1, 2**64, vocab_size, dtype=np.uint64)
        hashes = self._hashes(tokens)  # hashes[k][i] is of the k tokens that begin at i
        self._tables = []
        for size in range(1, order + 1):
            if size == order:
                keys, first, counts = np.unique(hashes[size], return_index=True, return_counts=True)
            else:  # how many different tokens stand before: each longer n-gram once
                _, places = np.unique(hashes[size + 1], return_index=True)
                ends = hashes[size][places + 1]
                keys, first, counts = np.unique(ends, return_index=True, return_counts=True)
                first = places[first] + 1
            self._tables.append(_table(keys, counts, hashes[size - 1][first]))

    def nats(self, texts: Iterable[Sequence[int]]) -> list[float]:
        """Summed negative log-likelihood of each text, but for its first token."""
        return [self._nats(np.asarray(ids)) for ids in texts]

    def probabilities(self, ids: np.ndarray) -> np.ndarray:
        """Of each token but the first [T - 1], given those before it."""
        hashes = self._hashes(ids)
        result = np.full(len(ids) - 1, 1 / self.vocab_size)
        for size, table in enumerate(self._tables, start=1):
            # the n-grams that end at tokens 1, 2, ...; near the beginning there is no context
            begin = max(0, 2 - size)
            grams = hashes[size][begin:]
            contexts = hashes[size - 1][begin : begin + len(grams)]
            at = slice(len(result) - len(grams), None)
            known, place = _look_up(table.contexts, contexts)
            seen, gram = _look_up(table.keys, grams)
            interpolated = np.where(seen, table.kept[gram], 0) + table.given[place] * result[at]
            result[at] = np.where(known, interpolated, result[at])
        return result

    def _nats(self, ids: np.ndarray) -> float:
        return float(-np.log(self.probabilities(ids)).sum()) if len(ids) > 1 else 0.0

    def _hashes(self, tokens: np.ndarray) -> list[np.ndarray]:
        """For each length from 0, the hashes of the n-grams by the place where they begin."""
        values = self._values[tokens]
        hashes = [np.zeros(len(tokens), np.uint64)]
        for size in range(1, self.order + 1):
            count = max(0, len(tokens) - size + 1)
            hashes.append(hashes[-1][:count] * _BASE + values[size - 1 : size - 1 + count])
        return hashes


def _table(keys: np.ndarray, counts: np.ndarray, contexts_of: np.ndarray) -> _Table:
    """What each n-gram keeps of its context's probability, and what each context gives away."""
    once, twice, thrice, more = (max(1, int((counts == k).sum())) for k in (1, 2, 3, 4))
    rate = once / (once + 2 * twice)
    steps = (1 - 2 * rate * twice / once, 2 - 3 * rate * thrice / twice)
    last = 3 - 4 * rate * more / thrice
    discounts = np.clip([0.0, *steps, last], [0, *[_LEAST_DISCOUNT] * 3], [0, 1, 2, 3])
    taken = discounts[np.minimum(counts, 3)]
    contexts, place = np.unique(contexts_of, return_inverse=True)
    totals = np.bincount(place, counts)
    given = np.bincount(place, taken) / totals
    return _Table(keys, (counts - taken) / totals[place], contexts, given)


def _look_up(table: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Whether each hash is in the table, and where."""
    place = np.searchsorted(table, wanted)
    place[place == len(table)] = 0
    return table[place] == wanted, place
