"""The sources of an answer that was given earlier, found again in the library.

A conversation keeps only where its passages stand; their text is the library's. So a document that
was removed is gone from old answers, too, and a forged conversation shows nothing of others.
"""

from collections.abc import Sequence

from mlx_toy.assistant import Assistant, Source
from mlx_toy.grounding import sentence_at
from mlx_toy.rows import Hit
from mlx_toy.ui.conversation import Passage

MAX_PASSAGE = 20_000  # characters; a forged conversation may ask for more


def find_sources(assistant: Assistant, workspace: str, passages: Sequence[Passage]) -> list[Source]:
    """The passages that are still there, with their numbers of then."""
    names = {document.id: document.name for document in assistant.documents(workspace)}
    numbered = enumerate(passages, start=1)
    sources = [
        _source(assistant, workspace, names[kept.document_id], number, kept)
        for number, kept in numbered
        if kept.document_id in names
    ]
    return [source for source in sources if source is not None]


def _source(
    assistant: Assistant, workspace: str, name: str, number: int, kept: Passage
) -> Source | None:
    """One of them; None if the document has no such passage."""
    first = assistant.library.passages(workspace, kept.document_id, kept.passage, kept.passage)
    end = min(kept.end, kept.start + MAX_PASSAGE)
    text = assistant.document_text(workspace, kept.document_id)[kept.start : end]
    if not first or not text:
        return None
    hit = Hit(
        document_id=kept.document_id,
        document=name,
        page=first[0].page,
        heading=first[0].heading,
        text=text,
        start=kept.start,
        end=kept.start + len(text),
        similarity=kept.similarity,
        score=0.0,
        vector_rank=None,
        text_rank=None,
        passage=kept.passage,
    )
    spans = tuple((start, end) for start, end in kept.spans if end <= len(text))
    if not spans:
        return Source(number, hit)
    return Source(number, hit, sentence_at(text, spans[0][0]), *spans[0], spans)
