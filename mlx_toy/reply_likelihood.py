"""How likely a model finds a reply: here, and where it was written.

A reply that the model would rather say to what it was written for than to what was said now does
not fit as well as one that it finds as likely here (the idea of Li et al. 2016, arXiv:1510.03055:
a reply is good by how much more likely its message makes it).
"""

from collections.abc import Callable, Sequence

import numpy as np

from mlx_toy.chat import Message
from mlx_toy.exchange_search import Said, conversation
from mlx_toy.exchanges import Exchange

# (conversations, and the reply to each) -> summed nats of each reply, and its tokens
ReplyNats = Callable[[Sequence[tuple[Sequence[Message], str]]], list[tuple[float, int]]]
FEATURES = 4


def likelihood_features(
    cases: Sequence[tuple[Said, Sequence[Exchange]]],
    nats: ReplyNats,
) -> list[np.ndarray]:
    """What a model says of candidates.

    Args:
        cases: messages, each with P exchanges whose replies may answer it.
        nats: asks the model.

    Returns:
        For each case [P, 4]: nats a token of the reply here, how many more these are than where it
        was written, the same for the whole reply, and its tokens.
    """
    distinct = dict.fromkeys(exchange for _, exchanges in cases for exchange in exchanges)
    pairs = [(said.messages, exchange.reply) for said, some in cases for exchange in some]
    origins = [(conversation(e.before, e.said, e.message), e.reply) for e in distinct]
    answers = nats([*pairs, *origins])
    written = dict(zip(distinct, answers[len(pairs) :], strict=True))
    found = iter(answers)
    features = []
    for _, exchanges in cases:
        rows = []
        for exchange in exchanges:
            (here, tokens), (there, _) = next(found), written[exchange]
            rows.append([here / tokens, (here - there) / tokens, here - there, tokens])
        features.append(np.array(rows, np.float32).reshape(len(exchanges), FEATURES))
    return features
