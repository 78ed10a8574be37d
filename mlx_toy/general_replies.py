"""Replies that fit many messages: "I am sorry, that sounds hard." Which of them fit what was said.

Nobody can write an exchange for everything that is said in the middle of a conversation, and a
model of a few million parameters seldom finds words of its own there. A friend who does not know
what to advise still has something to say. So some replies are written for no message in particular,
and a small network tells from the vectors of what was said, and from the state in which the model
itself would begin to reply, with which probability each would fit (one output for each reply: they
exclude each other no more than two kind words do).
"""

from collections.abc import Callable, Sequence

import numpy as np

from mlx_toy.chat import Message
from mlx_toy.embedder import Embedder
from mlx_toy.exchange_search import Said, embed_or_zero, stems
from mlx_toy.exchanges import Exchange
from mlx_toy.lexicon import QUESTION_TYPES, asks, question_type
from mlx_toy.small_network import probabilities

# conversations -> the model's state before it replies to each [N, hidden size]
ReplyStates = Callable[[Sequence[Sequence[Message]]], np.ndarray]


def general_exchange(id: str, reply: str) -> Exchange:
    """A general reply as an exchange that no message belongs to."""
    return Exchange(id, "", reply)


def general_features(cases: Sequence[Said], embedder: Embedder, states: ReplyStates) -> np.ndarray:
    """What a general reply is chosen by [N, F].

    The vectors of the message, of its last sentence, of the answer before it and of the message
    before that (0 for what there is not); whether the message asks, and how; its length; the
    model's state.
    """
    parts = [
        [said.message for said in cases],
        [said.views[-1].message for said in cases],
        [said.said for said in cases],
        [said.before for said in cases],
    ]
    vectors = [embed_or_zero(texts, embedder) for texts in parts]
    forms = np.array([_form(said) for said in cases], np.float32)
    thought = states([said.messages for said in cases])
    return np.concatenate([*vectors, forms, thought], axis=1)


def _form(said: Said) -> list[float]:
    views = said.views
    last = views[-1].message
    kind = question_type(last)
    kinds = [float(kind == number) for number in range(QUESTION_TYPES)]
    asking = [asks(view.message) for view in (views[1:] or views)]
    length = float(np.log1p(len(stems(said.message))))
    return [
        any(asking),
        asking[-1],
        len(views),
        length,
        bool(said.before),
        "?" in said.said,
        *kinds,
    ]


class GeneralReplies:
    """Says how well each general reply fits; any thread may call it.

    Args:
        exchanges: the K replies, from `general_exchange`.
        arrays: of the network, as in `Selector`, with `out` [H, K] and `out_bias` [K].
        embedder: makes the vectors.
        states: asks the model.
    """

    def __init__(
        self,
        exchanges: Sequence[Exchange],
        arrays: dict[str, np.ndarray],
        embedder: Embedder,
        states: ReplyStates,
    ) -> None:
        self.exchanges, self.arrays = list(exchanges), arrays
        self._embedder, self._states = embedder, states

    def __call__(self, said: Said) -> np.ndarray:
        """How probably each reply fits [K]."""
        features = general_features([said], self._embedder, self._states)
        fits: np.ndarray = probabilities(self.arrays, features)[0]
        return fits
