"""An answer from passages, where each of its words stands, and the check that they do stand there.

`verify` trusts nothing of how the answer was made: it takes the finished text, cuts the quotes out
of it, compares each with its passage, and accepts what is left only if it is one of the closed list
of connecting phrases. `segments` is for a free answer, which promises nothing: it marks what stands
in the passages and leaves the rest to be flagged.
"""

import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from mlx_toy.chat import NOT_IN_PASSAGES
from mlx_toy.sentences import split_sentences
from mlx_toy.span_grammar import QUOTES

CLOSEST = "The closest passage says:"
MIN_MARKED = 3  # words in a row that must stand in a passage to count as taken from there
_PLAIN_WORD = re.compile(r"\w+")
_CITATION = re.compile(r"\s*\[\d+\]")


class NotVerbatimError(Exception):
    """An answer says something that does not stand where it says that it does."""


@dataclass(frozen=True)
class Quote:
    """A verbatim piece of a passage.

    Attributes:
        number: of the passage, from 1.
        start, end: its offsets in the passage.
        text: what stands there.
        sentence: the sentence that it stands in.
    """

    number: int
    start: int
    end: int
    text: str
    sentence: str


@dataclass(frozen=True)
class Segment:
    """A piece of a free answer; the segments of an answer joined are its text.

    Attributes:
        text: of the answer.
        number: of the passage that has it, from 1; None if no passage has: then nothing supports
            it, unless it holds no word.
        start, end: its offsets in that passage; None likewise.
    """

    text: str
    number: int | None = None
    start: int | None = None
    end: int | None = None

    @property
    def unsupported(self) -> bool:
        """Whether it says something that no passage says in these words."""
        return self.number is None and _PLAIN_WORD.search(self.text) is not None


@dataclass(frozen=True)
class Answer:
    """An answer and where it comes from.

    Attributes:
        answer: what the reader sees.
        span: the shortest verbatim piece of a passage that answers; None when abstained, and for a
            free answer of which no passage has a word.
        quote: the sentence of the passage that it stands in; None likewise.
        abstained: whether the passages do not answer.
        citations: numbers of the passages, from 1.
        start, end: offsets of the span in the cited passage; None likewise.
        quotes: all pieces that the answer is made of, in its order; the first is `span`.
        strict: whether the answer says nothing but its quotes.
        segments: of a free answer, what stands in the passages and what does not.
        confidence: probability that the passages answer the question; None if not measured.
    """

    answer: str
    span: str | None
    quote: str | None
    abstained: bool
    citations: list[int]
    start: int | None = None
    end: int | None = None
    quotes: tuple[Quote, ...] = ()
    strict: bool = True
    segments: tuple[Segment, ...] = ()
    confidence: float | None = None


ABSTAINED = Answer(NOT_IN_PASSAGES, None, None, True, [])


def make_answer(
    text: str,
    quotes: Sequence[Quote],
    strict: bool = True,
    marked: tuple[Segment, ...] = (),
    confidence: float | None = None,
) -> Answer:
    """An answer that is not a refusal, from its text and its quotes."""
    first = quotes[0] if quotes else None
    return Answer(
        answer=text,
        span=first.text if first else None,
        quote=first.sentence if first else None,
        abstained=False,
        citations=list(dict.fromkeys(quote.number for quote in quotes)),
        start=first.start if first else None,
        end=first.end if first else None,
        quotes=tuple(quotes),
        strict=strict,
        segments=marked,
        confidence=confidence,
    )


def quote_at(passages: Sequence[str], number: int, start: int, end: int) -> Quote:
    """The quote of characters `start` to `end` of passage `number`."""
    passage = passages[number - 1]
    return Quote(number, start, end, passage[start:end], sentence_at(passage, start))


def sentence_at(passage: str, offset: int) -> str:
    """The sentence of a passage that holds the character at `offset`."""
    start, end = sentence_bounds(passage, offset)
    return passage[start:end]


def sentence_bounds(passage: str, offset: int) -> tuple[int, int]:
    """Where the sentence that holds the character at `offset` begins and ends."""
    for start, end in split_sentences(passage):
        if start <= offset < end:
            return start, end
    return 0, len(passage)


def as_quoted(text: str) -> str:
    """A piece of a passage as an answer shows it: in one line."""
    return " ".join(text.split())


def closest(quote: Quote) -> str:
    """The answer that shows a passage's best sentence and says that it is no more than that."""
    return f"{CLOSEST} “{as_quoted(quote.sentence)}” [{quote.number}]"


