"""A conversation as a file to take away: Markdown for people, JSON for programs."""

import json
import re
import tempfile
from pathlib import Path
from typing import Any

from mlx_toy.ui.conversation import Turn
from mlx_toy.ui.conversation_store import turn_fields
from mlx_toy.ui.conversations import Conversation

_SPEAKERS = {"user": "You", "assistant": "mlx-toy"}
_THUMBS = {True: "Marked as good.", False: "Marked as bad."}
_UNSAFE = re.compile(r'[\\/:*?"<>|\x00-\x1f\x7f]+')  # in names of files, on any system


def as_markdown(conversation: Conversation) -> str:
    """Who said what, with the line of figures below each answer."""
    parts = [f"# {conversation.title}", *map(_turn_as_markdown, conversation.turns)]
    return "\n\n".join(parts) + "\n"


def as_json(conversation: Conversation) -> str:
    """All that is kept of a conversation."""
    fields: dict[str, Any] = {
        "title": conversation.title,
        "changed": conversation.changed,
        "messages": [turn_fields(turn) for turn in conversation.turns],
    }
    return json.dumps(fields, ensure_ascii=False, indent=2) + "\n"


def write(conversation: Conversation, parent: Path) -> tuple[Path, Path]:
    """Write both into a new folder below `parent`; the files are named by the title."""
    parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=parent))
    name = " ".join(_UNSAFE.sub(" ", conversation.title).split()).strip(".") or "conversation"
    markdown, data = folder / f"{name}.md", folder / f"{name}.json"
    markdown.write_text(as_markdown(conversation), encoding="utf-8")
    data.write_text(as_json(conversation), encoding="utf-8")
    return markdown, data


def _turn_as_markdown(turn: Turn) -> str:
    if turn.note:
        return "\n".join(f"> {line}" for line in turn.text.splitlines())
    said = [f"**{_SPEAKERS[turn.role]}:** {turn.text}"]
    below = [turn.figures, _THUMBS[turn.liked] if turn.liked is not None else ""]
    said += [f"*{line}*" for line in below if line]
    return "\n\n".join(said)
