"""Sentences that an answer may be copied from: where a span of one may begin and where it may end.

The rules are about words and marks; that a token may cut anywhere in them is the business of
`span_grammar.py`, which asks here by byte.
"""

from dataclasses import dataclass, replace

_CLOSING = '%°"”’)'  # marks that may end an answer; a comma or a full stop is left out
_OPENING = "$€£\"“'"  # and those that may begin one


@dataclass(frozen=True)
class Choice:
    """A span of a region that may be copied: its characters `start` to `end`.

    Attributes:
        start, end: offsets in the region's text.
        prior: how much likelier it is than others, in nats.
    """

    start: int
    end: int
    prior: float = 0.0


@dataclass(frozen=True)
class Region:
    """A sentence that an answer may be copied from.

    Attributes:
        number: of its passage, as cited, from 1.
        text: white space collapsed to single spaces.
        offsets: for each character of `text`, its offset in the passage.
        choices: the spans that may be copied; any whole words if there are none.
    """

    number: int
    text: str
    offsets: tuple[int, ...]
    choices: tuple[Choice, ...] = ()


@dataclass(frozen=True, order=True)
class Span:
    """A place in the passages: characters `start` to `end` of passage `number` (from 1)."""

    number: int
    start: int
    end: int


class Copyable:
    """The bytes of a region, and the spans of them that may be copied.

    Args:
        region: what to copy from.
        span_bytes: longest span.

    Attributes:
        region: as given.
        text: its bytes behind a space of their own, so that the first word can be told, like all
            others, together with the space before it.
        starts: where in `text` a span may begin.
    """

    def __init__(self, region: Region, span_bytes: int):
        self.region, self._span_bytes = region, span_bytes
        self.text = b" " + region.text.encode()
        self._characters = [-1, *_byte_starts(region.text)]
        self._limits: dict[int, int] = {}
        self._choices = {(choice.start, choice.end): choice.prior for choice in region.choices}
        self.starts = [at for at in range(1, len(self.text)) if self._may_start(at)]

    def anywhere(self) -> "Copyable":
        """The same with any whole words allowed."""
        return Copyable(replace(self.region, choices=()), self._span_bytes)

    def may_end(self, start: int, position: int) -> bool:
        """Whether a span from `start` may end before `position`."""
        if position <= start or not self._ends_word(position):
            return False
        return not self._choices or self._characters_of(start, position) in self._choices

    def prior(self, start: int) -> float:
        """The highest prior of the spans from `start`; 0 where any words may be copied."""
        first = self._characters[start]
        return max((p for (begin, _), p in self._choices.items() if begin == first), default=0.0)

    def limit(self, start: int) -> int:
        """Where the longest span from `start` ends: at a word's end, within the bytes allowed."""
        if start not in self._limits:
            size = len(self.text)
            limit = min(size, start + self._span_bytes)
            while limit > start and not self.may_end(start, limit):
                limit -= 1
            self._limits[start] = limit if limit > start else size
        return self._limits[start]

    def span(self, start: int, end: int) -> Span | None:
        """Where the whole words of a copy stand in the passage; None if there are none."""
        while end > start and not self._ends_word(end):
            end -= 1
        if end <= start:
            return None
        offsets, characters = self.region.offsets, self._characters
        first, last = characters[start], characters[end - 1]
        return Span(self.region.number, offsets[first], offsets[last] + 1)

    def _may_start(self, position: int) -> bool:
        return self._starts_word(position) and self.may_end(position, self.limit(position))

    def _characters_of(self, start: int, position: int) -> tuple[int, int]:
        return self._characters[start], self._characters[position - 1] + 1

    def _starts_word(self, position: int) -> bool:
        text, at = self.region.text, self._characters
        character = text[at[position]]
        if at[position] == at[position - 1]:
            return False  # inside a character
        before = text[at[position] - 1] if at[position] else " "
        return (
            not character.isspace()
            and (character.isalnum() or character in _OPENING)
            and not (before.isalnum() and character.isalnum())
        )

    def _ends_word(self, position: int) -> bool:
        text, at = self.region.text, self._characters
        if position < len(at) and at[position] == at[position - 1]:
            return False
        last = text[at[position - 1]]
        if position == len(at):
            return True  # whatever a sentence ends with, an answer may end there
        following = text[at[position]]
        return (last.isalnum() and not following.isalnum()) or last in _CLOSING


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
