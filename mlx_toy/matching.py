"""How the words of a question and of passages match, as numbers: what the reranker looks at.

Why: a cosine of two vectors and a BM25 score both forget where in the passage the words stand. Here
a question and its candidates are read side by side. A word counts by how rare it is, measured
twice: in general, and among the candidates, since what all of them hold does not tell them apart.
Beside the whole passage its best sentence counts, how close together the words stand, and whether
that sentence holds what the question asks for: a year for "when", a name for "who".

All passages go through each step together, as flat arrays over the few tokens that match.
"""

from collections.abc import Sequence

import numpy as np

from mlx_toy.lexicon import (
    BUCKET,
    CLOCK,
    ENDS,
    KINDS,
    MARK,
    NAME,
    NUMBER,
    PLACE,
    QUESTION_TYPES,
    REASON,
    SHAPE,
    STEM,
    WORD,
    YEAR,
    Lexicon,
    question_type,
)

AVERAGE_TOKENS = 140  # of a passage, for the normalisation of BM25
BM25_K1, BM25_B = 1.2, 0.5
WINDOWS = (6, 16, 40)  # tokens
_TINY = 1e-6


def match_features(
    question: str,
    asked: np.ndarray,
    passages: Sequence[np.ndarray],
    lexicon: Lexicon,
    rarity: np.ndarray,
    documents: np.ndarray,
    places: np.ndarray,
) -> np.ndarray:
    """What can be said of each passage by its words, [P, F]; about one where 0 is nothing.

    Args:
        question: any text.
        asked: its tokens, rows of the lexicon.
        passages: tokens of its candidates, at least one.
        lexicon: that made the rows.
        rarity: of a stem in general, by bucket, in nats [BUCKETS].
        documents: the number of each passage's document, from 0 without a gap [P].
        places: of each passage in its document [P].
    """
    count = len(passages)
    lengths = np.array([len(tokens) for tokens in passages])
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])  # [P]
    text = np.repeat(np.arange(count), lengths)  # [T]: the passage of each token
    found = lexicon.look_up(np.concatenate(passages))  # [T, columns]
    opens = np.concatenate([[True], found[:-1, ENDS] > 0])
    opens[starts] = True
    sentence = np.cumsum(opens) - 1  # [T]
    sentence_starts = np.flatnonzero(opens)  # [S]
    first_sentence = sentence[starts]  # [P]

    asks = lexicon.look_up(asked)
    asks = asks[asks[:, SHAPE] != MARK] if (asks[:, SHAPE] != MARK).any() else asks[:1]
    stems, first, order = np.unique(asks[:, STEM], return_index=True, return_inverse=True)
    size = len(stems)
    which = _places(found[:, STEM], stems)  # [T]: which stem of the question, or -1
    words = np.unique(asks[:, WORD])
    at = np.flatnonzero(which >= 0)  # [M]: the tokens that match
    stem_at, text_at = which[at], text[at]

    times = np.zeros((size, count), np.float32)
    np.add.at(times, (stem_at, text_at), 1)
    inside = times > 0
    general = rarity[asks[first, BUCKET]]  # [Q]
    local = np.log((count + 1) / (inside.sum(1) + 0.5)) * inside.any(1)  # [Q]
    weights = np.stack([general, local, general * (local + 0.1)])
    shares = (weights / (weights.sum(1, keepdims=True) + _TINY)).astype(np.float32)  # [3, Q]

    exactly = np.zeros((size, count), bool)
    same = _places(found[at, WORD], words) >= 0
    exactly[stem_at[same], text_at[same]] = True
    scale = BM25_K1 * (1 - BM25_B + BM25_B * lengths / AVERAGE_TOKENS)
    whole = [shares @ inside, shares @ exactly, shares @ (times * (BM25_K1 + 1) / (times + scale))]

    in_sentence = np.zeros((size, len(sentence_starts)), bool)
    in_sentence[stem_at, sentence[at]] = True
    of_text = text[sentence_starts]  # [S]
    joined = in_sentence.copy()  # with the sentence before it
    joined[:, 1:] |= in_sentence[:, :-1] & (of_text[1:] == of_text[:-1])
    by_sentence = shares @ in_sentence  # [3, S]
    sentences = [
        np.maximum.reduceat(by_sentence, first_sentence, axis=1),
        np.maximum.reduceat(shares @ joined, first_sentence, axis=1),
        np.add.reduceat(by_sentence**2, first_sentence, axis=1),
    ]
    close = _closeness(shares[::2], at, stem_at, text_at, count)
    runs = _runs(order, general, which, text, at)

    score = by_sentence[2] + 1e-3 * by_sentence[0]
    best = np.lexsort((-score, of_text))[first_sentence]  # [P]: each passage's best sentence
    sentence_lengths = np.diff(np.append(sentence_starts, len(text)))
    rows = [*whole, *sentences, close, runs, _around(shares[2], inside, documents, places)]
    rows += [_answers(found, which < 0, sentence_starts, starts, best)]
    rows += [
        np.stack(
            [
                np.log(sentence_lengths[best]) / 3,
                (best - first_sentence) / 5,
                np.log(lengths) / 5,
            ]
        )
    ]
    asked_for = np.zeros((QUESTION_TYPES, count), np.float32)
    asked_for[question_type(question)] = 1
    nowhere = (general * ~inside.any(1)).sum() / (general.sum() + _TINY)
    about = [np.log(size) / 2, general.sum() / 50, general.max() / 10, local.sum() / 20, nowhere]
    rows += [asked_for, np.repeat(np.array(about)[:, None], count, axis=1)]
    return np.concatenate(rows).T.astype(np.float32)


