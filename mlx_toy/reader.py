"""Read passages with a question in mind: which words answer it, and whether any do.

Why beside a language model: a decoder of a few million parameters sees of each word only what
stands before it, and copies well but chooses badly. This network reads to both sides and is trained
for nothing but where an answer begins and ends (`reader_network.py`). The language model may copy
what it found (`choices.py`). "Reader" as in retriever and reader (Chen et al. 2017,
arXiv:1704.00051); what reads files is in `formats/`.
"""

import json
import math
import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

from mlx_toy.backend import mx

import numpy as np

from mlx_toy.bag import Features
from mlx_toy.errors import UserError
from mlx_toy.int8_rows import from_int8, to_int8
from mlx_toy.known_words import NAME as WORDS
from mlx_toy.known_words import from_bytes, to_bytes
from mlx_toy.lexicon import MAX_TOKENS
from mlx_toy.reader_input import QUESTION_TOKENS, Text, Vocabulary, to_batch
from mlx_toy.reader_layers import Weights
from mlx_toy.reader_network import ReaderConfig, network
from mlx_toy.sentences import split_sentences
from mlx_toy.tokenizer import FILE_NAME, Tokenizer

BUNDLED = Path(__file__).parent / "weights" / "reader"
CONFIG, WEIGHTS, MODEL_TYPE = "config.json", "model.safetensors", "mlx_toy_reader"
MOST_TOKENS = 1_000  # of a piece of text that are read
WINDOW = 2_000  # characters of a passage that are read at once
MOST_WINDOWS = 200  # of a passage
SPAN_TOKENS = 24  # of the longest answer
KEPT = 20  # spans that are told apart
TOGETHER = 5  # texts of like length that are read as one array
REMEMBERED = 64  # pieces of text with what was found in them: a question is often read twice
_OPENING, _CLOSING = "$€£¥\"“'‘#+-", "%°\"”'’)"  # marks that an answer may begin and end with


@dataclass(frozen=True)
class FoundSpan:
    """Words that may answer.

    Attributes:
        passage: index of their passage.
        start, end: offsets in it, of the first character and after the last.
        logprob: natural logarithm of their probability among all spans of all passages, with what
            speaks for each passage beside.
        odds: natural logarithm of how much likelier they are than that the passage has no answer.
    """

    passage: int
    start: int
    end: int
    logprob: float
    odds: float


@dataclass(frozen=True)
class Reading:
    """What the reader says of a passage as a whole.

    Attributes:
        odds: how much likelier its best words are than that it has no answer, in nats; minus
            infinity without a word.
        nearness: cosine of the gists of the question and of its nearest sentence; -1 without one.
    """

    odds: float
    nearness: float


_Found = tuple[float, int, int]  # log-odds of a span, its start and its end


@dataclass(frozen=True)
class _Read:
    """A piece of text that was read: its likeliest spans, and as in `Reading`."""

    spans: list[_Found]
    nearness: float


