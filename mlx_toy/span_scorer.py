"""Which words of a sentence answer a question: a log-linear model over spans of whole words.

Why beside a language model: a model of a few million parameters copies well but chooses badly. A
few dozen cheap signs say much about a span: what stands before and behind it, its shape (a year, a
name), how far the question's words are, each together with what the question asks for. Their
weights, added up, rank the spans; the language model may copy the best (`choices.py`). The method
is the logistic regression of Rajpurkar et al. 2016 (arXiv:1606.05250, section 5) without a parser;
signs are hashed into one table (Weinberger et al. 2009, arXiv:0902.2206), so it has no vocabulary.
"""

import re
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

import numpy as np

from mlx_toy.errors import UserError
from mlx_toy.evidence import Sentence, is_common, words

BUNDLED = Path(__file__).parent / "weights" / "spans"
WEIGHTS = "table.npz"
BITS = 21  # of the table's size
MOST_WORDS = 10  # of a span
SENTENCES = 3  # of the best, whose spans are compared
_TOKEN = re.compile(r"\w+(?:[.,:'’/-]\w+)*|[^\w\s]")
_BEFORE, _BEHIND = "$€£", "%°"
_ARTICLES = frozenset({"the", "a", "an"})
_ASKING = ("who", "whom", "whose", "when", "where", "why", "which", "what", "how")
_FAR = 12  # words: further away is as far


@dataclass(frozen=True)
class ScoredSpan:
    """A span that may answer.

    Attributes:
        sentence: index among the sentences that were compared.
        start: offset of its first character in the sentence.
        end: offset after its last.
        logprob: natural logarithm of its probability among all spans compared.
    """

    sentence: int
    start: int
    end: int
    logprob: float


@dataclass(frozen=True)
class SpanSigns:
    """The spans of some sentences, and the signs of each.

    Attributes:
        places: for each of N spans its sentence, start and end, as in `ScoredSpan`: int32 [N, 3].
        signs: rows of the table: int32 [N, S].
    """

    places: np.ndarray
    signs: np.ndarray


class SpanScorer:
    """The table of weights; any thread may call it.

    Args:
        table: float32 [2 ** BITS].
    """

    def __init__(self, table: np.ndarray):
        self.table = table

    def __call__(self, question: str, sentences: Sequence[Sentence]) -> list[ScoredSpan]:
        """The spans of the first `SENTENCES` sentences, the likeliest first.

        Args:
            question: as the user wrote it.
            sentences: ranked by `evidence.rank_sentences`.
        """
        found = span_signs(question, sentences[:SENTENCES])
        if not len(found.places):
            return []
        scores = self.table[found.signs].sum(1)
        logprobs = scores - scores.max()
        logprobs -= np.log(np.exp(logprobs).sum())
        order = np.argsort(-logprobs, kind="stable").tolist()
        return [
            ScoredSpan(int(sentence), int(start), int(end), float(logprobs[i]))
            for i in order
            for sentence, start, end in [found.places[i]]
        ]


