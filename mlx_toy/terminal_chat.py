"""A conversation in the terminal, or of a program: a message a line in, an answer out.

python -m mlx_toy chat
printf 'Hello.\nWho are you?\n' | python -m mlx_toy chat --json
"""

import sys
from argparse import Namespace
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import replace

from mlx_toy.assistant import Assistant, Update
from mlx_toy.chat import Message
from mlx_toy.cli import FAILED
from mlx_toy.errors import UserError
from mlx_toy.output import note, reply_as_json, show, show_json, show_sources, stream_text
from mlx_toy.settings import OWN_WORKSPACE, Settings


def chat(options: Namespace, settings: Settings) -> int:
    """Answer message after message, until the input ends; a bad one gets its sentence."""
    failed = 0
    is_terminal = sys.stdin.isatty() and not options.json
    with closing(Assistant(settings)) as assistant:
        how = replace(assistant.options(options.seed), written_replies=not options.own_words)
        workspace = None if options.plain else OWN_WORKSPACE
        assistant.engine  # noqa: B018  (load it now, not after the first message)
        if is_terminal:
            _greet(assistant, workspace)
        history: list[Message] = []
        for line in _lines(is_terminal):
            if is_terminal and not line.strip():
                continue
            asked: list[Message] = [*history, {"role": "user", "content": line}]
            try:
                updates = assistant.reply(workspace, asked, how)
                update = _show(updates, options.json)
            except UserError as error:
                failed += 1
                if options.json:
                    show_json({"error": str(error)})
                else:
                    note(f"error: {' '.join(str(error).split())}")
                continue
            history = [*asked, {"role": "assistant", "content": update.text}]
    return FAILED if failed and not is_terminal else 0


def _greet(assistant: Assistant, workspace: str | None) -> None:
    documents = len(assistant.documents(workspace)) if workspace else 0
    source = f"answers from {documents} document{'' if documents == 1 else 's'}"
    note(f"{assistant.engine.name}{', ' + source if documents else ''}; Ctrl-D ends")


def _show(updates: Iterator[Update], as_json: bool) -> Update:
    if not as_json:
        update = stream_text(updates)
        show_sources(update)
        show("")
        return update
    for update in updates:
        last = update
    show_json(reply_as_json(last))
    return last


def _lines(is_terminal: bool) -> Iterator[str]:
    """The messages, without their line ends."""
    if not is_terminal:
        for line in sys.stdin:
            yield line.rstrip("\r\n")
        return
    with suppress(ImportError):
        import readline  # noqa: F401  (gives `input` its history and editing)
    with suppress(EOFError):
        while True:
            yield input("> ")
    note("")