def _places(values: np.ndarray, among: np.ndarray) -> np.ndarray:
    """Where each value stands in a sorted array, -1 for one that does not."""
    place = np.minimum(np.searchsorted(among, values), len(among) - 1)
    return np.where(among[place] == values, place, -1)


def _closeness(
    shares: np.ndarray, at: np.ndarray, stem_at: np.ndarray, text_at: np.ndarray, count: int
) -> np.ndarray:
    """The most of the question that stands within a few tokens, by window and weight [W * K, P].

    Args:
        shares: of the question's stems, by K weights [K, Q].
        at, stem_at, text_at: place, stem and passage of each matching token [M].
        count: passages P.
    """
    rows = np.zeros((len(WINDOWS), len(shares), count), np.float32)
    if len(at):
        seen = np.zeros((shares.shape[1], len(at) + 1), np.int32)
        seen[stem_at, np.arange(1, len(at) + 1)] = 1
        seen = np.cumsum(seen, axis=1)
        last = np.searchsorted(text_at, text_at, side="right")
        begins = np.flatnonzero(np.diff(text_at, prepend=-1))
        for row, width in zip(rows, WINDOWS, strict=True):
            ends = np.minimum(np.searchsorted(at, at + width), last)
            covered = shares @ (seen[:, ends] > seen[:, :-1])  # [K, M]
            row[:, text_at[begins]] = np.maximum.reduceat(covered, begins, axis=1)
    return rows.reshape(-1, count)


def _around(
    share: np.ndarray, inside: np.ndarray, documents: np.ndarray, places: np.ndarray
) -> np.ndarray:
    """How much of the question the rest of the document holds, of what was found of it [5, P].

    A passage may call "he" whom the one before it names, and a document may be about the matter.

    Args:
        share: of each stem of the question [Q].
        inside: which stems are in which passage [Q, P].
        documents, places: as in `match_features`.
    """
    alone = share @ inside
    found = np.zeros((len(share), documents.max() + 1), bool)
    np.logical_or.at(found.T, documents, inside.T)
    of_document = share @ found
    passages = np.bincount(documents)
    following = places[None] - places[:, None]  # [P, P]
    together = documents[None] == documents[:, None]
    sides = []
    for step in (-1, 1):
        near = together & (following == step)  # [P, P]: at most one in a row
        both = inside | (inside.astype(np.float32) @ near.T.astype(np.float32) > 0)
        sides.append(share @ both - alone)
    return np.stack(
        [
            of_document[documents],
            of_document[documents] - of_document.max(),
            passages[documents] / len(documents),
            *sides,
        ]
    )


def _runs(
    order: np.ndarray, general: np.ndarray, which: np.ndarray, text: np.ndarray, at: np.ndarray
) -> np.ndarray:
    """How much of the question's word pairs follows each other in a passage, strictly and nearly.

    Args:
        order: the question's stems as they follow each other [N].
        general: rarity of each stem [Q].
        which, text: the question's stem (or -1) and the passage of each token [T].
        at: the matching tokens [M].

    Returns:
        [2, P].
    """
    count = int(text[-1]) + 1
    if len(order) < 2:
        return np.zeros((2, count), np.float32)
    pair = np.full((len(general), len(general)), -1)
    pair[order[:-1], order[1:]] = np.arange(len(order) - 1)
    weight = general[order[:-1]] + general[order[1:]]
    weight = weight / (weight.sum() + _TINY)
    present = np.zeros((2, len(weight), count), bool)
    for step, strict in ((1, True), (2, False), (-1, False)):
        near = np.clip(at + step, 0, len(which) - 1)
        good = (which[near] >= 0) & (text[near] == text[at])
        number = pair[which[at[good]], which[near[good]]]
        place = text[at[good]]
        number, place = number[number >= 0], place[number >= 0]
        present[1, number, place] = True
        if strict:
            present[0, number, place] = True
    return (weight @ present).astype(np.float32)


def _answers(
    found: np.ndarray,
    new: np.ndarray,
    sentence_starts: np.ndarray,
    starts: np.ndarray,
    best: np.ndarray,
) -> np.ndarray:
    """What stands in the best sentence and in the passage that could be an answer [10, P].

    Names, numbers, years and times that the question has not, and words of reason and place.
    """
    shape = found[:, SHAPE]
    flags = [(shape == kind) & new for kind in (NAME, NUMBER, YEAR, CLOCK)]
    flags += [(found[:, KINDS] & kind) > 0 for kind in (REASON, PLACE)]
    matrix = np.stack(flags)
    in_sentence = np.add.reduceat(matrix, sentence_starts, axis=1, dtype=np.float32)[:, best]
    in_text = np.add.reduceat(matrix[:4], starts, axis=1, dtype=np.float32)
    return np.log1p(np.concatenate([in_sentence, in_text]))
