"""What tells whether the reply of an exchange fits what somebody said.

Each candidate is compared with the message as a whole (cosines), word by word (which words of
either are missing in the other, weighed by how rare they are, and how near the nearest one is), and
by its reply: a word of the exchange that its reply takes up must have been said now, too. "My name
is Rosa, I like painting" is near to "My name is Rosa", but its reply speaks of painting. An
exchange that was found for one sentence of a message is compared with that sentence; whether the
rest asks for something else tells what it is worth.
"""

from collections.abc import Sequence

import numpy as np

from mlx_toy.embedder import Embedder
from mlx_toy.exchange_search import ExchangeIndex, Said, stems
from mlx_toy.lexicon import QUESTION_TYPES, asks, question_type
from mlx_toy.told_names import with_names
from mlx_toy.words import words

MAX_WORDS = 60  # of a message that are looked at
KNOWN_WORDS = 50_000  # whose vectors are kept
_ME = frozenset({"i", "my", "me", "we", "our", "us", "im", "ive", "mine"})
_YOU = frozenset({"you", "your", "yours", "yourself"})
_NOT = frozenset({"not", "no", "never", "t", "dont", "cant", "isnt", "without", "nothing"})
_NUMBERS = {
    word: str(number)
    for number, word in enumerate(
        "zero one two three four five six seven eight nine ten eleven twelve".split()  # noqa: SIM905
    )
}
_TINY = 1e-6
NAMES = (
    "cosine",
    "cosine below the best",
    "asked words found",
    "written words found",
    "rarest asked word that is missing",
    "rarest written word that is missing",
    "asked words found nearly",
    "written words found nearly",
    "farthest asked word",
    "farthest written word",
    "words that the reply takes up, missing",
    "rarest of them",
    "asked words in the reply",
    "asked words in neither",
    "same words in the same order",
    "shared words",
    "length ratio",
    "both ask",
    "same kind of question",
    "same first word",
    "same persons",
    "same negation",
    "numbers that differ",
    "rarest new word of the reply",
    "names in the reply that were not said",
    "length of the message",
    "length of the reply",
    "goes on, and so does this",
    "begins, but this goes on",
    "cosine before",
    "cosine of what was answered",
    "words before found",
    "cosine before, below the best",
    "cosine of both together",
    "cosine of both together, below the best",
    "asked words of both found",
    "written words of both found",
    "compared with a part of the message",
    "the part's share of the message",
    "the part asks",
    "the rest asks",
    "the part is the end",
    "parts of the message",
)


