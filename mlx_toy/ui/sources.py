"""The sources of an answer: its passages, and each of them where it stands in its document.

A passage is shown with its document, page and score, the words of the answer marked. Below it, on
demand, the document around it: the page of a PDF as a picture with the words marked, of other
documents the text before and after. Below
the chat stand links to the passages that the answer cites.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import gradio as gr

from mlx_toy.assistant import Source
from mlx_toy.errors import UserError
from mlx_toy.exchanges import Exchange
from mlx_toy.library import Library
from mlx_toy.page_image import Mark, page_image
from mlx_toy.replies import Trace
from mlx_toy.ui.events import AT_ONCE, PRIVATE
from mlx_toy.ui.loading import Loading
from mlx_toy.ui.marking import Span, marked_html, sentences_around
from mlx_toy.ui.markup import as_text, place, sentence
from mlx_toy.ui.visitors import Visitors

SURROUNDINGS = 900  # characters of the document before and after a passage
PAGES_OF_PASSAGE = 3  # on which its words are looked for: it may begin at the end of one
DRAWN_AT_ONCE = 2  # pages: each takes a process
NO_ANSWER = (
    "The passages that an answer was taken from stand here. Click an older answer to see its own."
)
NO_SOURCES = "This answer was not taken from your documents."
GONE = "The documents of this answer are not in your library any more."
NONE_ANSWERS = "The nearest passages; none of them answers."
WRITTEN_FOR = (
    "This reply was not taken from your documents: it was written beforehand, for the message “{}”."
)
WRITTEN_FOR_MANY = (
    "This reply was not taken from your documents: it was written beforehand, for no message in "
    "particular."
)
OPENING = '<p class="empty">Opening the document…</p>'


@dataclass(frozen=True)
class Shown:
    """The answer that the panels beside the chat are about.

    Attributes:
        sources: its passages, in the order of their numbers.
        note: a sentence above them, or in their place.
        trace: what the model read and wrote; None if that is not known any more.
    """

    sources: tuple[Source, ...] = ()
    note: str = NO_ANSWER
    trace: Trace | None = None


def shown_of(
    sources: Sequence[Source],
    abstained: bool = False,
    trace: Trace | None = None,
    exchange: Exchange | None = None,
) -> Shown:
    """What to show of an answer."""
    note = NONE_ANSWERS if abstained and sources else "" if sources else NO_SOURCES
    if exchange:
        written_for = as_text(exchange.message)
        note = WRITTEN_FOR.format(written_for) if written_for else WRITTEN_FOR_MANY
    return Shown(tuple(sources), note, trace)


class SourcesPanel:
    """Builds the panel inside the current `gr.Blocks`.

    Args:
        loading: the assistant on its way.
        visitors: whose documents a request may reach.
        secret: the component that keeps the visitor's secret.
        shown: the state that says what is shown, a `Shown`.
    """

    def __init__(
        self, loading: Loading, visitors: Visitors, secret: gr.BrowserState, shown: gr.State
    ) -> None:
        self._loading, self._visitors, self._secret = loading, visitors, secret
        with gr.Column(elem_id="sources"):

            @gr.render(inputs=[shown], show_progress="hidden")
            def _panel(shown: Shown) -> None:
                if shown.note:
                    gr.HTML(f'<p class="empty">{shown.note}</p>', padding=False)
                for source in shown.sources:
                    self._build_source(source)

    def _build_source(self, source: Source) -> None:
        gr.HTML(passage_html(source), padding=False)
        page = source.hit.page
        label = f"Show page {page}" if page else "Show in the document"
        with gr.Accordion(label, open=False, elem_classes="in-document") as fold:
            view = gr.HTML(OPENING, padding=False)

        def look(secret: str) -> str:
            try:
                workspace = self._visitors.workspace(secret)
                return in_document_html(self._loading.get().library, workspace, source)
            except UserError as error:
                return f'<p class="empty">{as_text(sentence(error))}</p>'

        fold.expand(look, [self._secret], [view], concurrency_limit=DRAWN_AT_ONCE, **PRIVATE)


def citation_links(shown: gr.State) -> None:
    """Build a row of links from the answer that is shown to the passages that it cites."""
    # Not in the answer itself: the chat's Copy button would take the markup of the links, too
    row = gr.HTML("", elem_id="citations", padding=False)
    shown.change(lambda now: links_html(now.sources), [shown], [row], **AT_ONCE)


def links_html(sources: Sequence[Source]) -> str:
    """A link to each passage that was cited; "" if none was."""
    links = [
        f'<a href="#source-{source.number}">[{source.number}] {as_text(place(source))}</a>'
        for source in sources
        if _spans(source)
    ]
    return f'<nav aria-label="Cited passages">{" ".join(links)}</nav>' if links else ""


def passage_html(source: Source) -> str:
    """A passage with its document, page, score and heading, and the answer's words marked."""
    hit = source.hit
    page = f'<span class="page">page {hit.page}</span>' if hit.page else ""
    heading = f'<p class="heading">{as_text(hit.heading)}</p>' if hit.heading else ""
    spans = _spans(source)
    text = marked_html(hit.text, spans, sentences_around(hit.text, spans))
    return (
        f'<article class="passage{" cited" if spans else ""}" id="source-{source.number}"><header>'
        f'<span class="number">{source.number}</span>'
        f'<span class="document">{as_text(hit.document)}</span>{page}'
        f'<span class="similarity">similarity {hit.similarity:.2f}</span></header>'
        f'{heading}<p class="text" dir="auto">{text}</p></article>'
    )


