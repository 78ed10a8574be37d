"""Files that a visitor dropped: into the library, and off the disk of the server.

Gradio keeps an upload in a folder of its own; once it is read, nobody needs that copy.
"""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from mlx_toy.assistant import Assistant
from mlx_toy.documents import KINDS
from mlx_toy.errors import UserError
from mlx_toy.rows import StoredDocument
from mlx_toy.ui.markup import plural, sentence

FILE_TYPES = tuple(KINDS)


@dataclass(frozen=True)
class Upload:
    """What became of a file.

    Attributes:
        line: one sentence for the visitor.
        failed: whether it is not in the library now.
    """

    line: str
    failed: bool = False


def add_file(assistant: Assistant, workspace: str, path: Path) -> Upload:
    """Put a file into a library; it is gone from its place afterwards, whatever happens."""
    try:
        return Upload(added_line(assistant.add_document(workspace, path, path.name)))
    except UserError as error:
        said = sentence(error)
        return Upload(said if path.name in said else f"{path.name}: {said}", failed=True)
    finally:
        forget(path)


def added_line(document: StoredDocument) -> str:
    """What to say of a document that is in the library now."""
    if document.already:
        return f"{document.name} is already in your library."
    return f"{document.name} was added: {size_line(document)}."


def size_line(document: StoredDocument) -> str:
    """How much of a document there is: "3 pages, 12 passages"."""
    passages = plural(document.passages, "passage")
    return f"{plural(document.pages, 'page')}, {passages}" if document.pages else passages


def forget(path: Path) -> None:
    """Delete an upload, and the folder that Gradio made for it."""
    with suppress(OSError):
        path.unlink(missing_ok=True)
        path.parent.rmdir()  # only if it is empty
