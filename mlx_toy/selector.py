"""Choose a reply among those that were written for the model, where one fits what was said.

Why: a model of a few million parameters that makes up its own words is seldom to the point.
Choosing is easier than composing, so what is near to a message is looked up among tens of thousands
of exchanges, and a small network says how probably each reply would fit here: by how the messages
compare and, of the best, by how likely the model itself finds the reply. Where none fits, the model
finds its own words. (Response selection, as in Lowe et al. 2015, arXiv:1506.08909; a retrieved
reply as a start for a generator: Weston et al. 2018, arXiv:1808.04776.)

A selector belongs to a model, since its replies say who speaks: it lies in the directory
`selector` of the model's own.
"""

import json
import lzma
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlx_toy.backend import mx

import numpy as np

from mlx_toy.chat import Message
from mlx_toy.embedder import load_embedder
from mlx_toy.errors import UserError
from mlx_toy.exchange_features import ExchangeFeatures
from mlx_toy.exchange_search import ExchangeIndex, Said, stems
from mlx_toy.exchanges import Exchange, read_exchanges, write_exchanges
from mlx_toy.reply_likelihood import FEATURES, ReplyNats, likelihood_features
from mlx_toy.scaled_features import normalise

Arrays = dict[str, np.ndarray]

DIRECTORY = "selector"  # in a model's directory
CONFIG, WEIGHTS, EXCHANGES = "config.json", "model.safetensors", "exchanges.jsonl.xz"
MODEL_TYPE = "mlx_toy_selector"
PARTS = ("first.", "second.")  # before the names of the two networks' weights
LONGEST = 400  # characters of a message: nobody wrote a reply to a longer one
READ = 8  # candidates that the model is asked about
ALIKE = 0.8  # of their words: of two such replies the model is asked about one
CLOSE = (
    0.95  # replies that fit with at least so much of the best one's probability are chosen among
)


@dataclass(frozen=True)
class Choice:
    """A reply that may be given.

    Attributes:
        exchange: whose reply it is.
        probability: that it fits.
    """

    exchange: Exchange
    probability: float


class Selector:
    """The exchanges and the network that compares; any thread may call it.

    Args:
        index: the exchanges, ready to be searched.
        nats: asks the model how likely it finds replies.
        first: weights by name, float32, of the network that compares messages: `mean`,
            `deviation` [F] of the features, and of the layers `hidden` [F, H], `hidden_bias` [H],
            `middle` [H, H], `middle_bias` [H], `out` [H, 1], `out_bias` [1].
        second: of the one that also sees what the model says, the same with F + 4 features.
        threshold: probability from which on a reply is given.
    """

    def __init__(
        self,
        index: ExchangeIndex,
        nats: ReplyNats,
        first: Arrays,
        second: Arrays,
        threshold: float,
    ) -> None:
        self.index, self.first, self.second, self.threshold = index, first, second, threshold
        self._nats, self._features = nats, ExchangeFeatures(index)

    def __call__(self, messages: Sequence[Message]) -> list[Choice]:
        """The replies that fit a conversation best, the best first; none if none fits.

        Args:
            messages: the last one is the person's. What was answered in it before is not said
                again.
        """
        answered = {m["content"] for m in messages if m["role"] == "assistant"}
        if len(messages[-1]["content"]) > LONGEST:
            return []
        choices = [c for c in self.ranked(messages) if c.exchange.reply not in answered]
        least = max(self.threshold, CLOSE * choices[0].probability) if choices else 1.0
        chosen = {c.exchange.reply: c for c in reversed(choices) if c.probability >= least}
        return list(chosen.values())[::-1]

    def ranked(self, messages: Sequence[Message]) -> list[Choice]:
        """The candidates that the model was asked about, the best first."""
        said = Said.of(messages)
        exchanges, features = self.candidates(said)
        asked = likelihood_features([(said, exchanges)], self._nats)[0]
        fits = probabilities(self.second, np.concatenate([features, asked], axis=1))
        order = np.argsort(-fits, kind="stable").tolist()
        return [Choice(exchanges[i], float(fits[i])) for i in order]

    def candidates(self, said: Said) -> tuple[list[Exchange], np.ndarray]:
        """The P likeliest exchanges by their messages, with different replies; features [P, F]."""
        places = self.index.search(said)
        features = self._features(said, places)
        chosen: list[int] = []
        spoken: list[set[str]] = []
        for i in np.argsort(-probabilities(self.first, features), kind="stable").tolist():
            words = set(stems(self.index.exchanges[places[i]].reply))
            if all(len(words & other) < ALIKE * len(words | other) for other in spoken):
                chosen.append(i)
                spoken.append(words)
            if len(chosen) == READ:
                break
        return [self.index.exchanges[places[i]] for i in chosen], features[chosen]


def probabilities(arrays: Arrays, features: np.ndarray) -> np.ndarray:
    """How probably P replies fit [P], of features [P, F]."""
    logits = network(arrays, normalise(features, arrays))[:, 0]
    fits: np.ndarray = 1 / (1 + np.exp(-np.clip(logits, -30, 30)))
    return fits


def network(arrays: dict[str, Any], x: Any) -> Any:
    """Log-odds [..., 1] of normalised features [..., F].

    The same lines run on NumPy arrays here and on MLX arrays in training.
    """
    hidden = x @ arrays["hidden"] + arrays["hidden_bias"]
    middle = (hidden * (hidden > 0)) @ arrays["middle"] + arrays["middle_bias"]
    return (middle * (middle > 0)) @ arrays["out"] + arrays["out_bias"]


def load_selector(path: str | Path, nats: ReplyNats) -> Selector:
    """Load a selector from its directory.

    Args:
        path: of the directory.
        nats: asks the model that it belongs to.

    Raises:
        UserError: it is broken, or was made with another retriever than the bundled one.
    """
    path = Path(path).expanduser()
    try:
        config = json.loads((path / CONFIG).read_text(encoding="utf-8"))
        if config["model_type"] != MODEL_TYPE:
            raise ValueError(f"it is of type {config['model_type']!r}")
        embedder = load_embedder()
        if embedder.fingerprint != config["embedder"]:
            raise ValueError("it was made with another retriever")
        loaded = mx.load(str(path / WEIGHTS))
        assert isinstance(loaded, dict)
        first, second = (
            {
                name.removeprefix(part): np.array(value, np.float32)
                for name, value in loaded.items()
                if name.startswith(part)
            }
            for part in PARTS
        )
        index = ExchangeIndex(read_exchanges(path / EXCHANGES), embedder)
        selector = Selector(index, nats, first, second, float(config["threshold"]))
        _, features = selector.candidates(Said("check"))
        probabilities(second, np.pad(features, [(0, 0), (0, FEATURES)]))
    except (OSError, LookupError, TypeError, ValueError, RuntimeError, lzma.LZMAError) as error:
        raise UserError(
            f"the selector at {path} cannot be read ({error}): copy it or train it again, "
            "or remove it to chat without"
        ) from error
    return selector


def save_selector(selector: Selector, path: Path) -> None:
    """Write a selector into an existing directory."""
    weights = zip(PARTS, (selector.first, selector.second), strict=True)
    arrays = {part + n: mx.array(value) for part, own in weights for n, value in own.items()}
    mx.save_safetensors(str(path / WEIGHTS), arrays)
    write_exchanges(selector.index.exchanges, path / EXCHANGES)
    config = {
        "model_type": MODEL_TYPE,
        "threshold": selector.threshold,
        "embedder": selector.index.embedder.fingerprint,
    }
    (path / CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
