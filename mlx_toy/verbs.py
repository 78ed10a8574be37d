"""What each verb of the command line does, but for conversation and batches.

A verb takes its options and the settings, writes its results, and returns the exit code.
"""

import os
import sys
from argparse import Namespace
from contextlib import closing
from dataclasses import asdict, replace

from mlx_toy.assistant import Assistant
from mlx_toy.cli import FAILED
from mlx_toy.errors import UserError
from mlx_toy.messages import checked
from mlx_toy.output import (
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
ID_SHOWN = 8  # characters of a document's id, enough to tell documents apart


def complete(options: Namespace, settings: Settings) -> int:
    """Continue a text."""
    text = _text(options.text)
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


def add(options: Namespace, settings: Settings) -> int:
    """Add files, each of which may fail by itself."""
    results, failed = [], 0
    with closing(Assistant(settings)) as assistant:
        for file in options.files:
            try:
                stored = (
                    assistant.add_text(OWN_WORKSPACE, _text(file))
                    if file == "-"
                    else assistant.add_document(OWN_WORKSPACE, file)
                )
            except UserError as error:
                failed += 1
                message = " ".join(str(error).split())
                note(f"error: {message}")
                results.append({"file": file, "error": message})
                continue
            results.append({"file": file, **asdict(stored)})
            if not options.json:
                how = "already there" if stored.already else "added"
                show(f"{stored.name}: {how}, {_size(stored)}")
    if options.json:
        show_json(results)
    return FAILED if failed else 0


def list_documents(options: Namespace, settings: Settings) -> int:
    """List the documents."""
    with closing(Assistant(settings)) as assistant:
        documents = assistant.documents(OWN_WORKSPACE)
    if options.json:
        show_json([asdict(document) for document in documents])
        return 0
    for document in documents:
        added = document.added[:16].replace("T", " ")
        show(f"{document.id[:ID_SHOWN]}  {added}  {document.name}  ({_size(document)})")
    if not documents:
        note(_nothing_in(settings))
    return 0


def remove(options: Namespace, settings: Settings) -> int:
    """Remove documents; if one of them is not clear, none is removed."""
    if bool(options.documents) == options.all:
        raise UserError("say which documents to remove, by id or name, or --all")
    with closing(Assistant(settings)) as assistant:
        documents = assistant.documents(OWN_WORKSPACE)
        chosen = {}
        for name in options.documents:
            document = _find(documents, name)
            chosen[document.id] = document
        if options.all:
            chosen = {document.id: document for document in documents}
            assistant.library.clear(OWN_WORKSPACE)
        else:
            for document_id in chosen:
                assistant.remove(OWN_WORKSPACE, document_id)
    if options.json:
        show_json([asdict(document) for document in chosen.values()])
        return 0
    for document in chosen.values():
        show(f"{document.name}: removed")
    return 0


def search(options: Namespace, settings: Settings) -> int:
    """Find passages."""
    query = _text(options.query)
    with closing(Assistant(settings)) as assistant:
        hits = assistant.search(OWN_WORKSPACE, query, options.count)
    if options.json:
        show_json([asdict(hit) for hit in hits])
        return 0
    for number, hit in enumerate(hits, start=1):
        show(f"{number}. {place(hit)} (similarity {hit.similarity:.2f})")
        show("   " + " ".join(hit.text.split()) + "\n")
    if not hits:
        note(_nothing_in(settings))
    return 0


def ask(options: Namespace, settings: Settings) -> int:
    """Answer a question from the library, or from files that are kept in memory only."""
    question = checked(_text(options.question))
    if options.document:
        settings = replace(settings, library="memory://")
    with closing(Assistant(settings)) as assistant:
        for file in options.document or ():
            stored = assistant.add_document(OWN_WORKSPACE, file)
            note(f"read {stored.name}: {_size(stored)}")
        if not assistant.documents(OWN_WORKSPACE):
            raise UserError(_nothing_in(settings) + ", or name files with --document")
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


def _text(argument: str) -> str:
    """An argument, or standard input for `-`."""
    if argument == "-":
        return sys.stdin.read(MOST_TEXT)
    return os.fsencode(argument).decode("utf-8", "replace")


def _size(document: StoredDocument) -> str:
    counts = [(document.pages, "page"), (document.passages, "passage")]
    return ", ".join(f"{n} {word}{'' if n == 1 else 's'}" for n, word in counts if n)


def _nothing_in(settings: Settings) -> str:
    return (
        f"there are no documents in {settings.library}: add some with `python -m mlx_toy add FILE`"
    )


def _find(documents: list[StoredDocument], name: str) -> StoredDocument:
    """The one document of that id, name, or beginning of an id.

    Raises:
        UserError: there is none, or more than one.
    """
    found = [document for document in documents if name in (document.id, document.name)]
    if not found and len(name) >= 4:
        found = [document for document in documents if document.id.startswith(name)]
    if not found:
        raise UserError(
            f"there is no document {name}: `python -m mlx_toy list` shows what there is"
        )
    if len(found) > 1:
        ids = ", ".join(document.id[:ID_SHOWN] for document in found)
        raise UserError(f"{len(found)} documents are called {name}: remove one by its id ({ids})")
    return found[0]
