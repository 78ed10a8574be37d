"""A question and a passage as the numbers that the reader sees.

A token's vector comes from its word or its pieces (`bag.py`), so that a name never seen before has
one too. Beside it stand what the token looks like (`lexicon.py`), how rare it is, and whether the
question has it: whether a word stands in the question says more than any other sign of where an
answer is (Weissenborn et al. 2017, arXiv:1703.04816; Chen et al. 2017, arXiv:1704.00051). People
ask in other words than stand there, so a second vector of each word says what it means, and how
near it comes to a word of the question counts beside whether it is one. The headings above a
passage are read with it, as words that every sentence may lean on: below "Opening hours" nobody
writes "opening hours" again.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mlx_toy.bag import Features
from mlx_toy.lexicon import BUCKET, EXACT, KINDS, MARK, SHAPE, STEM, WORD, Lexicon, question_type
from mlx_toy.lexicon import QUESTION_TYPES as TYPES
from mlx_toy.sentences import split_sentences

PASSAGE_TOKENS, QUESTION_TOKENS, HEADING_TOKENS = 400, 40, 40  # that are read of each
IDS = 8  # rows of the table that make a word, at most: its own, or its pieces
FAR = 0.25  # cosine under which two words have nothing to do with each other
TINY = 1e-6
NO_SENTENCE = -1  # of a token of the headings, or one that is padded
RAREST = 12.0  # nats of surprise of a word that no text had
SHAPES = 8
OWN = SHAPES + 3  # features of a token alone
PASSAGE_FEATURES, QUESTION_FEATURES = OWN + 15, OWN + 3 + TYPES


@dataclass(frozen=True)
class Text:
    """A text cut into tokens.

    Attributes:
        rows: of the lexicon [T].
        offsets: start and end of each token in the text [T, 2].
        sentences: number of each token's sentence [T].
        spans: start and end of each sentence in the text.
        heading: how many of the tokens, the first ones, are of the headings and not of the text;
            their offsets are 0.
    """

    rows: np.ndarray
    offsets: np.ndarray
    sentences: np.ndarray
    spans: list[tuple[int, int]]
    heading: int = 0


@dataclass(frozen=True)
class Pair:
    """A question and a passage, ready to be read.

    Attributes:
        question: rows of its tokens [J].
        question_features: [J, QUESTION_FEATURES].
        passage: rows of its tokens [T].
        passage_features: [T, PASSAGE_FEATURES].
        sentences: number of each token's sentence, `NO_SENTENCE` above the passage [T].
    """

    question: np.ndarray
    question_features: np.ndarray
    passage: np.ndarray
    passage_features: np.ndarray
    sentences: np.ndarray


class Vocabulary:
    """The words seen so far, and what the network needs of each. Not safe for threads.

    Args:
        features: a word's rows of the table.
        rarity: surprise of a stem, by bucket, in nats [lexicon.BUCKETS].
        meanings: of the rows; a word's vector is their sum [rows, M].
    """

    def __init__(self, features: Features, rarity: np.ndarray, meanings: np.ndarray) -> None:
        self.lexicon = Lexicon()
        self._features, self._rarity, self._meanings = features, rarity, meanings
        self._ids = np.zeros((1024, IDS), np.int32)
        self._used = np.zeros((1024, IDS), np.float32)
        self._meant = np.zeros((1024, meanings.shape[1]), np.float32)
        self._known = 0

    def read(self, text: str, limit: int, heading: str = "") -> Text:
        """Cut a text into its first `limit` tokens, and the headings above it likewise."""
        rows, offsets = self.lexicon.located(text, limit)
        spans = split_sentences(text)
        starts = [start for start, _ in spans]
        sentences = np.maximum(np.searchsorted(starts, offsets[:, 0], side="right") - 1, 0)
        if not heading:
            return Text(rows, offsets, sentences, spans)
        above = self.lexicon.rows(heading, limit)[-HEADING_TOKENS:]  # the innermost stand last
        none = np.zeros(len(above), np.int64)
        return Text(
            np.concatenate([above, rows]),
            np.concatenate([np.stack([none, none], 1), offsets]),
            np.concatenate([none, sentences]),
            spans,
            len(above),
        )

    def word_rows(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rows of the table of these words [N, IDS], and which of them count, 1 or 0 [N, IDS]."""
        self._learn()
        return self._ids[rows], self._used[rows]

    def meanings(self, rows: np.ndarray) -> np.ndarray:
        """What these words mean, unit vectors [N, M]; of marks, too."""
        self._learn()
        return self._meant[rows]

    def _learn(self) -> None:
        words = self.lexicon.words
        while len(words) > len(self._ids):
            for name in ("_ids", "_used", "_meant"):
                array = getattr(self, name)
                setattr(self, name, np.concatenate([array, np.zeros_like(array)]))
        for row in range(self._known, len(words)):
            ids = self._features.of_word(words[row])
            meant = self._meanings[ids].sum(0)
            ids = ids[:IDS]
            self._ids[row, : len(ids)] = ids
            self._used[row, : len(ids)] = 1
            self._meant[row] = meant / max(float(np.linalg.norm(meant)), TINY)
        self._known = len(words)

    def pair(self, question: str, asked: Text, passage: Text) -> Pair:
        """What is seen of a question and a passage.

        Args:
            question: as the user wrote it.
            asked: the same, cut into at most `QUESTION_TOKENS`.
            passage: cut into at most `PASSAGE_TOKENS`, with its headings.
        """
        q, p = self.lexicon.look_up(asked.rows), self.lexicon.look_up(passage.rows)
        telling = self._rarity[q[:, BUCKET]] * (q[:, SHAPE] != MARK)
        weight = telling / (telling.sum() + 1e-6)  # [J]
        is_word = np.not_equal(p[:, SHAPE, None], MARK)
        same_stem = np.equal(p[:, STEM, None], q[:, STEM]) & is_word  # [T, J]
        same_word = np.equal(p[:, WORD, None], q[:, WORD]) & same_stem
        word, stem = same_word.any(1), same_stem.any(1)
        share = (same_stem * weight).max(1)  # of the question, that the token is
        pair = np.zeros(len(word), bool)
        pair[1:] = (same_stem[1:, 1:] & same_stem[:-1, :-1]).any(1)
        pair[:-1] |= pair[1:]
        sentences = int(passage.sentences.max(initial=0)) + 1
        in_sentence = np.zeros((sentences, len(q)), bool)
        np.logical_or.at(in_sentence, passage.sentences, same_stem)
        in_sentence |= same_stem[: passage.heading].any(0)  # the headings belong to all
        covered = (in_sentence @ weight.astype(np.float32)).astype(np.float32)  # [S]
        found: np.ndarray = np.logical_or.reduce(in_sentence, axis=0)
        here = covered[passage.sentences]
        near = self._near(asked.rows, passage.rows)
        near = np.where(np.isin(p[:, SHAPE, None], EXACT), 0, near)
        near = np.maximum(near, same_stem) * (q[:, SHAPE] != MARK)  # [T, J]
        best = np.zeros((sentences, len(q)), np.float32)  # nearest to each word of the question
        np.maximum.at(best, passage.sentences, near)
        best = np.maximum(best, near[: passage.heading].max(0, initial=0.0))
        meant = best @ weight.astype(np.float32)  # [S]
        features = [
            self._alone(p),
            np.stack(
                [
                    word,
                    stem,
                    5 * share,
                    pair,
                    here,
                    here >= covered.max(),
                    np.full(len(p), found @ weight),
                    np.log1p(passage.sentences) / 3,
                    np.ones(len(p)),
                    np.arange(len(p)) < passage.heading,
                    5 * (near * weight).max(1),
                    (near * telling).max(1) / RAREST,
                    meant[passage.sentences],
                    meant[passage.sentences] >= meant.max(),
                    np.full(len(p), best.max(0) @ weight),
                ],
                axis=1,
            ),
        ]
        kind = np.zeros((len(q), TYPES))
        kind[:, question_type(question)] = 1
        nearest = best.max(0)[:, None]
        of_question = [self._alone(q), found[:, None], 5 * weight[:, None], kind, nearest]
        return Pair(
            asked.rows,
            np.concatenate(of_question, 1).astype(np.float32),
            passage.rows,
            np.concatenate(features, 1).astype(np.float32),
            np.where(np.arange(len(p)) < passage.heading, NO_SENTENCE, passage.sentences),
        )

    def _near(self, asked: np.ndarray, passage: np.ndarray) -> np.ndarray:
        """How near in meaning words of a passage are to those of a question, 0 to 1 [T, J]."""
        cosines = self.meanings(passage) @ self.meanings(asked).T
        near: np.ndarray = np.maximum((cosines - FAR) / (1 - FAR), 0)
        return near

    def _alone(self, tokens: np.ndarray) -> np.ndarray:
        """Features of tokens alone [N, OWN]."""
        shapes = np.eye(SHAPES, dtype=np.float32)[tokens[:, SHAPE]]
        kinds = np.stack([tokens[:, KINDS] & 1, tokens[:, KINDS] >> 1 & 1], 1)
        rarity = self._rarity[tokens[:, BUCKET], None] / RAREST
        return np.concatenate([shapes, kinds, rarity], 1)


