"""What an answer from passages may look like, enforced token by token.

    answer   = span " [" number "]"  |  "The passages do not say."
    span     = whole words that stand verbatim in one of the given sentences

A language model chooses among the tokens that this grammar allows, so it cannot write a word that
does not stand in the passage that it cites. The grammar works on bytes, not on tokens, because the
same words are cut into other tokens at the start of an answer than in the middle of a sentence.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from mlx_toy.backend import mx

from mlx_toy.chat import NOT_IN_PASSAGES
from mlx_toy.evidence import Places
from mlx_toy.tokenizer import Tokenizer

MAX_SPAN_BYTES = 120  # about twenty words: an answer, not a retelling
_CLOSING = '%°"”’)'  # marks that may end an answer; a comma or a full stop is left out
ANYWHERE = Places(frozenset(), frozenset(), frozenset())


@dataclass(frozen=True)
class Region:
    """A sentence that an answer may be copied from.

    Attributes:
        number: of its passage, as cited, from 1.
        text: white space collapsed to single spaces.
        offsets: for each character of `text`, its offset in the passage.
        places: where in `text` an answer may begin and end, and what it must contain.
    """

    number: int
    text: str
    offsets: tuple[int, ...]
    places: Places = ANYWHERE


@dataclass(frozen=True)
class Span:
    """An answer's place: characters `start` to `end` of passage `number` (from 1)."""

    number: int
    start: int
    end: int


@dataclass(frozen=True)
class _State:
    """A way to read what was written so far.

    `region` is -1 for the refusal; `start` and `position` are bytes of the region; `tail` counts
    the bytes of the citation that are written, -1 while still inside the span.
    """

    region: int
    start: int
    position: int
    tail: int = -1


