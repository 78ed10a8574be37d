"""What the verbs about documents do: `add`, `list`, `remove`, `reembed` and `rebuild`.

A verb takes its options and the settings, writes its results, and returns the exit code.
"""

import os
import time
from argparse import Namespace
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mlx_toy.assistant import Assistant, IngestProgress
from mlx_toy.cli import FAILED
from mlx_toy.documents import KINDS, READABLE
from mlx_toy.errors import UserError
from mlx_toy.output import counted, note, show, show_json
from mlx_toy.rows import StoredDocument
from mlx_toy.settings import OWN_WORKSPACE, Settings
from mlx_toy.verbs import nothing_in, size_line, text_of

ID_SHOWN = 8  # characters of a document's id, enough to tell documents apart
INTERVAL_S = 5.0  # between two lines that say how far a document is
IN_FOLDER = " › "  # between the parts of a path, which a document's name may not be
MOST_PATH = 90  # characters of a path in a name


def add(options: Namespace, settings: Settings) -> int:
    """Add files, each of which may fail by itself; done again, it goes on where it stopped."""
    results: list[dict[str, Any]] = []
    with closing(Assistant(settings)) as assistant:
        try:
            for argument in options.files:
                for file, name in _files(argument):
                    results.append(_add(assistant, file, name, options))
        except KeyboardInterrupt:
            count = sum("id" in result for result in results)
            note(f"stopped after {counted(count, 'file')}: the same command goes on from there")
            raise
    if options.json:
        show_json(results)
    return FAILED if any("error" in result for result in results) else 0


def _files(argument: str) -> Iterator[tuple[str, str | None]]:
    """The file of an argument, or those of a folder that can be read, with their names."""
    folder = Path(argument)
    if argument == "-" or not folder.is_dir():
        yield argument, None
        return
    found, others = [], 0
    for path, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            readable = Path(name).suffix.lower() in KINDS and not name.startswith(".")
            found += [Path(path, name)] if readable else []
            others += not readable
    if others:
        note(f"{argument}: {counted(others, 'file')} left out, hidden or of another format")
    if not found:
        note(f"{argument}: no file to read; {READABLE} can be read")
    for file in found:
        yield str(file), _name_within(file.relative_to(folder))


def _name_within(path: Path) -> str:
    """A file's name with the folders above it, since a name may be there in each."""
    parts = list(path.parts)
    while len(parts) > 1 and len(IN_FOLDER.join(parts)) > MOST_PATH:
        parts = ["…", *parts[2:]] if parts[0] == "…" else ["…", *parts[1:]]
    return IN_FOLDER.join(parts)


def _add(assistant: Assistant, file: str, name: str | None, options: Namespace) -> dict[str, Any]:
    """Add one file and say what became of it."""
    try:
        if file == "-":
            stored = assistant.add_text(OWN_WORKSPACE, text_of(file))
        else:
            told = _Told(name or Path(file).name)
            stored = assistant.add_document(
                OWN_WORKSPACE, file, name, replace=options.replace, progress=told
            )
    except UserError as error:
        message = " ".join(str(error).split())
        note(f"error: {message}")
        return {"file": file, "error": message}
    if not options.json:
        how = "already there" if stored.already else "replaced" if stored.replaced else "added"
        show(f"{stored.name}: {how}, {size_line(stored)}")
    for said in stored.notes:
        note(f"{stored.name}: {said}")
    if stored.same_name:
        note(f"{stored.name}: another document has this name; --replace would have replaced it")
    return {"file": file, **asdict(stored)}


class _Told:
    """Says every few seconds how far a document is."""

    def __init__(self, name: str) -> None:
        self._name, self._said = name, time.monotonic()

    def __call__(self, step: IngestProgress) -> None:
        if time.monotonic() - self._said < INTERVAL_S:
            return
        self._said = time.monotonic()
        unit = {"reading": "page", "embedding": "passage", "storing": "document"}[step.stage]
        of_all = f", {unit} {step.done} of {step.total}" if step.total else ""
        note(f"{self._name}: {step.stage}{of_all}")


def list_documents(options: Namespace, settings: Settings) -> int:
    """List the documents."""
    with closing(Assistant(settings)) as assistant:
        documents = assistant.documents(OWN_WORKSPACE)
    if options.json:
        show_json([asdict(document) for document in documents])
        return 0
    for document in documents:
        added = document.added[:16].replace("T", " ")
        show(f"{document.id[:ID_SHOWN]}  {added}  {document.name}  ({size_line(document)})")
    if not documents:
        note(nothing_in(settings))
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


def reembed(options: Namespace, settings: Settings) -> int:
    """Embed the library anew."""
    with closing(Assistant(settings)) as assistant:
        count = assistant.reembed(_Told(settings.library))
    if options.json:
        show_json({"passages": count})
    elif count:
        show(f"{counted(count, 'passage')} embedded anew")
    else:
        show("nothing to do: all passages are embedded by this embedder")
    return 0


def rebuild(options: Namespace, settings: Settings) -> int:
    """Repair the library."""
    with closing(Assistant(settings)) as assistant:
        reports = assistant.rebuild(_Told(settings.library))
    if options.json:
        show_json([{**asdict(report), "aside": str(report.aside or "")} for report in reports])
    lost = False
    for report in reports:
        name = "the library" if report.workspace == OWN_WORKSPACE else report.workspace
        lost = lost or report.aside is not None
        if not options.json:
            said = (
                "is not damaged"
                if report.intact
                else f"{counted(report.documents, 'document')} read anew"
            )
            show(f"{name}{'' if report.intact else ':'} {said}")
        for sentence in report.lost:
            note(f"lost: {sentence}")
        if report.aside:
            note(f"{name}: what else it held is lost; the damaged table is kept at {report.aside}")
    if not reports:
        note(nothing_in(settings))
    return FAILED if lost else 0


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
