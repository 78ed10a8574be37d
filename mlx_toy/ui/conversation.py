"""The turns of a conversation, as the page shows them and as the model reads them.

The page shows an answer in two blocks: its text, and a line of figures. A note ("notes.md was
added") looks like a message but is no part of what the model sees.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from mlx_toy.chat import Message
from mlx_toy.ui.markup import as_message

ASK_MODEL = "ask-model"  # the value of the button that is offered below an answer
_OFFER = [{"value": ASK_MODEL, "label": "Ask the model itself, without documents"}]
MAX_TURNS = 60  # that are passed on; more than fit into any context here


@dataclass(frozen=True)
class Passage:
    """Where a passage that an answer used stands in the library.

    Attributes:
        document_id: of its document.
        passage: its place in the document, from 0; of several that were joined, the first one's.
        similarity: of the passage to the question.
        start, end: offsets in the document.
        spans: offsets in the passage of what the answer took from it.
    """

    document_id: str
    passage: int
    similarity: float
    start: int
    end: int
    spans: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class Turn:
    """One bubble of the conversation.

    Attributes:
        role: who speaks.
        text: what was said.
        figures: the line below an answer.
        note: whether it is shown only, and no part of what the model reads.
        liked: what the reader thought of an answer; None if they did not say.
        offers_model: whether a button offers to ask the model without documents.
        passages: what an answer was taken from, in the order of their numbers.
    """

    role: Literal["user", "assistant"]
    text: str
    figures: str = ""
    note: bool = False
    liked: bool | None = None
    offers_model: bool = False
    passages: tuple[Passage, ...] = ()


def user_turn(text: str) -> Turn:
    """What the user said."""
    return Turn("user", text)


def answer_turn(text: str, figures: str = "", **more: Any) -> Turn:
    """An answer, and the line below it."""
    return Turn("assistant", text, figures, **more)


def note_turn(
    text: str, figures: str = "", role: Literal["user", "assistant"] = "assistant"
) -> Turn:
    """Something that is shown in the conversation and no part of it."""
    return Turn(role, text, figures, note=True)


def to_page(turns: Sequence[Turn]) -> list[dict[str, Any]]:
    """The conversation as Gradio's chatbot takes it; a turn has the same place in both."""
    return [_shown(turn, last=turn is turns[-1]) for turn in turns]


def to_messages(turns: Sequence[Turn]) -> list[Message]:
    """The conversation for the model: what the user and the model said, in turns."""
    said = [turn for turn in turns if not turn.note and turn.text.strip()]
    return [{"role": turn.role, "content": turn.text} for turn in said[-MAX_TURNS:]]


def before_last_question(turns: Sequence[Turn]) -> tuple[list[Turn], str]:
    """The conversation up to the user's last turn, and what that turn said ("" if none did)."""
    for index in range(len(turns) - 1, -1, -1):
        if turns[index].role == "user" and not turns[index].note:
            return list(turns[:index]), turns[index].text
    return list(turns), ""


def feedback(turns: Sequence[Turn]) -> list[str | None]:
    """What the thumbs of the chatbot show: an entry for each run of the assistant's turns."""
    marks = {None: None, True: "Like", False: "Dislike"}
    runs: list[str | None] = []
    for index, turn in enumerate(turns):
        if turn.role == "user":
            continue
        if index == 0 or turns[index - 1].role == "user":
            runs.append(None)
        runs[-1] = runs[-1] or marks[turn.liked]
    return runs


def with_feedback(turns: Sequence[Turn], index: int, liked: bool | None) -> list[Turn]:
    """The conversation with the reader's thumb at one of its answers; others stay as they are."""
    if not 0 <= index < len(turns) or turns[index].role != "assistant":
        return list(turns)
    return [*turns[:index], replace(turns[index], liked=liked), *turns[index + 1 :]]


def _shown(turn: Turn, last: bool) -> dict[str, Any]:
    lines = [turn.text, turn.figures] if turn.figures else [turn.text]
    content = [{"type": "text", "text": as_message(line)} for line in lines]
    shown: dict[str, Any] = {"role": turn.role, "content": content}
    return {**shown, "options": _OFFER} if last and turn.offers_model else shown
