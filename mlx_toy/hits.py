"""Choose which of the passages found go before the model and the reader, and join neighbours.

Why: the best hits of a question often stand side by side, or say the same thing in two versions of
a report. Joined, neighbours read as the text they are; a repetition adds nothing and takes the
place of something else. Offsets stay true: what is joined is exactly the document's text.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from mlx_toy.rows import Hit

SHINGLE = 3  # words in a row that are compared
REPEATED = 0.9  # share of a passage's shingles that an earlier one has too: it adds nothing

_SHARED = ("document_id", "page", "heading")  # what neighbours that are joined have in common
_WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class _Content:
    """What a passage says: its runs of words, and the words that are names or numbers."""

    shingles: frozenset[tuple[str, ...]]
    facts: frozenset[str]


def select_hits(
    hits: Sequence[Hit], limit: int, budget: int, count_tokens: Callable[[str], int]
) -> list[Hit]:
    """The hits that are shown, best first, neighbours joined and repetitions left out.

    Args:
        hits: best first.
        limit: at most so many are returned.
        budget: tokens that their texts may have together; the first is kept whatever it has.
        count_tokens: length of a text in those tokens.
    """
    chosen: list[Hit] = []
    contents: list[_Content] = []
    left = budget
    for hit in hits:
        content = _content(hit.text)
        if any(_repeats(content, earlier) for earlier in contents):
            continue
        cost = count_tokens(hit.before + hit.text)
        if chosen and cost > left:
            continue
        if not _join(chosen, hit):
            if len(chosen) == limit:
                break
            chosen.append(hit)
        contents.append(content)
        left -= cost
    return chosen


def _join(chosen: list[Hit], hit: Hit) -> bool:
    """Join a hit to the one or two chosen ones it stands beside; whether there are any."""
    beside = [at for at, other in enumerate(chosen) if _are_neighbours(other, hit)]
    for at in beside:
        hit = _joined(chosen[at], hit)
    for at in reversed(beside):
        del chosen[at]
    if beside:
        chosen.insert(beside[0], hit)
    return bool(beside)


def _are_neighbours(one: Hit, other: Hit) -> bool:
    """Whether two hits stand side by side on one page below one heading."""
    first, second = sorted((one, other), key=lambda hit: hit.start)
    if any(getattr(one, name) != getattr(other, name) for name in _SHARED):
        return False
    return first.end + len(second.before) == second.start


def _joined(one: Hit, other: Hit) -> Hit:
    """Two neighbours as one hit, with the scores of the better: one that was read before others."""
    first, second = sorted((one, other), key=lambda hit: hit.start)
    return replace(
        max(one, other, key=lambda hit: (hit.odds is not None, hit.score)),
        passage=first.passage,
        before=first.before,
        text=first.text + second.before + second.text,
        start=first.start,
        end=second.end,
        similarity=max(one.similarity, other.similarity),
        relevance=max(one.relevance or 0.0, other.relevance or 0.0),
        odds=_greatest(one.odds, other.odds),
        nearness=_greatest(one.nearness, other.nearness),
    )


def _greatest(*values: float | None) -> float | None:
    return max((value for value in values if value is not None), default=None)


def _repeats(content: _Content, earlier: _Content) -> bool:
    """Whether a passage says nothing that an earlier one does not say.

    Two rows of a table, or two years' reports, may differ in a name or a number alone: that is
    what they are about.
    """
    shared = len(content.shingles & earlier.shingles)
    return shared >= REPEATED * len(content.shingles) and content.facts <= earlier.facts


def _content(text: str) -> _Content:
    words = _WORD.findall(text)
    facts = {word for word in words if not word.islower()}
    return _Content(frozenset(_shingles([word.lower() for word in words])), frozenset(facts))


def _shingles(words: list[str]) -> Iterable[tuple[str, ...]]:
    """Runs of words; all of them together if there are fewer."""
    for at in range(max(1, len(words) - SHINGLE + 1)):
        yield tuple(words[at : at + SHINGLE])