def span_signs(question: str, sentences: Sequence[Sentence]) -> SpanSigns:
    """All spans of whole words in these sentences, and what speaks for each."""
    asked = _asked(question)
    best = sentences[0].score if sentences else 0.0
    parts = []
    for index, sentence in enumerate(sentences):
        places, signs = _signs_of(asked, sentence.text)
        stems = _words_of(sentence.text).stems
        share = 8 * len(asked.stems & set(stems)) // max(1, len(asked.stems))
        whole = [
            _hash(_bucket(best - sentence.score), salt=90),
            _hash(1 + index, asked.kind, salt=91),
            _hash(share, _bucket(best - sentence.score) // 4, salt=92),
            _hash(share, len(asked.stems), salt=93),
        ]
        of_sentence = np.broadcast_to(np.concatenate(whole), (len(signs), len(whole)))
        signs = np.concatenate([signs, of_sentence], axis=1)
        number = np.full((len(places), 1), index)
        parts.append((np.concatenate([number, places], axis=1), signs))
    if not parts:
        return SpanSigns(np.zeros((0, 3), np.int32), np.zeros((0, 1), np.int32))
    return SpanSigns(
        np.concatenate([places for places, _ in parts]).astype(np.int32),
        np.concatenate([signs for _, signs in parts]).astype(np.int32),
    )


@dataclass(frozen=True)
class _Asked:
    """A question: its asking word, that with the next word, and its telling words."""

    kind: int
    detail: int
    head: int
    stems: frozenset[str]
    last: str


def _asked(question: str) -> _Asked:
    spelled = re.findall(r"\w+", question.lower())
    at = next((i for i, word in enumerate(spelled) if word in _ASKING), None)
    kind = "" if at is None else spelled[at]
    rest = spelled[(0 if at is None else at + 1) :]
    if kind == "how" and rest:
        kind += " " + rest[0]
    telling = [word for word in rest if not is_common(word)]
    head = telling[0] if telling and kind.split(" ")[0] in ("what", "which", "how") else ""
    stems = [stem for word in spelled if not is_common(word) for stem in words(word)]
    return _Asked(
        _code(kind),
        _code(" ".join([kind, *rest[:1]])),
        _code(kind + " " + head),
        frozenset(stems),
        stems[-1] if stems else "",
    )


@dataclass(frozen=True)
class _Words:
    """The words and marks of a sentence, each described: arrays of T."""

    start: np.ndarray
    end: np.ndarray
    code: np.ndarray
    shape: np.ndarray
    is_word: np.ndarray
    common: np.ndarray
    article: np.ndarray
    capital: np.ndarray
    stems: tuple[str, ...]


@lru_cache(maxsize=64)
def _words_of(text: str) -> _Words:
    found = list(_TOKEN.finditer(text))
    spelled = [match.group() for match in found]
    lowered = [word.lower() for word in spelled]
    return _Words(
        np.array([match.start() for match in found], np.int64),
        np.array([match.end() for match in found], np.int64),
        np.array([_code(word) for word in lowered], np.int64),
        np.array([_code(_shape(word)) for word in spelled], np.int64),
        np.array([word[0].isalnum() for word in spelled], bool),
        np.array([is_common(word) for word in lowered], bool),
        np.array([word in _ARTICLES for word in lowered], bool),
        np.array([word[0].isupper() for word in spelled], bool),
        tuple((words(word) or [""])[0] for word in lowered),
    )


def _signs_of(asked: _Asked, text: str) -> tuple[np.ndarray, np.ndarray]:
    """Start and end [N, 2] of each span of a sentence, and its signs [N, S]."""
    w = _words_of(text)
    at = np.flatnonzero(w.is_word)  # a long text has too many pairs to look at all of them
    usable = ~w.common[at]
    i = np.repeat(np.arange(len(at)), MOST_WORDS)
    j = i + np.tile(np.arange(MOST_WORDS), len(at))
    i, j = i[j < len(at)], j[j < len(at)]
    kept = usable[i] & usable[j]
    first, last = at[i[kept]], at[j[kept]]
    if not len(first):
        return np.zeros((0, 2), np.int64), np.zeros((0, len(SIGNS)), np.int64)
    signs = _describe(asked, w, first, last)
    start, end = w.start[first].copy(), w.end[last].copy()
    for span in range(len(start)):
        if start[span] and text[start[span] - 1] in _BEFORE:
            start[span] -= 1
        if end[span] < len(text) and text[end[span]] in _BEHIND:
            end[span] += 1
    return np.stack([start, end], 1), signs


def _describe(asked: _Asked, w: _Words, first: np.ndarray, last: np.ndarray) -> np.ndarray:
    """The signs [N, S] of the spans from word `first` to word `last`."""
    count = len(w.code)
    edge = np.array([_code("<edge>")])
    code = np.concatenate([edge, w.code, edge])  # shifted by one: a word before the first
    shape = np.concatenate([edge, w.shape, edge])
    capital = np.concatenate([[False], w.capital, [False]])
    matched = np.array([stem in asked.stems for stem in w.stems])
    matches_before = np.concatenate([[0], np.cumsum(matched)])
    words_before = np.concatenate([[0], np.cumsum(w.is_word)])
    length = words_before[last + 1] - words_before[first]
    inside = matches_before[last + 1] - matches_before[first]
    left, right = matches_before[first], matches_before[count] - matches_before[last + 1]
    nearest_left, nearest_right = _distances(matched, first, last)
    final_left, final_right = _distances(
        np.array([stem == asked.last for stem in w.stems]), first, last
    )
    marks_before = np.concatenate([[0], np.cumsum(~w.is_word)])
    marks = marks_before[last + 1] - marks_before[first]
    before, behind = code[first], code[last + 2]
    # an article between a word and the span is looked through
    skipped = np.where(w.article[np.maximum(first - 1, 0)] & (first > 0), first - 1, first)
    lead = code[skipped]
    cut = (capital[first] & capital[first + 1]) * 2 + (capital[last + 2] & capital[last + 1])
    capitals = np.concatenate([[0], np.cumsum(w.capital)])
    named = np.where(capitals[last + 1] - capitals[first] == length, 2, w.capital[first])
    kind, detail, head = asked.kind, asked.detail, asked.head
    shapes = _hash(shape[first + 1], shape[last + 1])
    closest = np.minimum(nearest_left, nearest_right)
    columns = {
        "kind length": (kind, length),
        "kind shapes": (kind, shapes),
        "kind shape, length": (kind, shape[first + 1], length),
        "kind lead": (kind, lead),
        "kind before": (kind, before),
        "kind behind": (kind, behind),
        "kind before, shape": (kind, before, shape[first + 1]),
        "detail lead": (detail, lead),
        "detail shapes": (detail, shapes),
        "detail length": (detail, length),
        "head shapes": (head, shapes),
        "head lead": (head, lead),
        "head last": (head, code[last + 1]),
        "head behind": (head, behind),
        "kind first": (kind, code[first + 1]),
        "kind last": (kind, code[last + 1]),
        "last": (code[last + 1],),
        "edges": (before, behind),
        "kind inside": (kind, inside),
        "kind inside, length": (kind, inside, length),
        "kind left, right": (kind, np.minimum(left, 4), np.minimum(right, 4)),
        "kind near left": (kind, nearest_left),
        "kind near right": (kind, nearest_right),
        "near both": (nearest_left, nearest_right),
        "kind closest": (kind, closest, np.minimum(left + right, 5)),
        "kind final": (kind, final_left, final_right),
        "final lead": (final_left, lead),
        "marks": (kind, marks, length),
        "cut": (kind, cut),
        "named": (kind, named, cut),
        "head named": (head, named),
        "matched beside": (
            kind,
            np.concatenate([[False], matched, [False]])[first],
            np.concatenate([[False], matched, [False]])[last + 2],
            before,
        ),
    }
    assert tuple(columns) == SIGNS
    size = len(first)
    return np.stack(
        [
            _hash(*(np.broadcast_to(np.asarray(part), size) for part in parts), salt=number)
            for number, parts in enumerate(columns.values())
        ],
        axis=1,
    )


SIGNS = (
    "kind length", "kind shapes", "kind shape, length", "kind lead", "kind before", "kind behind",
    "kind before, shape", "detail lead", "detail shapes", "detail length", "head shapes",
    "head lead", "head last", "head behind", "kind first", "kind last", "last", "edges",
    "kind inside", "kind inside, length", "kind left, right", "kind near left", "kind near right",
    "near both", "kind closest", "kind final", "final lead", "marks", "cut", "named", "head named",
    "matched beside",
)  # fmt: skip


def _distances(
    marked: np.ndarray, first: np.ndarray, last: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Words to the nearest marked one on the left and on the right of each span, `_FAR` at most."""
    count = len(marked)
    places = np.arange(count)
    before = np.maximum.accumulate(np.where(marked, places, -_FAR - 1))
    behind = np.minimum.accumulate(np.where(marked, places, count + _FAR)[::-1])[::-1]
    left = np.where(first > 0, first - before[np.maximum(first - 1, 0)], _FAR)
    right = np.where(last < count - 1, behind[np.minimum(last + 1, count - 1)] - last, _FAR)
    return np.minimum(left, _FAR), np.minimum(right, _FAR)


def _shape(word: str) -> str:
    """Its letters and figures by kind, runs cut short: "1874" is "dddd", "Brenn" is "Xx"."""
    kinds = "".join(
        "d" if c.isdigit() else "X" if c.isupper() else "x" if c.isalpha() else c for c in word[:12]
    )
    return re.sub(r"x+", "x", re.sub(r"X{2,}", "XX", kinds))


def _bucket(gap: float) -> int:
    return int(min(gap * 4, 40))


@lru_cache(maxsize=100_000)
def _code(text: str) -> int:
    return zlib.crc32(text.encode())


def _hash(*parts: np.ndarray | int, salt: int = 0) -> np.ndarray:
    """Numbers of 0 to 2 ** BITS for combinations of numbers."""
    mixed = np.array(salt * 2 + 1, np.uint64, ndmin=1) * np.uint64(0x9E3779B97F4A7C15)
    for part in parts:
        mixed = (mixed ^ np.asarray(part).astype(np.uint64)) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = mixed ^ (mixed >> np.uint64(29))
    return (mixed >> np.uint64(64 - BITS - 4) & np.uint64((1 << BITS) - 1)).astype(np.int64)


@cache
def load_span_scorer(path: Path = BUNDLED) -> SpanScorer:
    """Load the directory that `python -m train spans` wrote; the bundled one if none is given.

    Raises:
        UserError: there is none, or it is broken.
    """
    try:
        with np.load(path / WEIGHTS) as content:
            table = content["table"].astype(np.float32)
        if table.shape != (1 << BITS,):
            raise ValueError(f"its table has the shape {table.shape}")
    except (OSError, EOFError, LookupError, ValueError, zipfile.BadZipFile) as error:
        raise UserError(
            f"the span scorer at {path} cannot be read ({error}): copy it or train it again"
        ) from error
    return SpanScorer(table)
