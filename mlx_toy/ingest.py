"""Put a file into the library: read it, cut it, embed the passages, store all in one transaction.

Why a module of its own: it is the one long thing that is done to a document, so it is here that
progress is told and that it can be stopped. Until the last step nothing is written; a document is
in the library whole or not at all.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Literal

import numpy as np

from mlx_toy.documents import Document, Limits, SourceFile, parse, read_text
from mlx_toy.embedder import Embedder
from mlx_toy.errors import UserError
from mlx_toy.library import Library, Original
from mlx_toy.passages import below_headings, split_passages
from mlx_toy.quota import Quota
from mlx_toy.rows import StoredDocument

Stage = Literal["reading", "embedding", "storing"]
BATCH = 32  # passages embedded between two looks at whether to go on


class IngestCancelled(UserError):
    """A document was not added because somebody stopped that."""


@dataclass(frozen=True)
class IngestProgress:
    """How far a document is.

    Attributes:
        stage: "reading" counts pages, "embedding" passages, "storing" documents.
        done: how many are done.
        total: of how many; 0 while that is not known.
    """

    stage: Stage
    done: int
    total: int


Progress = Callable[[IngestProgress], None]


@dataclass(frozen=True)
class Ingest:
    """How documents get into a library.

    Attributes:
        library: where to.
        embedder: makes the vectors; the library's own.
        count_tokens: length of a text for the model that will read the passages.
        limits: what one file may cost.
        progress: told how far it is, in this thread.
        cancelled: asked several times a second whether to stop.
        quota: the most that a workspace may hold; None for no limit.
    """

    library: Library
    embedder: Embedder
    count_tokens: Callable[[str], int]
    limits: Limits = field(default_factory=Limits)
    progress: Progress | None = None
    cancelled: Callable[[], bool] | None = None
    quota: Quota | None = None

    def add_file(
        self, workspace: str, file: SourceFile, replace_old: bool = False
    ) -> StoredDocument:
        """Store a file; one that is there already, byte for byte, is not even parsed.

        Args:
            workspace: whose library.
            file: its name and bytes.
            replace_old: whether it takes the place of other documents of its name.

        Raises:
            IngestCancelled: it was stopped; nothing has changed.
            UserError: it cannot be read, or not be stored.
        """
        original = Original(file.suffix, file.data)
        before = self.library.find_file(workspace, file.digest)
        if before and not (replace_old and self._has_others(workspace, before.id, file.name)):
            return self._already(workspace, before, original)
        self._tell("reading", 0, 0)
        document = parse(file, self.limits, partial(self._tell, "reading"), self._poll)
        return self._store(workspace, document, original, replace_old)

    def add_text(self, workspace: str, text: str, name: str) -> StoredDocument:
        """Store a text that is already here.

        Raises:
            IngestCancelled: it was stopped; nothing has changed.
            UserError: it is blank or too long, or cannot be stored.
        """
        document = read_text(text, name, limits=self.limits)
        return self._store(workspace, document, Original(".txt", document.text.encode()), False)

    def _store(
        self, workspace: str, document: Document, original: Original, replace_old: bool
    ) -> StoredDocument:
        self._poll()
        before = self.library.find_text(workspace, document)
        if before and not replace_old:
            return self._already(workspace, before, original)
        passages = split_passages(document, self.count_tokens)
        self._check_quota(workspace, document, len(passages), len(original.data), replace_old)
        texts = [below_headings(passage.heading, passage.text) for passage in passages]
        vectors = embed_sorted(self.embedder, texts, partial(self._tell, "embedding"))
        self._tell("storing", 0, 1)
        stored = self.library.add(
            workspace, document, passages, vectors, original=original, replace_old=replace_old
        )
        if self.progress:  # too late to stop
            self.progress(IngestProgress("storing", 1, 1))
        return stored

    def _check_quota(
        self, workspace: str, document: Document, passages: int, size_bytes: int, replace_old: bool
    ) -> None:
        """Refuse what does not fit beside the documents that stay."""
        if self.quota is None:
            return
        there = self.library.documents(workspace)
        if replace_old:
            there = [stored for stored in there if stored.name != document.name]
        self.quota.check(there, document.name, passages, size_bytes)

    def _already(
        self, workspace: str, stored: StoredDocument, original: Original
    ) -> StoredDocument:
        """A document that was there before; its file is kept now if it was not."""
        self.library.keep_original(workspace, stored, original)
        return replace(stored, already=True)

    def _has_others(self, workspace: str, document_id: str, name: str) -> bool:
        """Whether there are other documents of this name."""
        stored = self.library.documents(workspace)
        return any(other.name == name and other.id != document_id for other in stored)

    def _tell(self, stage: Stage, done: int, total: int) -> None:
        self._poll()
        if self.progress:
            self.progress(IngestProgress(stage, done, total))

    def _poll(self) -> None:
        if self.cancelled and self.cancelled():
            raise IngestCancelled("Stopped: the document was not added.")


def embed_sorted(
    embedder: Embedder, texts: list[str], tell: Callable[[int, int], None]
) -> np.ndarray:
    """Unit vectors [N, D], made in batches of like length, since a batch is padded.

    Args:
        embedder: makes them.
        texts: N passages.
        tell: called with (passages done, N) before each batch and at the end; it may raise.
    """
    vectors = np.zeros((len(texts), embedder.dimensions), np.float32)
    order = sorted(range(len(texts)), key=lambda number: len(texts[number]))
    for start in range(0, len(order), BATCH):
        tell(start, len(texts))
        chosen = order[start : start + BATCH]
        vectors[chosen] = embedder.embed_passages([texts[number] for number in chosen])
    tell(len(texts), len(texts))
    return vectors