@dataclass(frozen=True)
class PairBatch:
    """Pairs as padded arrays: B pairs, J and T tokens at most, U distinct words.

    Attributes:
        ids, used: of the distinct words, from `Vocabulary.word_rows` [U, IDS].
        meanings: of the distinct words [U, M].
        question, passage: numbers of words [B, J] and [B, T].
        question_features, passage_features: [B, J, F] and [B, T, F]; 0 where padded.
        question_mask, passage_mask: 1 for a token, 0 for padding [B, J] and [B, T].
        sentences: numbers of the passage's tokens' sentences, or `NO_SENTENCE` [B, T].
    """

    ids: np.ndarray
    used: np.ndarray
    meanings: np.ndarray
    question: np.ndarray
    passage: np.ndarray
    question_features: np.ndarray
    passage_features: np.ndarray
    question_mask: np.ndarray
    passage_mask: np.ndarray
    sentences: np.ndarray


def to_batch(pairs: Sequence[Pair], vocabulary: Vocabulary) -> PairBatch:
    """Pad pairs to one size."""
    question, question_mask = _pad([pair.question for pair in pairs])
    passage, passage_mask = _pad([pair.passage for pair in pairs])
    rows = np.concatenate([question.ravel(), passage.ravel()])
    distinct, where = np.unique(rows, return_inverse=True)
    ids, used = vocabulary.word_rows(distinct)
    return PairBatch(
        ids,
        used,
        vocabulary.meanings(distinct),
        where[: question.size].reshape(question.shape).astype(np.int32),
        where[question.size :].reshape(passage.shape).astype(np.int32),
        _pad([pair.question_features for pair in pairs])[0],
        _pad([pair.passage_features for pair in pairs])[0],
        question_mask,
        passage_mask,
        # it is padded with 0, which is to say no sentence and not the first
        _pad([pair.sentences - NO_SENTENCE for pair in pairs])[0] + NO_SENTENCE,
    )


def _pad(arrays: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Arrays one below the other, filled up with zeros, and where they are."""
    longest = max(map(len, arrays))
    padded = np.zeros((len(arrays), longest, *arrays[0].shape[1:]), arrays[0].dtype)
    mask = np.zeros((len(arrays), longest), np.float32)
    for number, array in enumerate(arrays):
        padded[number, : len(array)] = array
        mask[number, : len(array)] = 1
    return padded, mask
