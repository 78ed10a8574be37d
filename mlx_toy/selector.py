"""Choose a reply among those that were written for the model, where one fits what was said.

Why: a model of a few million parameters that makes up its own words is seldom to the point. Choosing
is easier than composing, so what is near to a message is looked up among tens of thousands of
exchanges, and a small network says how probably each reply would fit here. Where none does, the
model finds its own words. (Response selection, as in Lowe et al. 2015, arXiv:1506.08909; a retrieved
reply as a start for a generator: Weston et al. 2018, arXiv:1808.04776.)

A selector belongs to a model, since its replies say who speaks: it lies in the directory
`selector` of the model's own.
"""

import hashlib
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
from mlx_toy.exchange_search import ExchangeIndex, Said
from mlx_toy.exchanges import Exchange, read_exchanges, write_exchanges

DIRECTORY = "selector"  # in a model's directory
CONFIG, WEIGHTS, EXCHANGES = "config.json", "model.safetensors", "exchanges.jsonl.xz"
MODEL_TYPE = "mlx_toy_selector"
LARGEST = 6.0  # standard deviations of a feature
CLOSE = 0.8  # replies that fit with at least so much of the best one's probability are chosen among


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
        arrays: weights by name, float32: `mean`, `deviation` [F] of the features, and of the
            layers `hidden` [F, H], `hidden_bias` [H], `middle` [H, H], `middle_bias` [H],
            `out` [H, 1], `out_bias` [1].
        threshold: probability from which on a reply is given.
        fingerprint: short hex digest of the files.
    """

    def __init__(
        self,
        index: ExchangeIndex,
        arrays: dict[str, np.ndarray],
        threshold: float,
        fingerprint: str = "",
    ) -> None:
        self.index, self.arrays = index, arrays
        self.threshold, self.fingerprint = threshold, fingerprint
        self._features = ExchangeFeatures(index)

    def __call__(self, messages: Sequence[Message]) -> list[Choice]:
        """The replies that fit a conversation best, the best first; none if none fits.

        Args:
            messages: the last one is the person's. What was answered in it before is not said
                again.
        """
        answered = {m["content"] for m in messages if m["role"] == "assistant"}
        choices = [c for c in self.ranked(messages) if c.exchange.reply not in answered]
        least = max(self.threshold, CLOSE * choices[0].probability) if choices else 1.0
        chosen = {c.exchange.reply: c for c in reversed(choices) if c.probability >= least}
        return list(chosen.values())[::-1]

    def ranked(self, messages: Sequence[Message]) -> list[Choice]:
        """All candidates, the best first."""
        said = Said.of(messages)
        places = self.index.search(said)
        probabilities = self.probabilities(said, places)
        order = np.argsort(-probabilities, kind="stable").tolist()
        exchanges = self.index.exchanges
        return [Choice(exchanges[places[i]], float(probabilities[i])) for i in order]

    def probabilities(self, said: Said, places: Sequence[int]) -> np.ndarray:
        """How probably the replies at P places fit [P]."""
        features = normalise(self._features(said, places), self.arrays)
        logits = network(self.arrays, features)[:, 0]
        fits: np.ndarray = 1 / (1 + np.exp(-np.clip(logits, -30, 30)))
        return fits


def normalise(features: np.ndarray, arrays: dict[str, np.ndarray]) -> np.ndarray:
    """Features with mean 0 and deviation 1, and none far out."""
    scaled: np.ndarray = (features - arrays["mean"]) / arrays["deviation"]
    return np.clip(scaled, -LARGEST, LARGEST)


def network(arrays: dict[str, Any], x: Any) -> Any:
    """Log-odds [..., 1] of normalised features [..., F].

    The same lines run on NumPy arrays here and on MLX arrays in training.
    """
    hidden = x @ arrays["hidden"] + arrays["hidden_bias"]
    middle = (hidden * (hidden > 0)) @ arrays["middle"] + arrays["middle_bias"]
    return (middle * (middle > 0)) @ arrays["out"] + arrays["out_bias"]


def load_selector(path: str | Path) -> Selector:
    """Load a selector from its directory.

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
        arrays = {name: np.array(value, np.float32) for name, value in loaded.items()}
        index = ExchangeIndex(read_exchanges(path / EXCHANGES), embedder)
        content = [(path / name).read_bytes() for name in (WEIGHTS, CONFIG, EXCHANGES)]
        fingerprint = hashlib.sha256(b"".join(content)).hexdigest()[:16]
        selector = Selector(index, arrays, float(config["threshold"]), fingerprint)
        selector.ranked([{"role": "user", "content": "check"}])
    except (OSError, LookupError, TypeError, ValueError, RuntimeError, lzma.LZMAError) as error:
        raise UserError(
            f"the selector at {path} cannot be read ({error}): copy it or train it again, "
            "or remove it to chat without"
        ) from error
    return selector


def save_selector(selector: Selector, path: Path) -> None:
    """Write a selector into an existing directory."""
    arrays = {name: mx.array(value) for name, value in selector.arrays.items()}
    mx.save_safetensors(str(path / WEIGHTS), arrays)
    write_exchanges(selector.index.exchanges, path / EXCHANGES)
    config = {
        "model_type": MODEL_TYPE,
        "threshold": selector.threshold,
        "embedder": selector.index.embedder.fingerprint,
    }
    (path / CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
