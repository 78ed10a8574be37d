"""The sources of an answer that was given earlier, found again in the library.

A conversation keeps only where its passages stand; their text is the library's. So a document that
was removed is gone from old answers, too, and a forged conversation shows nothing of others.
"""

from collections.abc import Sequence

from mlx_toy.assistant import Assistant, Source
from mlx_toy.grounding import sentence_at
from mlx_toy.rows import Hit
from mlx_toy.ui.conversation import Passage


def find_sources(assistant: Assistant, workspace: str, passages: Sequence[Passage]) -> list[Source]:
    """The passages that are still there, with their numbers of then."""
    names = {document.id: document.name for document in assistant.documents(workspace)}
    sources = []
    for number, kept in enumerate(passages, start=1):
        if kept.document_id not in names:
            continue
        found = assistant.library.passages(workspace, kept.document_id, kept.passage, kept.passage)
        for passage in found:
            hit = Hit(
                document_id=kept.document_id,
                document=names[kept.document_id],
                page=passage.page,
                heading=passage.heading,
                text=passage.text,
                start=passage.start,
                end=passage.end,
                similarity=kept.similarity,
                score=0.0,
                vector_rank=None,
                text_rank=None,
                passage=kept.passage,
            )
            sources.append(_quoted(Source(number, hit), kept))
    return sources


def _quoted(source: Source, kept: Passage) -> Source:
    """With the sentence that the answer stood in, if it was taken from this passage."""
    text = source.hit.text
    if kept.start is None or kept.end is None or kept.end > len(text):
        return source
    return Source(source.number, source.hit, sentence_at(text, kept.start), kept.start, kept.end)
