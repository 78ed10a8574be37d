"""Choose a reply among those that were written for the model, where one fits what was said.

Why: a model of a few million parameters that makes up its own words is seldom to the point.
Choosing is easier than composing, so what is near to a message is looked up among tens of thousands
of exchanges, and a small network says how probably each reply would fit here: by how the messages
compare and, of the best, by how likely the model itself finds the reply. Where none fits, the model
finds its own words. (Response selection, as in Lowe et al. 2015, arXiv:1506.08909; a retrieved
reply as a start for a generator: Weston et al. 2018, arXiv:1808.04776.) Where no exchange is near
enough, one of a few general replies may still fit (`general_replies.py`).

A selector belongs to a model, since its replies say who speaks: it lies in the directory
`selector` of the model's own.
"""

import json
import lzma
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from mlx_toy.backend import mx

import numpy as np

from mlx_toy.chat import Message
from mlx_toy.embedder import bundled_embedder
from mlx_toy.errors import UserError
from mlx_toy.exchange_features import ExchangeFeatures
from mlx_toy.exchange_search import ExchangeIndex, Said, stems
from mlx_toy.exchanges import Exchange, read_exchanges, write_exchanges
from mlx_toy.general_replies import GeneralReplies, ReplyStates, general_exchange
from mlx_toy.reply_likelihood import FEATURES, ReplyNats, likelihood_features
from mlx_toy.small_network import probabilities
from mlx_toy.told_names import OWN, asks_for_name, told_names, with_names

Arrays = dict[str, np.ndarray]

DIRECTORY = "selector"  # in a model's directory
CONFIG, WEIGHTS, EXCHANGES = "config.json", "model.safetensors", "exchanges.jsonl.xz"
MODEL_TYPE = "mlx_toy_selector"
PARTS = ("first.", "second.", "general.")  # before the names of the networks' weights
LONGEST = 400  # characters of a message: nobody wrote a reply to a longer one
READ = 8  # candidates that the model is asked about
ALIKE = 0.8  # of their words: of two such replies the model is asked about one
CLOSE = 0.95  # of the best one's probability: replies from there on are chosen among
SURE = 0.5  # from here on a reply to the message itself is given, and no general one looked for


@dataclass(frozen=True)
class Thresholds:
    """Probabilities from which on a reply is given: where the model's own words are worse.

    Attributes:
        first: at the beginning of a conversation.
        later: in the middle of one.
    """

    first: float
    later: float

    def of(self, said: Said) -> float:
        """The one that counts for a message."""
        return self.later if said.before else self.first


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
        general: the replies for where none is near.
        thresholds: from which on a reply is given.
    """

    def __init__(
        self,
        index: ExchangeIndex,
        nats: ReplyNats,
        first: Arrays,
        second: Arrays,
        general: GeneralReplies,
        thresholds: Thresholds,
    ) -> None:
        self.index, self.first, self.second, self.general = index, first, second, general
        self.thresholds = thresholds
        self._nats, self._features = nats, ExchangeFeatures(index)

    def __call__(self, messages: Sequence[Message]) -> list[Choice]:
        """The replies that fit a conversation best, the best first; none if none fits.

        Args:
            messages: the last one is the person's. What was answered in it before is not said
                again, and who told a name is not asked for it.
        """
        if len(messages[-1]["content"]) > LONGEST:
            return []
        answered = {m["content"] for m in messages if m["role"] == "assistant"}
        said = Said.of(messages)
        known = any(OWN in told_names(m["content"]) for m in messages if m["role"] == "user")
        choices = [
            choice
            for choice in self.ranked(said)
            if choice.exchange.reply not in answered
            and not (known and asks_for_name(choice.exchange.reply))
        ]
        if not choices or choices[0].probability < SURE:
            general = zip(self.general.exchanges, self.general(said).tolist(), strict=True)
            choices += [Choice(*one) for one in general if one[0].reply not in answered]
            choices.sort(key=lambda choice: -choice.probability)
        least = max(self.thresholds.of(said), CLOSE * choices[0].probability) if choices else 1.0
        chosen = {c.exchange.reply: c for c in reversed(choices) if c.probability >= least}
        return list(chosen.values())[::-1]

    def ranked(self, said: Said) -> list[Choice]:
        """The exchanges that the model was asked about, the best first."""
        exchanges, features = self.candidates(said)
        asked = likelihood_features([(said, exchanges)], self._nats)[0]
        fits = probabilities(self.second, np.concatenate([features, asked], axis=1))[:, 0]
        order = np.argsort(-fits, kind="stable").tolist()
        return [Choice(exchanges[i], float(fits[i])) for i in order]

    def candidates(self, said: Said) -> tuple[list[Exchange], np.ndarray]:
        """The P likeliest exchanges by their messages, with different replies; features [P, F]."""
        views = said.views
        found = [self.index.search(view) for view in views]
        places = [place for each in found for place in each]
        features = np.concatenate(
            [self._features(said, *pair) for pair in zip(views, found, strict=True)]
        )
        chosen: list[int] = []
        spoken: list[set[str]] = []
        for i in np.argsort(-probabilities(self.first, features)[:, 0], kind="stable").tolist():
            words = set(stems(self.index.exchanges[places[i]].reply))
            if all(len(words & other) < ALIKE * len(words | other) for other in spoken):
                chosen.append(i)
                spoken.append(words)
            if len(chosen) == READ:
                break
        exchanges = [with_names(self.index.exchanges[places[i]], said.told) for i in chosen]
        return exchanges, features[chosen]


def load_selector(path: str | Path, nats: ReplyNats, states: ReplyStates) -> Selector:
    """Load a selector from its directory.

    Args:
        path: of the directory.
        nats, states: ask the model that it belongs to.

    Raises:
        UserError: it is broken, or was made with another retriever than the bundled one.
    """
    path = Path(path).expanduser()
    try:
        config = json.loads((path / CONFIG).read_text(encoding="utf-8"))
        if config["model_type"] != MODEL_TYPE:
            raise ValueError(f"it is of type {config['model_type']!r}")
        embedder = bundled_embedder()
        if embedder.fingerprint != config["embedder"]:
            raise ValueError("it was made with another retriever")
        loaded = mx.load(str(path / WEIGHTS))
        assert isinstance(loaded, dict)
        first, second, general = (
            {
                name.removeprefix(part): np.array(value, np.float32)
                for name, value in loaded.items()
                if name.startswith(part)
            }
            for part in PARTS
        )
        index = ExchangeIndex(read_exchanges(path / EXCHANGES), embedder)
        replies = [general_exchange(one["id"], one["reply"]) for one in config["general"]]
        thresholds = Thresholds(*(float(config["thresholds"][name]) for name in ("first", "later")))
        others = GeneralReplies(replies, general, embedder, states)
        if others(Said("check")).shape != (len(replies),):
            raise ValueError("its general replies are not those of its weights")
        selector = Selector(index, nats, first, second, others, thresholds)
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
    networks = selector.first, selector.second, selector.general.arrays
    weights = zip(PARTS, networks, strict=True)
    arrays = {part + n: mx.array(value) for part, own in weights for n, value in own.items()}
    mx.save_safetensors(str(path / WEIGHTS), arrays)
    write_exchanges(selector.index.exchanges, path / EXCHANGES)
    config = {
        "model_type": MODEL_TYPE,
        "thresholds": asdict(selector.thresholds),
        "general": [
            {"id": exchange.id, "reply": exchange.reply} for exchange in selector.general.exchanges
        ],
        "embedder": selector.index.embedder.fingerprint,
    }
    (path / CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
