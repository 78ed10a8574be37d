"""The conversation as the page keeps it, and as the model reads it.

The page holds a list of turns and sends all of it back with every request, in Gradio's message
format. An answer has two blocks: its text, and a line of figures. A note ("notes.md was added")
looks like a message but is no part of what the model sees. Everything that comes back from a
browser may be forged, so only the roles and the text that belong to a chat are taken.
"""

from collections.abc import Sequence
from typing import Any

from mlx_toy.chat import Message
from mlx_toy.ui.markup import as_text, from_text

Turn = dict[str, Any]
NOTE = {"id": "note"}
MAX_TURNS = 60  # that are passed on; more than fit into any context here


def user_turn(text: str) -> Turn:
    """What the user said."""
    return {"role": "user", "content": [_block(text)]}


def answer_turn(text: str, figures: str = "") -> Turn:
    """An answer, and the line below it."""
    blocks = [_block(text), _block(figures)] if figures else [_block(text)]
    return {"role": "assistant", "content": blocks}


def note_turn(text: str, figures: str = "", role: str = "assistant") -> Turn:
    """Something that is shown in the conversation and no part of it."""
    return {**answer_turn(text, figures), "role": role, "metadata": dict(NOTE)}


def is_note(turn: Turn) -> bool:
    """Whether it is no part of the conversation."""
    return (turn.get("metadata") or {}).get("id") == NOTE["id"]


def text_of(turn: Turn) -> str:
    """The words of a turn as they were written, without the line of figures."""
    content = turn.get("content")
    if isinstance(content, list):
        content = content[0] if content else ""
    if isinstance(content, dict):
        content = content.get("text")
    return from_text(content) if isinstance(content, str) else ""


def to_messages(history: Sequence[Turn]) -> list[Message]:
    """The conversation for the model: what the user and the model said, in turns."""
    messages: list[Message] = []
    for turn in history:
        text = text_of(turn)
        if is_note(turn) or not text.strip():
            continue
        if turn.get("role") == "user":
            messages.append({"role": "user", "content": text})
        elif turn.get("role") == "assistant":
            messages.append({"role": "assistant", "content": text})
    return messages[-MAX_TURNS:]


def before_last_question(history: Sequence[Turn]) -> tuple[list[Turn], str]:
    """The conversation up to the user's last turn, and what that turn said ("" if none did)."""
    for index in range(len(history) - 1, -1, -1):
        if history[index].get("role") == "user" and not is_note(history[index]):
            return list(history[:index]), text_of(history[index])
    return list(history), ""


def _block(text: str) -> dict[str, str]:
    return {"type": "text", "text": as_text(text)}
