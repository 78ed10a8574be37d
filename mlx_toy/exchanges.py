"""What was written for the model to say: messages, each with the reply that we gave it.

An exchange is a message and its reply. One that goes on with a conversation also has what was said
right before, because "and in winter?" says nothing by itself.
"""

import json
import lzma
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from mlx_toy.chat import Message


@dataclass(frozen=True)
class Exchange:
    """A message and its reply.

    Attributes:
        id: of the dialogue, "#" and the number of the message in it, from 0.
        message: what the person said.
        reply: what was written as the answer.
        before: what the person had said before, and
        said: what was answered then; both "" at the beginning of a conversation.
    """

    id: str
    message: str
    reply: str
    before: str = ""
    said: str = ""

    @property
    def goes_on(self) -> bool:
        """Whether it is no beginning."""
        return bool(self.before)


def exchanges_of(id: str, messages: Sequence[Message]) -> list[Exchange]:
    """The exchanges of a dialogue: one for each reply.

    A dialogue with passages or instructions has none: its replies lean on more than was said.
    """
    if any(message["role"] not in ("user", "assistant") for message in messages):
        return []
    said = ["", "", *(message["content"] for message in messages)]
    return [
        Exchange(f"{id}#{place // 2 - 1}", said[place], said[place + 1], *said[place - 2 : place])
        for place in range(2, len(said) - 1, 2)
    ]


def write_exchanges(exchanges: Iterable[Exchange], path: Path) -> None:
    """Write them, one JSON object a line, compressed; the same exchanges give the same bytes."""
    lines = (json.dumps(asdict(exchange), ensure_ascii=False) + "\n" for exchange in exchanges)
    path.write_bytes(lzma.compress("".join(lines).encode("utf-8"), preset=9))


def read_exchanges(path: Path) -> list[Exchange]:
    """Read them.

    Raises:
        OSError, ValueError, TypeError, lzma.LZMAError: the file is missing or broken.
    """
    text = lzma.decompress(path.read_bytes()).decode("utf-8")
    return [Exchange(**json.loads(line)) for line in text.split("\n") if line]