class Reader:
    """The network with all it needs; any thread may call it.

    Args:
        weights: of the network, by name.
        rarity: surprise of a stem, by bucket, in nats [lexicon.BUCKETS].
        meanings: of pieces and words, which the network does not change [rows, M].
        config: sizes.
        features: a word's rows.
    """

    def __init__(
        self,
        weights: Weights,
        rarity: np.ndarray,
        meanings: np.ndarray,
        config: ReaderConfig,
        features: Features,
    ) -> None:
        self.weights, self.rarity, self.meanings = weights, rarity, meanings
        self.config, self.features = config, features
        self._lock = threading.Lock()
        self.forget_words()

    def forget_words(self) -> None:
        """Begin with no words and nothing read: to bound memory, and after the weights change."""
        self._remembered: dict[tuple[str, str, str], _Read] = {}
        self.vocabulary = Vocabulary(self.features, self.rarity, self.meanings)

    def __call__(
        self,
        question: str,
        passages: Sequence[str],
        headings: Sequence[str] = (),
        priors: Sequence[float] = (),
    ) -> list[FoundSpan]:
        """The likeliest spans of whole words within a sentence, the best first, at most `KEPT`.

        Args:
            question: as the user wrote it.
            passages: any texts; long ones are read in pieces.
            headings: what stands above each of them; none without.
            priors: how much likelier each of them is to answer for other reasons, in nats. They
                decide which spans come first, with their odds (Yang et al. 2019, arXiv:1902.01718).
        """
        found = [
            (odds + (priors[number] if priors else 0.0), odds, number, start + first, start + last)
            for number, pieces in enumerate(self._pieces_of(question, passages, headings))
            for start, piece in pieces
            for odds, first, last in piece.spans
        ]
        found.sort(key=lambda one: (-one[0], *one[2:]))
        scores = np.array([score for score, *_ in found])
        total = float(np.logaddexp.reduce(scores)) if len(scores) else 0.0
        return [
            FoundSpan(number, first, last, score - total, odds)
            for score, odds, number, first, last in found[:KEPT]
        ]

    def readings(
        self, question: str, passages: Sequence[str], headings: Sequence[str] = ()
    ) -> list[Reading]:
        """What it says of each passage as a whole.

        Args:
            question, passages, headings: as for spans.
        """
        return [
            Reading(
                max((odds for _, piece in pieces for odds, *_ in piece.spans), default=-math.inf),
                max((piece.nearness for _, piece in pieces), default=-1.0),
            )
            for pieces in self._pieces_of(question, passages, headings)
        ]

    def _pieces_of(
        self, question: str, passages: Sequence[str], headings: Sequence[str]
    ) -> list[list[tuple[int, _Read]]]:
        """The pieces of each passage, as they were read: where each begins, and what it says."""
        asked_before = any(question == asked for asked, *_ in list(self._remembered))
        if len(self._remembered) >= REMEMBERED and not asked_before:
            # between questions only: read with other pieces, a piece has other last digits
            self._remembered.clear()
        pieces: list[list[tuple[int, _Read]]] = [[] for _ in passages]
        unread: list[tuple[int, int, tuple[str, str, str]]] = []
        for number, passage in enumerate(passages):
            for start, end in windows(passage):
                piece = question, passage[start:end], headings[number] if headings else ""
                known = self._remembered.get(piece)
                if known is None:
                    unread.append((number, start, piece))
                else:
                    pieces[number].append((start, known))
        for numbers in _alike([piece[1] for *_, piece in unread]):
            chosen = [unread[number] for number in numbers]
            read = self._read([piece for *_, piece in chosen])
            for (number, start, piece), found in zip(chosen, read, strict=True):
                self._remembered[piece] = found
                pieces[number].append((start, found))
        return pieces

    def _read(self, pieces: Sequence[tuple[str, str, str]]) -> list[_Read]:
        """Read pieces of text together.

        Args:
            pieces: the question, the same in all, a text, and what stands above it.
        """
        question = pieces[0][0]
        with self._lock:
            if len(self.vocabulary.lexicon.words) > MAX_TOKENS:
                self.forget_words()
            asked = self.vocabulary.read(question, QUESTION_TOKENS)
            texts = [
                self.vocabulary.read(passage, MOST_TOKENS, heading)
                for _, passage, heading in pieces
            ]
            pairs = [self.vocabulary.pair(question, asked, text) for text in texts]
            scores = network(self.weights, to_batch(pairs, self.vocabulary))
            start, end, none, nearest = map(
                np.array, (scores.start, scores.end, scores.none, scores.nearest)
            )
        begins, ends = start - none[:, :1], end - none[:, 1:]  # [P, T]
        return [
            _Read(_spans(piece[1], text, begins[row], ends[row]), float(nearest[row]))
            for row, (piece, text) in enumerate(zip(pieces, texts, strict=True))
        ]


def windows(passage: str) -> list[tuple[int, int]]:
    """Start and end of pieces of whole sentences, none much longer than those it learned from."""
    if len(passage) <= WINDOW:
        return [(0, len(passage))]
    found: list[tuple[int, int]] = []
    for start, end in split_sentences(passage):
        if found and end - found[-1][0] <= WINDOW:
            found[-1] = found[-1][0], end
        else:
            found.append((start, end))
    return found[:MOST_WINDOWS]


