"""Find the exchanges whose message is near to what somebody says.

Two searches, by vectors and by words, each weighing what was said before as well where the
conversation goes on; their results are taken in turn. All is kept in memory: 40,000 short messages
are embedded in two seconds, so no vectors need to be shipped.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from mlx_toy.chat import Message
from mlx_toy.embedder import Embedder
from mlx_toy.exchanges import Exchange
from mlx_toy.lexicon import stem
from mlx_toy.told_names import OWN, asks_own_name, told_names
from mlx_toy.words import words

CANDIDATES = 30
# As people type: no capital need follow. "Dr. Berg" is one piece.
_BETWEEN_SENTENCES = re.compile(r"(?<=[.!?…])(?<!\b[DMSdms][rst]\.)(?<!\b[Mm]rs\.)\s+|\s*[\r\n]\s*")
BEFORE_SHARE = 0.5  # what was said before counts so much in the search by vectors, and
BEFORE_WORDS = 0.5  # so much in the one by words
MOST_PARTS = 4  # sentences of a message that are looked up each for itself, the last ones
SHORT = 3  # words that are added to a message's length, or the shortest would always be nearest


@dataclass(frozen=True)
class Said:
    """The end of a conversation, as an exchange has it.

    Attributes:
        message: the last thing that the person said.
        before, said: what both said before it; "" at the beginning.
    """

    message: str
    before: str = ""
    said: str = ""

    @property
    def together(self) -> str:
        """Both messages as one text."""
        return f"{self.before} {self.message}" if self.before else self.message

    @property
    def messages(self) -> list[Message]:
        """The same as a conversation."""
        return conversation(self.before, self.said, self.message)

    @property
    def views(self) -> list["Said"]:
        """The message as it is, and of several sentences each as a message of its own.

        Of many the last `MOST_PARTS`; what has neither letter nor digit is none.
        """
        sentences = _BETWEEN_SENTENCES.split(self.message.strip())
        sentences = [one for one in sentences if any(letter.isalnum() for letter in one)]
        if len(sentences) < 2:
            return [self]
        parts = dict.fromkeys(sentences[-MOST_PARTS:])
        return [self, *(replace(self, message=part) for part in parts)]

    @cached_property
    def told(self) -> dict[str, str]:
        """The names that are told in it (`told_names`)."""
        return told_names(self.before) | told_names(self.message)

    @classmethod
    def of(cls, messages: Sequence[Message]) -> "Said":
        """The end of a conversation whose last message is the person's.

        What goes before a question after one's own name is where it was told, however long ago.
        """
        *earlier, last = messages
        if asks_own_name(last["content"]):
            tells = [
                place
                for place, message in enumerate(earlier)
                if message["role"] == "user" and OWN in told_names(message["content"])
            ]
            earlier = earlier[: tells[-1] + 2] if tells else earlier
        before = next((m["content"] for m in reversed(earlier) if m["role"] == "user"), "")
        said = next((m["content"] for m in reversed(earlier) if m["role"] == "assistant"), "")
        return cls(last["content"], before, said if before else "")


def conversation(before: str, said: str, message: str) -> list[Message]:
    """A message, with what was said before it if anything was."""
    earlier: list[Message] = []
    if before:
        earlier = [{"role": "user", "content": before}, {"role": "assistant", "content": said}]
    return [*earlier, {"role": "user", "content": message}]


def embed_or_zero(texts: Sequence[str], embedder: Embedder) -> np.ndarray:
    """Unit vectors of messages [N, D], and zeros for empty texts."""
    vectors = np.zeros((len(texts), embedder.dimensions), np.float32)
    filled = [place for place, text in enumerate(texts) if text]
    if filled:
        vectors[filled] = embedder.embed_queries([texts[place] for place in filled])
    return vectors


def stems(text: str) -> list[str]:
    """The words of a text without their endings, in order; no marks."""
    return [stem(word) for word in words(text) if word[0].isalnum()]


class ExchangeIndex:
    """All exchanges, ready to be searched; any thread may.

    Args:
        exchanges: at least one.
        embedder: makes the vectors.

    Attributes:
        exchanges, embedder: as given.
    """

    def __init__(self, exchanges: Sequence[Exchange], embedder: Embedder) -> None:
        self.exchanges, self.embedder = list(exchanges), embedder
        self._messages = self._embed([e.message for e in self.exchanges])  # [N, D]
        self._goes_on = np.array([e.goes_on for e in self.exchanges])
        later = [e for e in self.exchanges if e.goes_on]  # L, a third of all
        self._before = self._embed([e.before for e in later])  # [L, D]
        self._said = self._embed([e.said for e in later])
        self._together = self._embed([f"{e.before} {e.message}" for e in later])
        self._row = np.where(self._goes_on, np.cumsum(self._goes_on) - 1, -1)  # among the later
        self._by_message = _Words([e.message for e in self.exchanges])
        self._by_before = _Words([e.before for e in self.exchanges])

    def cosines(self, said: Said, places: Sequence[int]) -> np.ndarray:
        """How near the exchanges at P places are [P, 4].

        By the message, the message before it, the answer to that, and both messages as one. What
        one side does not have is at 0.
        """
        message, before, answer = self._embed([said.message, said.before, said.said])
        together = self._embed([said.together])[0]
        found = np.zeros((len(places), 4), np.float32)
        at = np.array(places, int)
        found[:, 0] = self._messages[at] @ message
        later = np.flatnonzero(self._goes_on[at])
        rows = self._row[at[later]]
        found[later, 1] = self._before[rows] @ before
        found[later, 2] = self._said[rows] @ answer
        found[:, 3] = self._messages[at] @ together
        found[later, 3] = self._together[rows] @ together
        return found

    def rarity(self, word: str) -> float:
        """How rare a stem is in the messages: ln of one in so many."""
        return self._by_message.rarity(word)

    def search(self, said: Said, count: int = CANDIDATES) -> list[int]:
        """The places of the nearest exchanges.

        What begins a conversation is only answered as a beginning. Later, an exchange that goes on
        is near by both its messages, and one that begins by its only one: to the message alone,
        where the topic changes, or to both as one, as "what do whales eat" is after "tell me about
        whales" to "what do they eat".
        """
        message, before = self._embed([said.message, said.before])
        near, alike = self._messages @ message, self._by_message.scores(said.message)
        if not said.before:
            near[self._goes_on], alike[self._goes_on] = -1, -1
            return _in_turn([near, alike], count)
        alone = np.where(self._goes_on, -1, near)
        near *= 1 - BEFORE_SHARE
        near[self._goes_on] += BEFORE_SHARE * (self._before @ before)
        alike = alike + BEFORE_WORDS * self._by_before.scores(said.before)
        near[~self._goes_on], alike[~self._goes_on] = -1, -1
        begins = self._messages @ self._embed([said.together])[0]
        begins[self._goes_on] = -1
        return _in_turn([near, alike, begins, near, alone], count)

    def _embed(self, texts: list[str]) -> np.ndarray:
        return embed_or_zero(texts, self.embedder)


class _Words:
    """An inverted index of short texts: which have a stem, and how rare it is."""

    def __init__(self, texts: Sequence[str]) -> None:
        where: dict[str, list[int]] = defaultdict(list)
        counts = []
        for place, text in enumerate(texts):
            found = stems(text)
            counts.append(len(found))
            for word in Counter(found):
                where[word].append(place)
        self._where = {word: np.array(places) for word, places in where.items()}
        self._shortness = 1 / np.sqrt(np.array(counts) + SHORT)

    def rarity(self, word: str) -> float:
        found = len(self._where[word]) if word in self._where else 0
        return float(np.log((len(self._shortness) + 1) / (found + 0.5)))

    def scores(self, text: str) -> np.ndarray:
        """Rarity of the shared words over the root of the length [N]."""
        scores = np.zeros(len(self._shortness))
        for word in set(stems(text)):
            if word in self._where:
                scores[self._where[word]] += self.rarity(word)
        return scores * self._shortness


def _in_turn(rankings: Sequence[np.ndarray], count: int) -> list[int]:
    """The best of the first ranking, of the second and so on, then the second of each."""
    orders = [np.argsort(-scores, kind="stable")[:count].tolist() for scores in rankings]
    taken = dict.fromkeys(place for places in zip(*orders, strict=True) for place in places)
    return list(taken)[:count]
