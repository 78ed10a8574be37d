"""Questions that their passage does not answer although its words stand in it.

Near misses by retrieval teach that another passage does not answer; people ask the harder kind,
whose words nearly all stand in the right passage (Rajpurkar, Jia and Liang 2018, arXiv:1806.03822,
table 1: an entity swapped, an antonym, a negation, an impossible condition). A question is spoilt
here by the first of these that it allows, in random order: a name or a number becomes another of
its article that the passage lacks; a word becomes its opposite; a telling word becomes one that
other questions of the article ask with.
"""

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlx_toy.evidence import is_common, words

if TYPE_CHECKING:
    from train.reader_data import Question

_NAME = re.compile(r"(?<=\w )[A-Z]\w+(?: [A-Z]\w+)*")
_NUMBER = re.compile(r"\b\d[\d.,]*\d\b|\b\d\b")
_WORD = re.compile(r"\b[a-z]{4,}\b")
_OPPOSITES = (
    "first last",
    "before after",
    "largest smallest",
    "highest lowest",
    "most least",
    "more fewer",
    "oldest newest",
    "earliest latest",
    "longest shortest",
    "north south",
    "northern southern",
    "east west",
    "eastern western",
    "increase decrease",
    "increased decreased",
    "rise fall",
    "rose fell",
    "began ended",
    "begin end",
    "start finish",
    "started stopped",
    "opened closed",
    "won lost",
    "win lose",
    "gained lost",
    "accepted rejected",
    "allowed forbade",
    "supported opposed",
    "built destroyed",
    "created destroyed",
    "founded dissolved",
    "joined left",
    "born killed",
    "male female",
    "men women",
    "father mother",
    "son daughter",
    "brother sister",
    "king queen",
    "husband wife",
    "public private",
    "positive negative",
    "rich poor",
    "early late",
    "major minor",
    "internal external",
    "modern ancient",
    "majority minority",
    "above below",
    "inside outside",
    "always never",
    "can cannot",
    "easy difficult",
    "same different",
    "strong weak",
    "high low",
    "long short",
    "old new",
    "large small",
    "good bad",
    "hot cold",
    "young old",
    "bought sold",
    "arrived departed",
    "remembered forgot",
    "loved hated",
    "better worse",
    "best worst",
    "cause prevent",
    "caused prevented",
    "include exclude",
    "included excluded",
    "passed failed",
    "attacked defended",
    "teacher student",
    "import export",
    "entered left",
    "introduced abolished",
    "winter summer",
    "day night",
    "maximum minimum",
)
OPPOSITE = {a: b for pair in _OPPOSITES for a, b in (pair.split(), pair.split()[::-1])}
_AUXILIARY = re.compile(r"\b(did|does|do|is|was|are|were|can|could|has|had|would)\b")


@dataclass(frozen=True)
class Article:
    """What may be put into a spoilt question: an article's names, numbers and telling words."""

    names: tuple[str, ...]
    numbers: tuple[str, ...]
    asked: tuple[str, ...]

    @classmethod
    def of(cls, questions: Sequence["Question"]) -> "Article":
        """Of the questions of one article."""
        passages = "\n".join(dict.fromkeys(question.passage for question in questions))
        asked = "\n".join(question.text for question in questions)
        telling = [word for word in _WORD.findall(asked) if not is_common(word)]
        return cls(
            tuple(sorted(set(_NAME.findall(passages)))),
            tuple(sorted(set(_NUMBER.findall(passages)))),
            tuple(sorted(set(telling))),
        )


def spoil(question: str, passage: str, article: Article, draw: random.Random) -> str | None:
    """A question like this one that the passage does not answer; None if none was found."""
    ways = [
        lambda: _swap(_NAME, question, passage, article.names, draw),
        lambda: _swap(_NUMBER, question, passage, article.numbers, draw),
        lambda: _reverse(question, draw),
        lambda: _swap(_WORD, question, passage, article.asked, draw),
    ]
    draw.shuffle(ways)
    return next((spoilt for way in ways if (spoilt := way())), None)


def _swap(
    pattern: re.Pattern[str],
    question: str,
    passage: str,
    others: Sequence[str],
    draw: random.Random,
) -> str | None:
    """One match of the pattern that the passage has, for another word that it lacks."""
    present = set(words(passage))
    found = [m for m in pattern.finditer(question) if not is_common(m.group())]
    found = [match for match in found if set(words(match.group())) <= present]
    if not found or not others:
        return None
    match = draw.choice(found)
    for other in draw.sample(others, min(12, len(others))):
        if _ending(other) == _ending(match.group()) and not set(words(other)) & present:
            return question[: match.start()] + other + question[match.end() :]
    return None


def _ending(word: str) -> str:
    """What a word ends with if that tells its form, so that a verb becomes a verb."""
    if not word.isalpha() or not word.islower():
        return ""
    return next((end for end in ("ing", "ed", "ly", "s") if word.endswith(end)), "-")


def _reverse(question: str, draw: random.Random) -> str | None:
    """One word for its opposite, or a negation after the auxiliary."""
    found = [match for match in re.finditer(r"[A-Za-z]+", question) if match.group() in OPPOSITE]
    if found:
        match = draw.choice(found)
        return question[: match.start()] + OPPOSITE[match.group()] + question[match.end() :]
    match = _AUXILIARY.search(question)
    if match is None or draw.random() < 0.8:
        return None
    rest = question[match.end() :]
    parts = rest.split(" ")
    place = 3 if len(parts) > 4 else 2
    return question[: match.end()] + " ".join([*parts[:place], "not", *parts[place:]])
