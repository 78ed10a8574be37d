"""What happens when somebody sends a message: files into the library, then the streamed answer.

Generators of `View`s, one for each change of the page; `chat_tab.py` gives them to Gradio. A view
names only what changes. Nothing that was typed is lost: when a message cannot be answered, it goes
back into the box and the reason is shown.
"""

import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from mlx_toy.assistant import MAX_MESSAGE, Update
from mlx_toy.chat import Message
from mlx_toy.errors import UserError
from mlx_toy.options import AnswerOptions
from mlx_toy.rows import StoredDocument
from mlx_toy.ui.conversation import (
    Passage,
    Turn,
    answer_turn,
    note_turn,
    to_messages,
    user_turn,
)
from mlx_toy.ui.frames import frames
from mlx_toy.ui.loading import Loading
from mlx_toy.ui.markup import cited_line, sentence, stats_line, unsupported_line
from mlx_toy.ui.sources import Shown, shown_of
from mlx_toy.ui.uploads import add_file, forget


@dataclass(frozen=True)
class View:
    """What the page shows now; None leaves a part as it is.

    Attributes:
        history: the conversation.
        busy: whether the visitor waits, and can stop it.
        sources: what the panels show of the latest answer.
        documents: the library.
        box: what stands in the message box.
        warnings: sentences to be put before the visitor, each shown once.
    """

    history: list[Turn]
    busy: bool = True
    sources: Shown | None = None
    documents: list[StoredDocument] | None = None
    box: str | None = None
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Request:
    """A message as it came in.

    Attributes:
        text: what was typed.
        files: paths of what was dropped.
        history: the conversation before it.
        workspace: whose library.
        use_documents: whether to answer from the library.
        options: how to answer; as the settings say if None.
        stopped: whether the visitor pressed Stop.
    """

    text: str
    files: list[str]
    history: list[Turn]
    workspace: str
    use_documents: bool
    options: AnswerOptions | None = None
    stopped: Callable[[], bool] = lambda: False


def send(loading: Loading, request: Request) -> Iterator[View]:
    """Add the files of a request to the library, then answer its text."""
    history = list(request.history)
    try:
        if request.files:
            for view in _add(loading, request):
                history = view.history
                yield view
        if request.text.strip() or not request.files:
            yield from _answer(loading, request, history)
        else:
            yield View(history, busy=False, box="")
    except UserError as error:
        yield View(history, busy=False, box=request.text, warnings=[sentence(error)])
    except Exception as error:  # a bug here must not leave the page waiting
        traceback.print_exc()
        said = f"Something went wrong ({type(error).__name__}); the server's terminal says more."
        yield View(history, busy=False, box=request.text, warnings=[said])
    finally:
        for path in request.files:  # also those that were never reached
            forget(Path(path))


def _add(loading: Loading, request: Request) -> Iterator[View]:
    """The files into the library; what became of each stays in the conversation."""
    paths = [Path(path) for path in request.files]
    attached = note_turn("\n".join(f"Attached: {path.name}" for path in paths), role="user")
    history = [*request.history, attached]
    lines: list[str] = []
    for path in paths:
        reading = "\n".join([*lines, f"Reading {path.name}…"])
        yield View([*history, note_turn(reading)], box="")
        assistant = loading.get(request.stopped)
        upload = add_file(assistant, request.workspace, path)
        lines.append(upload.line)
        warnings = [upload.line] if upload.failed else []
        documents = assistant.documents(request.workspace)
        shown = [*history, note_turn("\n".join(lines))]
        yield View(shown, documents=documents, warnings=warnings)
        if request.stopped():
            break


def _answer(loading: Loading, request: Request, history: list[Turn]) -> Iterator[View]:
    """The question into the conversation, then its answer.

    Raises:
        UserError: it cannot be answered.
    """
    asked = [*history, user_turn(request.text)]
    if len(request.text) <= MAX_MESSAGE:  # else it is refused, and is too much for the page
        yield View(asked, box="")
    assistant = loading.get(request.stopped)
    workspace = request.workspace if request.use_documents else None
    question: Message = {"role": "user", "content": request.text}
    updates = assistant.reply(workspace, [*to_messages(history), question], request.options)
    for update, last in frames(updates, request.stopped):
        if not last:
            yield View([*asked, answer_turn(update.text)])
            continue
        answer = _finished(update, assistant.engine.context_length)
        panels = shown_of(update.sources, update.abstained, update.trace, update.exchange)
        yield View([*asked, answer], busy=False, sources=panels)


def _finished(update: Update, context: int) -> Turn:
    """An answer with the line below it; silence is no answer."""
    figures = _figures(update, context)
    if not update.text.strip():
        return note_turn("The model had nothing to say." if update.done else "Stopped.", figures)
    hits = [(source.hit, source.spans) for source in update.sources]
    passages = tuple(
        Passage(hit.document_id, hit.passage, hit.similarity, hit.start, hit.end, spans)
        for hit, spans in hits
    )
    return answer_turn(update.text, figures, passages=passages, offers_model=update.abstained)


def _figures(update: Update, context: int) -> str:
    """The line below an answer: where it comes from, and how fast it came."""
    looked_up = f"looked up “{update.query}”" if update.query else ""
    figures = stats_line(update.stats, update.dropped, context)
    written = "written beforehand" if update.exchange else ""
    cited, unsupported = cited_line(update.sources), unsupported_line(update.segments)
    parts = [written, cited, unsupported, looked_up, figures]
    if not update.done:
        parts.append("stopped")
    return " · ".join(part for part in parts if part)
