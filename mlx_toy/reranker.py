"""Read a question and its candidate passages together, and put them in a better order.

Why: the two searches that find candidates each compare a question with a passage through one number
made of either apart. Reading both side by side costs milliseconds for the few that were found. A
small network weighs how the words match (`matching.py`); to its score, linear terms add what the
embedder and the vectors of words say. It works beside any embedder: the vectors of words are our
own, and of another embedder it sees cosines and ranks.

Two results: a score, that orders the passages of one question, and the relevance, the probability
that a passage holds the answer, which compares between questions and tells a reader what a hit is
worth. (The app abstains where neither it nor the embedder's cosine finds anything near.)
"""

import hashlib
import json
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from mlx_toy.backend import mx

import numpy as np

from mlx_toy.bag import Features
from mlx_toy.errors import UserError
from mlx_toy.int8_rows import from_int8, to_int8
from mlx_toy.known_words import NAME as WORDS
from mlx_toy.known_words import from_bytes, to_bytes
from mlx_toy.lexicon import CHARACTERS, MAX_TOKENS, Lexicon
from mlx_toy.matching import match_features
from mlx_toy.passages import below_headings
from mlx_toy.rows import Hit
from mlx_toy.small_network import normalise
from mlx_toy.tokenizer import FILE_NAME, Tokenizer
from mlx_toy.word_vectors import WordVectors, meaning_features

BUNDLED = Path(__file__).parent / "weights" / "reranker"
CONFIG, WEIGHTS, MODEL_TYPE = "config.json", "model.safetensors", "mlx_toy_reranker"
DEPTH = 60  # candidates that are read: 30 of each search, as when its weights were fitted
PASSAGE_TOKENS, QUESTION_TOKENS = 400, 40  # that are read of each
KNOWN_PASSAGES = 20_000  # whose tokens are kept
RANK_OFFSET = 5  # a rank r counts 5 / (5 + r)
NO_RANK = 1_000  # of what a search did not find
NET = ("hidden", "hidden_bias", "middle", "middle_bias", "out", "out_bias", "straight")


@dataclass(frozen=True)
class Candidates:
    """The passages found for one question: lists and arrays of P.

    Attributes:
        texts: with the heading, if there is one, on a line of its own before the passage.
        documents, places: whose passage it is, and which.
        cosine: of the vectors.
        vector_rank, text_rank: from 1; `NO_RANK` for one that this search did not find.
        text_score: BM25; 0 for one that the full-text search did not find.
    """

    texts: Sequence[str]
    documents: Sequence[str]
    places: np.ndarray
    cosine: np.ndarray
    vector_rank: np.ndarray
    text_rank: np.ndarray
    text_score: np.ndarray

    def first(self, count: int) -> "Candidates":
        """The first of them."""
        return Candidates(*(getattr(self, name)[:count] for name in self.__dataclass_fields__))


