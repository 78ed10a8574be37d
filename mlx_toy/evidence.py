"""Which sentence of the passages is most likely to answer a question, by its words alone.

Why beside a language model: a small model copies well but chooses badly. Overlap of rare words says
where to look (the inverse-frequency overlap of Robertson and Sparck Jones 1976), the form of the
question says what to look for (a number, a name), and both can be shown to the reader.
"""

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from mlx_toy.sentences import split_sentences

_WORD = re.compile(r"\w+")
# Closed-class words and the words of questions: they say nothing of what is asked about.
_COMMON = frozenset(
    """
    a an and are as at be been but by can could did do does for from had has have he her his how i
    if in is it its may me might more most my no not of on one or our shall she should so some such
    than that the their them then there these they this those to was we were what when where which
    while who whom whose why will with would you your about also any because both each many much
    name called into over under between during after before
    """.split()  # noqa: SIM905  (a paragraph of words reads better than a list of strings)
)
_NUMBER = re.compile(
    r"\d|\b(one|two|three|four|five|six|seven|eight|nine|ten|twelve"
    r"|hundred|thousand|million|billion)\b",
    re.IGNORECASE,
)
_NAME = re.compile(r"(?<=[\w,;] )[A-Z]\w+")
_QUESTION_NAME = re.compile(r"(?<!^)(?<![.?!] )\b[A-Z]\w+|\b\d[\d.,]*\d|\b\d\b")
_ASKS_NUMBER = re.compile(
    r"\b(when|how (many|much|long|old|far|often|tall|big|large)|which year"
    r"|what (year|date|percent\w*|number|time|day|century))\b",
    re.IGNORECASE,
)
_ASKS_NAME = re.compile(
    r"\b(who|whom|whose|where|which"
    r"|what (country|city|state|town|river|king|queen|person|team|company|university))\b",
    re.IGNORECASE,
)
_FORM_BONUS = 0.5  # of the mean weight of a question's word
_PAIR_BONUS = 0.25  # for two words of the question that stand together in the sentence too


@dataclass(frozen=True)
class Sentence:
    """A sentence of a passage.

    Attributes:
        passage: index of its passage.
        start: offset of its first character in the passage.
        end: offset after its last character.
        text: the passage's text between them.
        score: how well it fits the question; 0 means no word in common.
    """

    passage: int
    start: int
    end: int
    text: str
    score: float


def words(text: str) -> list[str]:
    """The words of a text in lower case, common endings removed, so that "lived" meets "lives"."""
    return [_stem(word) for word in _WORD.findall(text.lower())]


def is_common(word: str) -> bool:
    """Whether a word says nothing of what is asked about: "the", "when", "did"."""
    return word.lower() in _COMMON


def _stem(word: str) -> str:
    for ending in ("ing", "ied", "ies", "ed", "es", "ly", "s", "e"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word[: -len(ending)] + ("y" if ending in ("ied", "ies") else "")
    return word


def rank_sentences(
    question: str, passages: Sequence[str], headings: Sequence[str] = ()
) -> list[Sentence]:
    """All sentences of the passages, the likeliest to answer first.

    Args:
        question: as the user wrote it.
        passages: in the order of the prompt; an earlier one wins a tie.
        headings: what stands above each; its words count as words of every sentence below.
    """
    found = [
        (index, start, end, passage[start:end])
        for index, passage in enumerate(passages)
        for start, end in split_sentences(passage)
    ]
    above = [set(words(heading)) for heading in headings]
    bags = [words(text) for *_, text in found]
    everything = [
        set(bag) | (above[index] if above else set())
        for (index, *_), bag in zip(found, bags, strict=True)
    ]
    frequency = Counter(word for present in everything for word in present)
    weight = {
        word: math.log(1 + len(bags) / (0.5 + frequency[word]))
        for word in set(words(question))
        if word not in _COMMON
    }
    asked = words(question)
    pairs = {pair for pair in pairwise(asked) if set(pair) & set(weight)}
    mean = sum(weight.values()) / len(weight) if weight else 0.0
    ranked = []
    for (index, start, end, text), bag, present in zip(found, bags, everything, strict=True):
        overlap = sum(value for word, value in weight.items() if word in present)
        overlap += _PAIR_BONUS * mean * len(pairs & set(pairwise(bag)))
        if overlap and has_kind(question, text):
            overlap += _FORM_BONUS * mean
        ranked.append(Sentence(index, start, end, text, overlap))
    return sorted(ranked, key=lambda sentence: -sentence.score)


_COMMON_STEMS = _COMMON | set(words(" ".join(_COMMON)))


@dataclass(frozen=True)
class Missing:
    """Words of a question that a text lacks.

    Attributes:
        share: of the question's telling words, 0 to 1; 0 if it has none.
        names: how many of them are names or numbers.
    """

    share: float
    names: int


def missing(question: str, text: str) -> Missing:
    """What of a question does not stand in a text, endings aside.

    A question about something else often shares its common words with a passage, but hardly its
    names and numbers.
    """
    present = set(words(text))
    telling = [w for w in dict.fromkeys(words(question)) if w not in _COMMON_STEMS]
    lacking = [word for word in telling if word not in present]
    names = {stem for match in _QUESTION_NAME.finditer(question) for stem in words(match.group())}
    share = len(lacking) / len(telling) if telling else 0.0
    return Missing(share, len(names - present))


def has_kind(question: str, sentence: str) -> bool:
    """Whether a sentence holds the kind of thing that is asked for, beside the question's words."""
    if _ASKS_NUMBER.search(question):
        pattern = _NUMBER
    elif _ASKS_NAME.search(question):
        pattern = _NAME
    else:
        return False
    asked = set(words(question))
    return any(_stem(match.group().lower()) not in asked for match in pattern.finditer(sentence))
