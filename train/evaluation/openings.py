"""Sixty openings of conversations, fixed, and the model's replies to them.

They stand in `openings.jsonl`: greetings, identity, small talk, simple requests and follow-ups of
two turns, twelve each. No line of them stands in the dialogues that the project's model reads.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from mlx_toy.chat import Message
from mlx_toy.chatting import start_reply
from mlx_toy.engine import Engine, Sampling

FILE = Path(__file__).with_name("openings.jsonl")


@dataclass(frozen=True)
class Opening:
    """What a person says.

    Attributes:
        kind: greeting, identity, small talk, request or follow-up.
        turns: one or two messages; the second follows the reply to the first.
    """

    kind: str
    turns: tuple[str, ...]


@dataclass(frozen=True)
class Reply:
    """What the model answers to a turn.

    Attributes:
        text: its words.
        by_itself: whether it ended before the longest answer.
        written: whether it was written beforehand.
    """

    text: str
    by_itself: bool
    written: bool = False


def openings() -> list[Opening]:
    """All of them, in order."""
    lines = FILE.read_text(encoding="utf-8").splitlines()
    records = map(json.loads, lines)
    return [Opening(record["kind"], tuple(record["turns"])) for record in records]


def conversations(
    engine: Engine, chosen: Iterable[Opening], sampling: Sampling, written: bool = False
) -> Iterator[list[Reply]]:
    """The replies to each opening, one a turn.

    Args:
        engine: the model.
        chosen: the openings.
        sampling: with a seed; that of each opening is one more than that of the one before, or
            all would be answered by the same throws of the dice.
        written: whether a reply may be one that was written beforehand, as in the app.
    """
    for number, opening in enumerate(chosen):
        own = replace(sampling, seed=(sampling.seed or 0) + number)
        messages: list[Message] = []
        replies = []
        for turn in opening.turns:
            messages.append({"role": "user", "content": turn})
            told = messages
            if len(engine.render(told)) + sampling.max_tokens > engine.context_length:
                told = messages[-1:]  # as in the app, the oldest turns leave
            begun = start_reply(engine, told, own, written)
            text = "".join(chunk.text for chunk in begun.generation)
            ended = begun.generation.stats.finish == "stop"
            replies.append(Reply(text, ended, begun.exchange(text) is not None))
            messages.append({"role": "assistant", "content": text})
        yield replies