class Reranker:
    """The network with all it needs; any thread may call it.

    Args:
        arrays: weights by name, float32: those in `NET`, and `mean`, `deviation` [F] of the
            features, `rarity` [BUCKETS], `table`, `query_gain`, `passage_gain` of the word
            vectors, `order` [1 + E] and `relevance` [3 + E] (weights of the last linear steps).
        features: a word's rows of the table.
        default_threshold: relevance of a question's best passage under which nothing is near.
        fingerprint: short hex digest of the files.
    """

    def __init__(
        self,
        arrays: dict[str, np.ndarray],
        features: Features,
        default_threshold: float,
        fingerprint: str = "",
    ) -> None:
        self.arrays, self.word_features = arrays, features
        self.default_threshold, self.fingerprint = default_threshold, fingerprint
        self._lock = threading.Lock()
        self.forget_passages()

    def forget_passages(self) -> None:
        """Begin with no tokens; memory is bounded by doing so now and then."""
        self._lexicon = Lexicon()
        self._read: dict[str, np.ndarray] = {}
        table, query_gain, passage_gain = (
            self.arrays[name] for name in ("table", "query_gain", "passage_gain")
        )
        self._vectors = WordVectors(
            self.word_features, table, query_gain, passage_gain, self._lexicon
        )

    def __call__(self, question: str, hits: Sequence[Hit]) -> list[Hit]:
        """The hits in a better order, with `score` and `relevance`.

        Args:
            question: any text.
            hits: as the searches found them, best first; those after the first `DEPTH` are left
                out of the result.
        """
        if not hits:
            return []
        hits = hits[:DEPTH]
        scores, relevance = self.score(question, _candidates(hits))
        order = np.argsort(-scores, kind="stable").tolist()
        return [
            replace(hits[i], score=float(scores[i]), relevance=float(relevance[i])) for i in order
        ]

    def score(self, question: str, found: Candidates) -> tuple[np.ndarray, np.ndarray]:
        """Scores [P], that order the passages, and the relevance of each [P]."""
        words, others = self.features(question, found)
        net = network(self.arrays, normalise(words, self.arrays))  # [P, 2]
        scores = order_scores(net, others, self.arrays["order"])
        logits = relevance_inputs(net, others, scores) @ self.arrays["relevance"]
        return scores, 1 / (1 + np.exp(-np.clip(logits, -30, 30)))

    def features(self, question: str, found: Candidates) -> tuple[np.ndarray, np.ndarray]:
        """What the network sees [P, F], and what is added to it [P, E]."""
        documents = np.unique(np.array(found.documents), return_inverse=True)[1]
        with self._lock:
            if len(self._lexicon.words) > MAX_TOKENS or len(self._read) > KNOWN_PASSAGES:
                self.forget_passages()
            asked = self._lexicon.rows(question, QUESTION_TOKENS)
            passages = [self._tokens(text) for text in found.texts]
            rarity = self.arrays["rarity"]
            matched = match_features(
                question, asked, passages, self._lexicon, rarity, documents, found.places
            )
            meant = meaning_features(asked, passages, self._lexicon, self._vectors, rarity)
        by_words, by_vectors = search_features(found)
        return np.concatenate([by_words, matched], 1), np.concatenate([by_vectors, meant], 1)

    def _tokens(self, text: str) -> np.ndarray:
        text = text[: PASSAGE_TOKENS * CHARACTERS]  # no more of it is looked at, nor kept
        rows = self._read.get(text)
        if rows is None:
            rows = self._read[text] = self._lexicon.rows(text, PASSAGE_TOKENS)
        return rows


def search_features(found: Candidates) -> tuple[np.ndarray, np.ndarray]:
    """What the searches said: by words [P, 5], and by vectors [P, 5].

    Apart, since an embedder is surer of texts that it was trained on than of others: what its
    numbers are worth has to be learned on articles that it never saw.
    """

    def spread(values: np.ndarray) -> np.ndarray:
        return (values - values.mean()) / (values.std() + 1e-3) / 3

    text, cosine = found.text_score, found.cosine
    best = np.full(len(text), text.max())
    words = [text / (best + 1e-6), text / 20, spread(text), best / 20]
    words.append(RANK_OFFSET / (RANK_OFFSET + found.text_rank))
    nearest = np.full(len(text), cosine.max())
    vectors = [cosine, cosine - nearest, spread(cosine), nearest]
    vectors.append(RANK_OFFSET / (RANK_OFFSET + found.vector_rank))
    return np.stack(words, 1).astype(np.float32), np.stack(vectors, 1).astype(np.float32)


def network(arrays: dict[str, Any], x: Any) -> Any:
    """Score and relevance by the words alone [..., 2], of normalised features [..., F].

    The same lines run on NumPy arrays here and on MLX arrays in training.
    """
    hidden = x @ arrays["hidden"] + arrays["hidden_bias"]
    middle = (hidden * (hidden > 0)) @ arrays["middle"] + arrays["middle_bias"]
    out = (middle * (middle > 0)) @ arrays["out"] + arrays["out_bias"]
    return out + x @ arrays["straight"]