def in_document_html(library: Library, workspace: str, source: Source) -> str:
    """A passage where it stands: on the page of a PDF, else in the text around it.

    Raises:
        UserError: the document is not in the workspace any more.
    """
    text = library.document_text(workspace, source.hit.document_id)
    file = library.original(workspace, source.hit.document_id)
    if source.hit.page is None or file is None or file.suffix.lower() != ".pdf":
        return _surroundings_html(text, source)
    pages = range(source.hit.page, source.hit.page + PAGES_OF_PASSAGE)
    try:
        image = page_image(file, pages, _marks(text, source))
    except UserError as error:
        said = sentence(str(error).replace(file.name, source.hit.document))
        return f'<p class="empty">{as_text(said)}</p>{_surroundings_html(text, source)}'
    lost = "" if image.marked or not _spans(source) else " The words could not be found on it."
    return (
        f'<figure class="page-image"><div><img src="{image.data_uri}" width="{image.width}"'
        f' height="{image.height}" alt="Page {image.page}; its text stands in the passage above">'
        f"</div><figcaption>Page {image.page} of {as_text(source.hit.document)}.{lost}</figcaption>"
        "</figure>"
    )


def _spans(source: Source) -> list[Span]:
    """Where in the text of a passage the words of the answer stand."""
    if source.spans:
        return list(source.spans)
    return [] if source.start is None or source.end is None else [(source.start, source.end)]


def _marks(text: str, source: Source) -> list[Mark]:
    """What to mark on a page: the words of the answer, paler their sentences, else the passage."""
    spans = _spans(source)
    pale = sentences_around(source.hit.text, spans) if spans else [(0, len(source.hit.text))]
    marks = []
    for strong, places in ((True, spans), (False, pale)):
        for start, end in places:
            first, last = source.hit.start + start, source.hit.start + end
            marks.append(Mark(text[:first], text[first:last], text[last:], strong))
    return marks


def _surroundings_html(text: str, source: Source) -> str:
    """The passage within its document's text, which is cut between lines or words."""
    hit = source.hit
    first = max(0, hit.start - SURROUNDINGS)
    last = min(len(text), hit.end + SURROUNDINGS)
    if first > 0:
        first = _after_gap(text, first, hit.start)
    if last < len(text):
        last = max(hit.end, text.rfind(" ", hit.end, last), text.rfind("\n", hit.end, last))
    before, after = text[first : hit.start], text[hit.end : last]
    spans = _spans(source)
    here = marked_html(hit.text, spans, sentences_around(hit.text, spans))
    return (
        '<div class="surroundings" dir="auto" tabindex="0">'
        f"{'…' if first else ''}{as_text(before.lstrip())}"
        f'<span class="here">{here}</span>'
        f"{as_text(after.rstrip())}{'…' if last < len(text) else ''}</div>"
    )


def _after_gap(text: str, start: int, end: int) -> int:
    """The place after the first line end, else the first space, between two offsets."""
    for gap in ("\n", " "):
        found = text.find(gap, start, end)
        if found >= 0:
            return found + 1
    return end