class ExchangeFeatures:
    """Compares; any thread may call it.

    Args:
        index: the exchanges.
    """

    def __init__(self, index: ExchangeIndex) -> None:
        self._index = index
        self._vectors = _WordVectors(index.embedder)

    def __call__(self, said: Said, view: Said, places: Sequence[int]) -> np.ndarray:
        """Features [P, F] of the exchanges at P places, in the order of `NAMES`.

        Args:
            said: the end of the conversation.
            view: of it, that the exchanges are compared with (`Said.views`).
            places: of the exchanges.
        """
        index, asked = self._index, _Text(view.message)
        of_view = self._view(said, view, asked)
        near = index.cosines(view, places)  # [P, 4]
        best, best_before, _, best_together = near.max(axis=0)
        both = set(stems(view.together)[:MAX_WORDS])
        around = {*stems(said.message), *stems(said.before), *stems(said.said)}
        rows = []
        for place, (cosine, before, answer, together) in zip(places, near, strict=True):
            exchange = with_names(index.exchanges[place], said.told)
            written = _Text(exchange.message)
            goes_on = exchange.goes_on
            row = self._compare(asked, written)
            row += self._reply(exchange.reply, asked, written, stems(exchange.before), around)
            row += [goes_on, bool(said.before) and not goes_on, before, answer]
            row.append(self._found(set(stems(said.before)), set(stems(exchange.before))))
            written_both = {*stems(exchange.before), *written.distinct}
            row += [before - best_before, together, together - best_together]
            row += [self._found(both, written_both), self._found(written_both, both)]
            rows.append([cosine, cosine - best, *row, *of_view])
        return np.array(rows, np.float32)

    def _view(self, said: Said, view: Said, asked: "_Text") -> list[float]:
        is_part = view != said
        rest = [each for each in said.views[1:] if each != view] if is_part else []
        return [
            is_part,
            self._found(set(stems(said.message)), asked.distinct),
            asked.asks,
            any(_Text(each.message).asks for each in rest),
            view == said.views[-1],
            max(1, len(said.views) - 1),
        ]

    def _compare(self, asked: "_Text", written: "_Text") -> list[float]:
        rarity = self._index.rarity
        missing = [rarity(word) for word in asked.distinct - written.distinct]
        added = [rarity(word) for word in written.distinct - asked.distinct]
        cosines = self._vectors(asked.words) @ self._vectors(written.words).T
        forth = _nearest(cosines, [rarity(word) for word in asked.stems])
        back = _nearest(cosines.T, [rarity(word) for word in written.stems])
        return [
            self._found(asked.distinct, written.distinct),
            self._found(written.distinct, asked.distinct),
            max(missing, default=0.0),
            max(added, default=0.0),
            forth[0],
            back[0],
            forth[1],
            back[1],
        ]

    def _reply(
        self, reply: str, asked: "_Text", written: "_Text", before: list[str], around: set[str]
    ) -> list[float]:
        rarity = self._index.rarity
        spoken = set(stems(reply))
        taken_up = spoken & {*written.stems, *before}
        lost = [rarity(word) for word in taken_up - around]
        total = sum(rarity(word) for word in taken_up) + _TINY
        new = [rarity(word) for word in spoken - written.distinct - set(before) - around]
        names = {w for w in _names(reply) if w not in around}
        both = asked.distinct & written.distinct
        either = asked.distinct | written.distinct
        pairs = set(zip(asked.stems, asked.stems[1:], strict=False))
        same_pairs = pairs & set(zip(written.stems, written.stems[1:], strict=False))
        in_either = {w for w in asked.distinct if w in spoken or w in written.distinct}
        return [
            sum(lost) / total,
            max(lost, default=0.0),
            self._found(asked.distinct, spoken),
            1 - self._found(asked.distinct, in_either),
            len(same_pairs) / max(1, len(pairs)),
            len(both) / max(1, len(either)),
            abs(float(np.log((len(asked.stems) + 1) / (len(written.stems) + 1)))),
            asked.asks == written.asks,
            asked.kind == written.kind and asked.kind != QUESTION_TYPES - 1,
            asked.stems[:1] == written.stems[:1],
            (bool(asked.distinct & _ME) == bool(written.distinct & _ME))
            + (bool(asked.distinct & _YOU) == bool(written.distinct & _YOU)),
            bool(asked.distinct & _NOT) == bool(written.distinct & _NOT),
            len(asked.numbers ^ written.numbers),
            max(new, default=0.0),
            len(names),
            float(np.log(1 + len(asked.stems))),
            float(np.log(1 + len(spoken))),
        ]

    def _found(self, wanted: set[str], there: set[str]) -> float:
        """The share of the words, by rarity, that are there."""
        total = sum(map(self._index.rarity, wanted))
        return sum(map(self._index.rarity, wanted & there)) / (total + _TINY)


class _Text:
    """A message, looked at."""

    def __init__(self, text: str) -> None:
        self.words = [word for word in words(text) if word[0].isalnum()][:MAX_WORDS]
        self.stems = stems(text)[:MAX_WORDS]
        self.distinct = set(self.stems)
        self.numbers = {_NUMBERS.get(w, w) for w in self.words if w in _NUMBERS or w.isdigit()}
        self.kind = question_type(text)
        self.asks = asks(text)


class _WordVectors:
    """The vectors of single words, made once."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._known: dict[str, np.ndarray] = {}

    def __call__(self, wanted: Sequence[str]) -> np.ndarray:
        """Unit vectors [W, D]."""
        known = self._known
        new = [word for word in dict.fromkeys(wanted) if word not in known]
        if new:
            if len(known) > KNOWN_WORDS:
                self._known = known = {word: known[word] for word in wanted if word in known}
            known.update(zip(new, self._embedder.embed_queries(new), strict=True))
        found = np.zeros((len(wanted), self._embedder.dimensions), np.float32)
        for row, word in enumerate(wanted):
            found[row] = known[word]
        return found


def _nearest(cosines: np.ndarray, rarities: Sequence[float]) -> tuple[float, float]:
    """How near the nearest word is on average, by rarity, and the farthest times its rarity."""
    if not cosines.size:  # one of them has no words, only marks
        return 0.0, 0.0
    best, weights = cosines.max(axis=1), np.array(rarities)
    return float((best * weights).sum() / weights.sum()), float(((1 - best) * weights).max())


def _names(text: str) -> set[str]:
    """The stems of the capitalised words that begin no sentence."""
    found, begins = set(), True
    for token in text.split():
        word = token.strip(".,!?\"':;()")
        if word[:1].isupper() and not begins and word != "I":
            found |= set(stems(word))
        begins = token.endswith((".", "!", "?", '"', ":"))
    return found