def is_closest(answer: Answer) -> bool:
    """Whether an answer is no more than a passage's best sentence."""
    return len(answer.quotes) == 1 and answer.answer == closest(answer.quotes[0])


def verify(answer: Answer, passages: Sequence[str]) -> None:
    """Confirm that an answer consists of what stands in the passages, at the offsets it names.

    A free answer promises only its quotes; of a strict one every other word must be a connecting
    phrase too.

    Args:
        answer: to be checked.
        passages: the same that it was made from.

    Raises:
        NotVerbatimError: it does not; the message says what and where.
    """
    for quote in answer.quotes:
        _verify_quote(quote, passages)
    if answer.abstained and (answer.quotes or answer.answer != NOT_IN_PASSAGES):
        raise NotVerbatimError(f"a refusal that says {answer.answer!r}")
    if not answer.abstained and not answer.quotes and answer.strict:
        raise NotVerbatimError(f"an answer without a quote: {answer.answer!r}")
    if answer.strict and not answer.abstained:
        _verify_text(answer)


def _verify_quote(quote: Quote, passages: Sequence[str]) -> None:
    if not 1 <= quote.number <= len(passages):
        raise NotVerbatimError(f"there is no passage [{quote.number}]")
    passage = passages[quote.number - 1]
    inside = 0 <= quote.start < quote.end <= len(passage)
    if not inside or passage[quote.start : quote.end] != quote.text or not quote.text.strip():
        raise NotVerbatimError(
            f"{quote.text!r} does not stand at {quote.start} to {quote.end} of passage "
            f"[{quote.number}]"
        )
    if quote.sentence not in passage:
        raise NotVerbatimError(f"{quote.sentence!r} is no sentence of passage [{quote.number}]")


def _verify_text(answer: Answer) -> None:
    """Take the text apart: opening, quotes with joiners between them, closing; nothing else."""
    if is_closest(answer):
        return
    rest = answer.answer
    for place, quote in enumerate(answer.quotes):
        written = f"{as_quoted(quote.text)} [{quote.number}]"
        before, found, rest = rest.partition(written)
        allowed = QUOTES.joiners if place else ("", *QUOTES.openings)
        if not found or before.rstrip(" ") not in allowed:
            raise NotVerbatimError(f"the answer says {before!r} before {written!r}")
    if rest not in ("", *QUOTES.closings):
        raise NotVerbatimError(f"the answer says {rest!r} behind its last quote")


def segments(text: str, passages: Sequence[str]) -> tuple[Segment, ...]:
    """What of a free text stands in the passages, in the same words but for case.

    From each word on, the longest run of words that a passage has counts, if it has three words or
    is the whole text. An earlier passage wins a tie.
    """
    words = [(m.group().lower(), m.start(), m.end()) for m in _PLAIN_WORD.finditer(text)]
    sources = [
        [(m.group().lower(), m.start(), m.end()) for m in _PLAIN_WORD.finditer(passage)]
        for passage in passages
    ]
    cited = [m.span() for m in _CITATION.finditer(text)]
    words = [word for word in words if not _within(word[1], cited)]
    least = min(MIN_MARKED, len(words))
    found: list[Segment] = []
    done = at = 0
    while at < len(words):
        length, number, place = _longest_run(words, at, sources)
        if not words or length < least:
            at += 1
            continue
        start, end = words[at][1], words[at + length - 1][2]
        source = sources[number]
        if start > done:
            found.append(Segment(text[done:start]))
        there = source[place][1], source[place + length - 1][2]
        found.append(Segment(text[start:end], number + 1, *there))
        done, at = end, at + length
    if done < len(text):
        found.append(Segment(text[done:]))
    return tuple(found)


_Words = list[tuple[str, int, int]]


def _longest_run(words: _Words, at: int, sources: Sequence[_Words]) -> tuple[int, int, int]:
    """(length, index of the passage, place of its word) of the longest common run from `at` on."""
    best = (0, 0, 0)
    for number, source in enumerate(sources):
        for place in range(len(source)):
            length = 0
            while (
                at + length < len(words)
                and place + length < len(source)
                and words[at + length][0] == source[place + length][0]
            ):
                length += 1
            if length > best[0]:
                best = (length, number, place)
    return best


def _within(offset: int, spans: Sequence[tuple[int, int]]) -> bool:
    place = bisect_right(spans, (offset, float("inf"))) - 1
    return place >= 0 and spans[place][0] <= offset < spans[place][1]