def _alike(texts: Sequence[str]) -> list[list[int]]:
    """Numbers of the texts in groups of like length, so that little is padded."""
    by_length = sorted(range(len(texts)), key=lambda number: len(texts[number]))
    return [by_length[first : first + TOGETHER] for first in range(0, len(texts), TOGETHER)]


def _spans(passage: str, text: Text, begins: np.ndarray, ends: np.ndarray) -> list[_Found]:
    """The likeliest spans of a passage: log-odds, start and end."""
    length = len(text.rows)
    if not text.spans:
        return []
    edges = [(passage[start], passage[end - 1]) for start, end in text.offsets.tolist()]
    may_begin = np.array([first.isalnum() or first in _OPENING for first, _ in edges])
    may_end = np.array([last.isalnum() or last in _CLOSING for _, last in edges])
    may_begin[: text.heading] = False
    scores = np.full((length, SPAN_TOKENS), -np.inf)
    for more in range(min(SPAN_TOKENS, length)):
        first = np.arange(length - more)
        first = first[may_begin[first] & may_end[first + more]]
        first = first[text.sentences[first] == text.sentences[first + more]]
        scores[first, more] = begins[first] + ends[first + more]
    flat = scores.ravel()
    best = np.argsort(-flat, kind="stable")[: 10 * KEPT]
    return [
        (
            float(flat[index]),
            int(text.offsets[index // SPAN_TOKENS, 0]),
            int(text.offsets[index // SPAN_TOKENS + index % SPAN_TOKENS, 1]),
        )
        for index in best.tolist()
        if flat[index] > -np.inf
    ]


def save_reader(reader: Reader, path: Path) -> None:
    """Write a reader: its tables as int8 with a scale for each row, the rest as float16."""
    arrays = {name: value.astype(mx.float16) for name, value in reader.weights.items()}
    arrays["table"], arrays["table_scale"] = to_int8(np.array(reader.weights["table"]))
    arrays["meanings"], arrays["meanings_scale"] = to_int8(reader.meanings)
    arrays["rarity"] = mx.array(reader.rarity.astype(np.float16))
    arrays[WORDS] = to_bytes(reader.features.known)
    mx.save_safetensors(str(path / WEIGHTS), arrays)
    (path / FILE_NAME).write_bytes(reader.features.tokenizer.model_proto)
    config = {"model_type": MODEL_TYPE, **asdict(reader.config)}
    (path / CONFIG).write_text(json.dumps(config, indent=2) + "\n")


def load_reader(path: str | Path) -> Reader:
    """Load a reader from its directory.

    Raises:
        UserError: there is none, or it is broken.
    """
    path = Path(path).expanduser()
    try:
        config = json.loads((path / CONFIG).read_text(encoding="utf-8"))
        if config.pop("model_type") != MODEL_TYPE:
            raise ValueError("it is of another type")
        loaded = mx.load(str(path / WEIGHTS))
        assert isinstance(loaded, dict)
        features = Features(Tokenizer.load(path), from_bytes(loaded.pop(WORDS)))
        meanings = np.array(from_int8(loaded.pop("meanings"), loaded.pop("meanings_scale")))
        table = from_int8(loaded.pop("table"), loaded.pop("table_scale"))
        weights = {name: value.astype(mx.float32) for name, value in loaded.items()}
        weights["table"] = table
        rarity = np.array(weights.pop("rarity"))
        if not len(table) == len(meanings) == features.rows:
            raise ValueError(f"its words and pieces are {features.rows}")
        mx.eval(weights)
        reader = Reader(weights, rarity, meanings, ReaderConfig(**config), features)
        reader("check", ["check"])
    except (OSError, LookupError, TypeError, ValueError, RuntimeError, AssertionError) as error:
        raise UserError(
            f"the reader at {path} cannot be read ({error}): copy it or train it again"
        ) from error
    return reader


@cache
def bundled_reader() -> Reader:
    """The reader that comes with the project, loaded once."""
    return load_reader(BUNDLED)
