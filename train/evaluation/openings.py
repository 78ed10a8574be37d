"""Sixty openings of conversations, fixed, and the model's replies to them.

They stand in `openings.jsonl`: greetings, identity, small talk, simple requests and follow-ups of
two turns, twelve each. No line of them stands in the dialogues that the project's model reads.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from mlx_toy.chat import Message
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
    """What the model answers to a turn; `by_itself`: it ended before the longest answer."""

    text: str
    by_itself: bool


def openings() -> list[Opening]:
    """All of them, in order."""
    lines = FILE.read_text(encoding="utf-8").splitlines()
    records = map(json.loads, lines)
    return [Opening(record["kind"], tuple(record["turns"])) for record in records]


def conversations(
    engine: Engine, chosen: Iterable[Opening], sampling: Sampling
) -> Iterator[list[Reply]]:
    """The replies to each opening, one a turn.

    Args:
        engine: the model.
        chosen: the openings.
        sampling: with a seed; that of each opening is one more than that of the one before, or
            all would be answered by the same throws of the dice.
    """
    for number, opening in enumerate(chosen):
        own = replace(sampling, seed=(sampling.seed or 0) + number)
        messages: list[Message] = []
        replies = []
        for turn in opening.turns:
            messages.append({"role": "user", "content": turn})
            prompt = engine.render(messages)
            if len(prompt) + sampling.max_tokens > engine.context_length:
                prompt = engine.render(messages[-1:])  # as in the app, the oldest turns leave
            generation = engine.generate(prompt, own)
            text = "".join(chunk.text for chunk in generation)
            replies.append(Reply(text, generation.stats.finish == "stop"))
            messages.append({"role": "assistant", "content": text})
        yield replies
