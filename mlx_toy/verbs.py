"""What each verb of the command line does, but for documents, conversation and batches.

A verb takes its options and the settings, writes its results, and returns the exit code.
"""

import os
import sys
from argparse import Namespace
from contextlib import closing
from dataclasses import asdict, replace

from mlx_toy.assistant import Assistant
from mlx_toy.errors import UserError
from mlx_toy.messages import checked
from mlx_toy.output import (
    counted,
    note,
    place,
    reply_as_json,
    show,
    show_json,
    show_sources,
    stream_text,
)
from mlx_toy.rows import StoredDocument
from mlx_toy.settings import OWN_WORKSPACE, Settings

MOST_TEXT = 2**24  # bytes read from standard input: far more than any model here reads


def complete(options: Namespace, settings: Settings) -> int:
    """Continue a text."""
    text = text_of(options.text)
    settings = _as_base(options, settings)
    with closing(Assistant(settings)) as assistant:
        updates = assistant.complete(text, assistant.sampling(options.seed))
        if not options.json:
            stream_text(updates, before=text.rstrip())
            return 0
        for update in updates:
            last = update
        stats = asdict(last.stats) if last.stats else None
        show_json({"text": text, "completion": last.text, "stats": stats})
    return 0


def search(options: Namespace, settings: Settings) -> int:
    """Find passages."""
    query = text_of(options.query)
    with closing(Assistant(settings)) as assistant:
        hits = assistant.search(OWN_WORKSPACE, query, options.count)
    if options.json:
        show_json([asdict(hit) for hit in hits])
        return 0
    for number, hit in enumerate(hits, start=1):
        show(f"{number}. {place(hit)} (similarity {hit.similarity:.2f})")
        show("   " + " ".join(hit.text.split()) + "\n")
    if not hits:
        note(nothing_in(settings))
    return 0


def ask(options: Namespace, settings: Settings) -> int:
    """Answer a question from the library, or from files that are kept in memory only."""
    question = checked(text_of(options.question))
    if options.document:
        settings = replace(settings, library="memory://")
    with closing(Assistant(settings)) as assistant:
        for file in options.document or ():
            stored = assistant.add_document(OWN_WORKSPACE, file)
            note(f"read {stored.name}: {size_line(stored)}")
        if not assistant.documents(OWN_WORKSPACE):
            raise UserError(nothing_in(settings) + ", or name files with --document")
        updates = assistant.reply(OWN_WORKSPACE, [{"role": "user", "content": question}])
        if not options.json:
            show_sources(stream_text(updates))
            return 0
        for update in updates:
            last = update
        show_json({"question": question, **reply_as_json(last)})
    return 0


def doctor(options: Namespace, settings: Settings) -> int:
    """Look at the machine."""
    from mlx_toy import doctor

    lines = doctor.report()
    if options.json:
        show_json(doctor.as_json(lines))
    else:
        show(doctor.text(lines))
    return 0


def _as_base(options: Namespace, settings: Settings) -> Settings:
    """The settings, in which a model that was asked for here and now is the one that completes."""
    return replace(settings, base_model=options.model) if options.model else settings


def text_of(argument: str) -> str:
    """An argument, or standard input for `-`."""
    if argument == "-":
        return sys.stdin.read(MOST_TEXT)
    return os.fsencode(argument).decode("utf-8", "replace")


def size_line(document: StoredDocument) -> str:
    """How much of a document there is: "3 pages, 12 passages"."""
    counts = [(document.pages, "page"), (document.passages, "passage")]
    return ", ".join(counted(number, word) for number, word in counts if number)


def nothing_in(settings: Settings) -> str:
    """What to say of a library without documents."""
    return (
        f"there are no documents in {settings.library}: add some with `python -m mlx_toy add FILE`"
    )