class SpanGrammar:
    """The answers that the regions allow.

    Args:
        tokenizer: ours, whose tokens are bytes.
        regions: sentences to copy from.
        may_refuse: whether the fixed refusal is an answer.
    """

    def __init__(self, tokenizer: Tokenizer, regions: Sequence[Region], may_refuse: bool = True):
        self._tokenizer = tokenizer
        self._limits: dict[tuple[int, int], int] = {}
        self._regions = regions
        self._bytes = [region.text.encode() for region in regions]
        self._characters = [_byte_starts(region.text) for region in regions]
        self._tails = [f" [{region.number}]".encode() for region in regions]
        self._refusal = NOT_IN_PASSAGES.encode()
        self.start = self._starts()
        if regions and not self.start:  # the rules left nothing: then any words will do
            self._regions = [replace(r, places=ANYWHERE) for r in regions]
            self.start = self._starts()
        if may_refuse:
            self.start |= {_State(-1, 0, 0)}

    def _starts(self) -> frozenset[_State]:
        return frozenset(
            _State(index, position, position)
            for index, text in enumerate(self._bytes)
            for position in range(len(text))
            if self._may_start(index, position)
        )

    def allowed(self, states: frozenset[_State]) -> set[int]:
        """Ids of the tokens that may come next."""
        tokens: set[int] = set()
        for state in states:
            for rest in self._continuations(state):
                if not rest:
                    tokens.add(self._tokenizer.end_id)
                for length in range(1, min(len(rest), self._tokenizer.longest_token) + 1):
                    tokens.update(self._tokenizer.ids_of_bytes.get(rest[:length], ()))
        return tokens

    def advance(self, states: frozenset[_State], token: int) -> frozenset[_State]:
        """The readings that remain after one more token."""
        written = self._tokenizer.token_bytes(token)
        if not written:
            return frozenset(state for state in states if self._complete(state))
        size = len(written)
        following: set[_State] = set()
        for state in states:
            for rest in self._continuations(state):
                if not rest.startswith(written):
                    continue
                if state.region < 0 or (state.tail < 0 and not self._is_tail(state, rest)):
                    following.add(
                        _State(state.region, state.start, state.position + size, state.tail)
                    )
                else:
                    tail = max(state.tail, 0) + size
                    following.add(_State(state.region, state.start, state.position, tail))
        return frozenset(following)

    def span(self, tokens: Sequence[int]) -> Span | None:
        """Where the answer that these tokens write stands; None for the refusal or none."""
        states = self.start
        for token in tokens:
            before, states = states, self.advance(states, token)
            if not states:
                states = before
                break
        if any(state.region < 0 and self._complete(state) for state in states):
            return None
        copied = [state for state in states if state.region >= 0 and state.position > state.start]
        if not copied:
            return None
        state = min(copied, key=lambda s: (s.region, s.start))
        region, characters = self._regions[state.region], self._characters[state.region]
        end = state.position
        while end > state.start and not self._ends_word(state.region, end):
            end -= 1
        if end == state.start:
            return None
        first, last = characters[state.start], characters[end - 1]
        return Span(region.number, region.offsets[first], region.offsets[last] + 1)

    def _continuations(self, state: _State) -> list[bytes]:
        """The byte strings that may follow; an empty one means that the answer may end."""
        if state.region < 0:
            return [self._refusal[state.position :]]
        tail = self._tails[state.region]
        if state.tail >= 0:
            return [tail[state.tail :]]
        text = self._bytes[state.region]
        rest = []
        if state.position < (limit := self._limit(state.region, state.start)):
            rest.append(text[state.position : limit])
        if self._may_end(state.region, state.start, state.position):
            rest.append(tail)
        return rest

    def _may_start(self, region: int, position: int) -> bool:
        starts = self._regions[region].places.starts
        if starts and self._characters[region][position] not in starts:
            return False
        if not self._starts_word(region, position):
            return False
        return self._may_end(region, position, self._limit(region, position))

    def _may_end(self, region: int, start: int, position: int) -> bool:
        if position <= start or not self._ends_word(region, position):
            return False
        places = self._regions[region].places
        characters = self._characters[region]
        first, last = characters[start], characters[position - 1]
        if last + 2 in places.joined:  # after the space comes more of a name
            return False
        return not places.wanted or any(first <= at <= last for at in places.wanted)

    def _limit(self, region: int, start: int) -> int:
        """Where the longest span from `start` ends: at a word's end, within `MAX_SPAN_BYTES`."""
        if (region, start) not in self._limits:
            size = len(self._bytes[region])
            limit = min(size, start + MAX_SPAN_BYTES)
            while limit > start and not self._ends_word(region, limit):
                limit -= 1
            self._limits[region, start] = limit if limit > start else size
        return self._limits[region, start]

    def _is_tail(self, state: _State, rest: bytes) -> bool:
        return rest is self._tails[state.region]

    def _complete(self, state: _State) -> bool:
        if state.region < 0:
            return state.position == len(self._refusal)
        return state.tail == len(self._tails[state.region])

    def _starts_word(self, region: int, position: int) -> bool:
        text, at = self._regions[region].text, self._characters[region]
        character = text[at[position]]
        if position and at[position] == at[position - 1]:
            return False  # inside a character
        before = text[at[position] - 1] if at[position] else " "
        return (
            not character.isspace()
            and (character.isalnum() or character in "$€£\"“'")
            and not (before.isalnum() and character.isalnum())
        )

    def _ends_word(self, region: int, position: int) -> bool:
        text, at = self._regions[region].text, self._characters[region]
        if position < len(at) and at[position] == at[position - 1]:
            return False
        last = text[at[position - 1]]
        if position == len(at):
            return True  # whatever a sentence ends with, an answer may end there
        following = text[at[position]]
        return (last.isalnum() and not following.isalnum()) or last in _CLOSING


class SpanProcessor:
    """A logits processor that lets only the grammar's tokens through.

    Args:
        grammar: of the answer.
        prompt_length: tokens before the answer.
    """

    def __init__(self, grammar: SpanGrammar, prompt_length: int):
        self._grammar, self._prompt_length = grammar, prompt_length
        self._states, self._read = grammar.start, 0

    def __call__(self, tokens: Any, logits: mx.array) -> mx.array:
        """Set the logits [1, V] of all other tokens to minus infinity."""
        written = tokens[self._prompt_length :].tolist()
        for token in written[self._read :]:
            self._states = self._grammar.advance(self._states, token)
        self._read = len(written)
        allowed = self._grammar.allowed(self._states)
        if not allowed:
            return logits  # the answer has ended: what is computed ahead is not used
        ids = mx.array(sorted(allowed))
        masked = mx.full(logits.shape, -math.inf, dtype=logits.dtype)
        masked[:, ids] = logits[:, ids]
        return masked


def collapse(text: str, start: int, end: int) -> tuple[str, tuple[int, ...]]:
    """`text[start:end]` with white space collapsed, and each character's offset in `text`."""
    characters: list[str] = []
    offsets: list[int] = []
    for offset in range(start, end):
        character = text[offset]
        if character.isspace():
            if not characters or characters[-1] == " ":
                continue
            character = " "
        characters.append(character)
        offsets.append(offset)
    if characters and characters[-1] == " ":
        del characters[-1], offsets[-1]
    return "".join(characters), tuple(offsets)


def _byte_starts(text: str) -> list[int]:
    """For each byte of the text in UTF-8, the index of its character."""
    return [index for index, character in enumerate(text) for _ in character.encode()]
