"""Put files, a text or a web page into a library, and tell the page how far each one is.

One after the other, each in a thread of its own, so that the page hears of its pages and passages
while it is read. What was stopped is not in the library; what was added before it stays.
"""

import tempfile
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from mlx_toy.assistant import Assistant
from mlx_toy.errors import UserError
from mlx_toy.ingest import IngestCancelled, IngestProgress, Progress
from mlx_toy.rows import StoredDocument
from mlx_toy.ui.loading import Loading
from mlx_toy.ui.markup import plural, sentence
from mlx_toy.ui.uploads import FILE_TYPES, added_line, forget
from mlx_toy.web_page import fetch

POLL_S = 0.15  # between two looks at how far a document is
MAX_FILES = 500  # of one drop

State = Literal["waiting", "working", "added", "failed", "stopped"]
Cancelled = Callable[[], bool]


@dataclass(frozen=True)
class Item:
    """A document on its way.

    Attributes:
        name: for people.
        state: how it stands.
        line: a sentence about that.
        part: of the present stage that is done, 0 to 1; None if that is not known.
        stored: once it is in the library.
    """

    name: str
    state: State = "waiting"
    line: str = "waiting"
    part: float | None = None
    stored: StoredDocument | None = None


@dataclass(frozen=True)
class Task:
    """A document to be added.

    Attributes:
        name: for people.
        add: adds it; called in a thread of its own.
        forget: called when nobody needs what it was made from any more.
    """

    name: str
    add: Callable[[Assistant, str, Progress, Cancelled], StoredDocument]
    forget: Callable[[], None] = field(default=lambda: None)


def file_tasks(paths: Sequence[str]) -> tuple[list[Task], list[Item]]:
    """A task for each file that can be read, and the others, which are deleted."""
    tasks: list[Task] = []
    refused: list[Item] = []
    for path in map(Path, paths):
        if path.name.startswith(".") or path.suffix.lower() not in FILE_TYPES:
            forget(path)
            what = path.suffix.lower() or "such"
            refused.append(Item(path.name, "failed", f"{what} files cannot be read."))
        elif len(tasks) >= MAX_FILES:
            forget(path)
            line = f"Only {MAX_FILES} files are added at a time: drop it again."
            refused.append(Item(path.name, "failed", line))
        else:
            tasks.append(_file_task(path))
    return tasks, refused


def _file_task(path: Path) -> Task:
    def add(
        assistant: Assistant, workspace: str, progress: Progress, cancelled: Cancelled
    ) -> StoredDocument:
        return assistant.add_document(
            workspace, path, path.name, progress=progress, cancelled=cancelled
        )

    return Task(path.name, add, lambda: forget(path))


def text_task(text: str, name: str) -> Task:
    """Adds a text that was pasted."""
    name = name.strip() or "Pasted text"
    return Task(name, lambda assistant, workspace, *_: assistant.add_text(workspace, text, name))


def url_task(url: str) -> Task:
    """Adds a page of the web."""

    def add(
        assistant: Assistant, workspace: str, progress: Progress, cancelled: Cancelled
    ) -> StoredDocument:
        page = fetch(url, assistant.settings.max_file_mb << 20, cancelled=cancelled)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "page"
            path.write_bytes(page.data)
            return assistant.add_document(
                workspace, path, page.name, progress=progress, cancelled=cancelled
            )

    return Task(url.strip()[:80] or "Web page", add)


def add_all(
    loading: Loading,
    workspace: str,
    tasks: Sequence[Task],
    stopped: Cancelled,
    refused: Sequence[Item] = (),
    poll_s: float = POLL_S,
) -> Iterator[list[Item]]:
    """Do the tasks; yields how all of them stand, whenever that has changed.

    Args:
        loading: the assistant on its way.
        workspace: whose library.
        tasks: what to add.
        stopped: whether the visitor pressed Stop.
        refused: shown after the tasks.
        poll_s: between two looks at a task.
    """
    items = [Item(task.name) for task in tasks]
    try:
        yield [*items, *refused]
        assistant = loading.get(stopped)
        for place, task in enumerate(tasks):
            for item in _do(assistant, workspace, task, stopped, poll_s):
                items[place] = item
                yield [*items, *refused]
            if stopped():
                break
    except UserError as error:  # no assistant
        items = [replace(item, state="failed", line=sentence(error)) for item in items]
    finally:
        for task in tasks:
            task.forget()
    yield [
        *(
            replace(item, state="stopped", line="Not added.") if item.state == "waiting" else item
            for item in items
        ),
        *refused,
    ]


def _do(
    assistant: Assistant, workspace: str, task: Task, stopped: Cancelled, poll_s: float
) -> Iterator[Item]:
    """One task, from "working" to its end."""
    told = Item(task.name, "working", "starting")
    ended: list[Item] = []
    left = threading.Event()  # the page is gone

    def tell(progress: IngestProgress) -> None:
        nonlocal told
        part = progress.done / progress.total if progress.total else None
        told = Item(task.name, "working", progress_line(progress), part)

    def run() -> None:
        ended.append(_outcome(assistant, workspace, task, tell, lambda: stopped() or left.is_set()))

    thread = threading.Thread(target=run, name="mlx-toy adding", daemon=True)
    thread.start()
    shown: Item | None = None
    try:
        while thread.is_alive():
            if told is not shown:
                shown = told
                yield shown
            thread.join(poll_s)
    finally:
        left.set()
        thread.join()
    yield ended[0]


def _outcome(
    assistant: Assistant, workspace: str, task: Task, tell: Progress, cancelled: Cancelled
) -> Item:
    """Add a document; whatever happens, say how it ended."""
    try:
        stored = task.add(assistant, workspace, tell, cancelled)
        return Item(stored.name, "added", added_line(stored), 1.0, stored)
    except IngestCancelled:
        return Item(task.name, "stopped", "Not added.")
    except UserError as error:
        return Item(task.name, "failed", sentence(error))
    except Exception as error:  # a bug here must not leave the page waiting
        traceback.print_exc()
        said = f"Something went wrong ({type(error).__name__}); the server's terminal says more."
        return Item(task.name, "failed", said)


def progress_line(progress: IngestProgress) -> str:
    """How far a document is, in words."""
    done, total = progress.done, progress.total
    if progress.stage == "reading":
        return f"reading page {min(done + 1, total)} of {total}" if total else "reading"
    if progress.stage == "embedding":
        return f"understanding passage {min(done + 1, total):,} of {total:,}"
    return "storing"


def older_versions(items: Sequence[Item]) -> list[tuple[str, tuple[str, ...]]]:
    """Documents that were added beside others of their name: (name, ids of the others)."""
    stored = [item.stored for item in items if item.stored]
    return [(document.name, document.same_name) for document in stored if document.same_name]


def summary_line(items: Sequence[Item]) -> str:
    """What came of it all, in one line."""
    counts = {state: sum(item.state == state for item in items) for state in _SUMMARY}
    already = sum(bool(item.stored and item.stored.already) for item in items)
    counts["added"] -= already
    parts = [f"{plural(already, 'document')} already there"] if already else []
    parts += [
        f"{plural(count, 'document')} {_SUMMARY[state]}" for state, count in counts.items() if count
    ]
    return " · ".join(parts)


_SUMMARY: dict[State, str] = {"added": "added", "failed": "not added", "stopped": "stopped"}