def order_scores(net: np.ndarray, others: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Scores [P] from the network's first output and the features added to it."""
    scores: np.ndarray = net[:, 0] * weights[0] + others @ weights[1:]
    return scores


def relevance_inputs(net: np.ndarray, others: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """What the relevance is a logistic function of [P, 3 + E]: 1, the network's, the share."""
    odds = scores - scores.max()
    share = odds - np.log(np.exp(odds).sum())  # log of the passage's share among the candidates
    return np.concatenate([np.ones((len(net), 1)), net[:, 1:], share[:, None], others], axis=1)


def _candidates(hits: Sequence[Hit]) -> Candidates:
    return Candidates(
        [below_headings(hit.heading, hit.text) for hit in hits],
        [hit.document_id for hit in hits],
        np.array([hit.passage for hit in hits]),
        np.array([hit.similarity for hit in hits], np.float32),
        np.array([hit.vector_rank or NO_RANK for hit in hits], np.float32),
        np.array([hit.text_rank or NO_RANK for hit in hits], np.float32),
        np.array([hit.text_score or 0.0 for hit in hits], np.float32),
    )


def load_reranker(path: str | Path | None = None) -> Reranker:
    """Load a reranker from its directory; the bundled one if none is given.

    Raises:
        UserError: there is none, or it is broken.
    """
    path = Path(path).expanduser() if path else BUNDLED
    try:
        config = json.loads((path / CONFIG).read_text(encoding="utf-8"))
        if config["model_type"] != MODEL_TYPE:
            raise ValueError(f"it is of type {config['model_type']!r}")
        arrays, known = read_weights(path)
        features = Features(Tokenizer.load(path), known)
        if len(arrays["table"]) != features.rows:
            raise ValueError(f"its words and pieces are {features.rows}")
        threshold = float(config["default_threshold"])
        content = [(path / name).read_bytes() for name in (WEIGHTS, CONFIG)]
        fingerprint = hashlib.sha256(b"".join(content)).hexdigest()[:16]
        reranker = Reranker(arrays, features, threshold, fingerprint)
        one = np.ones(1, np.float32)
        reranker.score("check", Candidates(["check"], [""], one, one, one, one, one))
    except (OSError, LookupError, TypeError, ValueError, RuntimeError) as error:
        raise UserError(
            f"the reranker at {path} cannot be read ({error}): copy it or train it again"
        ) from error
    return reranker


@cache
def bundled_reranker() -> Reranker:
    """The reranker that comes with the project, loaded once."""
    return load_reranker(BUNDLED)


def read_weights(path: Path) -> tuple[dict[str, np.ndarray], list[str]]:
    """The weights in a reranker's directory, by name, float32, and its words.

    Raises:
        RuntimeError: there are none.
        LookupError, ValueError: they are no reranker's.
    """
    loaded = mx.load(str(path / WEIGHTS))
    assert isinstance(loaded, dict)
    known = from_bytes(loaded.pop(WORDS))
    loaded["table"] = from_int8(loaded["table"], loaded.pop("table_scale"))
    return {name: np.array(value, np.float32) for name, value in loaded.items()}, known


def save_reranker(reranker: Reranker, path: Path) -> None:
    """Write a reranker: the table as int8 with a scale for each row, the rest as float16."""
    arrays = {name: mx.array(v.astype(np.float32)) for name, v in reranker.arrays.items()}
    kept = ("mean", "deviation", "order", "relevance")
    arrays = {n: v if n in kept else v.astype(mx.float16) for n, v in arrays.items()}
    arrays["table"], arrays["table_scale"] = to_int8(reranker.arrays["table"])
    arrays[WORDS] = to_bytes(reranker.word_features.known)
    mx.save_safetensors(str(path / WEIGHTS), arrays)
    (path / FILE_NAME).write_bytes(reranker.word_features.tokenizer.model_proto)
    config = {
        "model_type": MODEL_TYPE,
        "default_threshold": reranker.default_threshold,
    }
    (path / CONFIG).write_text(json.dumps(config, indent=2) + "\n")
