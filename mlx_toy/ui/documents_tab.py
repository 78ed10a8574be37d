"""The tab Documents: add files, texts and web pages; see, search and remove what is there."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import gradio as gr

from mlx_toy.errors import UserError
from mlx_toy.rows import StoredDocument
from mlx_toy.settings import on_space
from mlx_toy.ui.adding import (
    Item,
    Task,
    add_all,
    file_tasks,
    older_versions,
    summary_line,
    text_task,
    url_task,
)
from mlx_toy.ui.documents import document_html, hits_html, items_html, usage_html
from mlx_toy.ui.events import AT_ONCE, PRIVATE, warn
from mlx_toy.ui.loading import Loading
from mlx_toy.ui.markup import as_text, plural, sentence
from mlx_toy.ui.stops import Stops
from mlx_toy.ui.visitors import Visitors

FOUND = 8  # passages that a search shows
LISTED = 25  # documents that are listed at a time
MAX_TEXT = 2_000_000  # characters that can be pasted
NONE_YET = '<p class="empty">None yet.</p>'

Older = list[tuple[str, tuple[str, ...]]]  # names of documents, and ids of their older versions


class DocumentsTab:
    """Builds the tab inside the current `gr.Tab`.

    Args:
        loading: the assistant on its way.
        visitors: whose documents a request may reach.
        stops: who pressed Stop here.
        secret: the component that keeps the visitor's secret.
        listed: the state in which the chat keeps its list of documents; this tab follows it.
        refresh: gives that list anew for a visitor.
    """

    def __init__(
        self,
        loading: Loading,
        visitors: Visitors,
        stops: Stops,
        secret: gr.BrowserState,
        listed: gr.State,
        refresh: Callable[[str], Any],
    ) -> None:
        self._loading, self._visitors, self._stops = loading, visitors, stops
        self._secret, self._listed, self._refresh = secret, listed, refresh
        self._documents = gr.State([])
        self._older: gr.State = gr.State([])
        self._count = gr.State(LISTED)
        with gr.Row(elem_id="library"):
            with gr.Column(scale=3, min_width=320):
                self._build_adders()
                self._build_progress()
            with gr.Column(scale=2, min_width=320):
                self._build_list()
        with gr.Column(elem_id="library-search"):
            self._build_search()
        self._connect()

    # --- layout -----------------------------------------------------------------------------------

    def _build_adders(self) -> None:
        with gr.Column(elem_id="adders") as self._adders:
            self._files = gr.File(
                label="PDF, Word, EPUB, HTML, CSV, text or code",
                file_count="multiple",
                file_types=None,  # `file_tasks` says what cannot be read, in our own words
                height=170,
                elem_id="drop",
            )
            self._folder = gr.UploadButton(
                "Add a folder", file_count="directory", size="sm", elem_id="folder"
            )
            with gr.Accordion("Paste a text", open=False):
                self._text_name = gr.Textbox(label="Name", placeholder="Pasted text", max_length=80)
                self._text = gr.Textbox(
                    label="Text", lines=5, max_lines=12, max_length=MAX_TEXT, elem_id="pasted"
                )
                self._add_text = gr.Button("Add the text", size="sm")
            # A public server must not fetch what strangers tell it to.
            with gr.Accordion("Add a web page", open=False, visible=not on_space()):
                self._url = gr.Textbox(
                    label="Address",
                    placeholder="https://example.org/page",
                    info="The page is fetched once, from this computer.",
                    max_length=2_000,
                    elem_id="url",
                )
                self._add_url = gr.Button("Add the page", size="sm")

    def _build_progress(self) -> None:
        self._summary = gr.HTML("", elem_id="summary", padding=False)
        self._stop = gr.Button("Stop", visible=False, size="sm", elem_id="stop-adding")
        self._items = gr.HTML("", elem_id="items", padding=False)
        with gr.Column(visible=False, elem_id="older") as self._question:
            self._question_text = gr.HTML("", padding=False)
            with gr.Row():
                self._replace = gr.Button("Remove the older versions", variant="primary", size="sm")
                self._keep = gr.Button("Keep both", size="sm")

    def _build_list(self) -> None:
        self._usage = gr.HTML(NONE_YET, elem_id="usage", padding=False)

        @gr.render(inputs=[self._documents, self._count], show_progress="hidden")
        def _list(documents: list[StoredDocument], count: int) -> None:
            newest = documents[::-1]
            with gr.Column(elem_id="library-list", visible=bool(documents)):
                for document in newest[:count]:
                    self._build_document(document)
            if len(newest) > count:
                more = gr.Button(f"Show {plural(len(newest) - count, 'more document')}", size="sm")
                more.click(lambda: count + LISTED, None, [self._count], **AT_ONCE)

        with gr.Row():
            self._clear = gr.Button("Remove all", size="sm", visible=False, elem_id="remove-all")
            self._sure = gr.Button("Yes, remove all", variant="stop", size="sm", visible=False)
            self._unsure = gr.Button("No", size="sm", visible=False)

    def _build_document(self, document: StoredDocument) -> None:
        with gr.Row(elem_classes="document-row", equal_height=True):
            gr.HTML(document_html(document), padding=False, min_width=0)
            button = gr.Button("Remove", size="sm", scale=0, min_width=80)

        def remove(secret: str) -> Any:
            return self._change(secret, lambda w: self._remove(w, [document.id], document.name))

        button.click(remove, [self._secret], [self._listed], **PRIVATE)

    def _build_search(self) -> None:
        gr.HTML("<h2>What a search finds, and why</h2>", padding=False)
        with gr.Row(elem_id="search-row"):
            self._query = gr.Textbox(
                show_label=False,
                placeholder="Type a question or some words",
                max_length=2_000,
                scale=4,
                container=False,
                elem_id="query",
            )
            self._find = gr.Button("Search", scale=0, min_width=110)
        self._found = gr.HTML(
            '<p class="empty">The chat looks up passages in just this way before it answers: by '
            "meaning, by words, and then both lists made into one.</p>",
            elem_id="found",
            padding=False,
        )

    # --- events -----------------------------------------------------------------------------------

    def _connect(self) -> None:
        page = [self._adders, self._summary, self._stop, self._items, self._listed]
        page += [self._older, self._question, self._question_text]
        pasted = [self._text, self._text_name]
        # Each empties its own boxes only: in another one somebody may be typing by now.
        for event, function, given, emptied in (
            (self._files.upload, self._add_files, [self._files], [self._files]),
            (self._folder.upload, self._add_files, [self._folder], [self._files]),
            (self._add_text.click, self._add_pasted, pasted, pasted),
            (self._add_url.click, self._add_page, [self._url], [self._url]),
            (self._url.submit, self._add_page, [self._url], [self._url]),
        ):
            event(function, [self._secret, *given], [*page, *emptied], **PRIVATE)
        self._stop.click(self._stop_adding, None, None, **AT_ONCE)
        shown = [self._documents, self._usage, self._clear, self._sure, self._unsure]
        self._listed.change(self._show, [self._secret], shown, **PRIVATE)
        question = [self._listed, self._older, self._question]
        self._replace.click(self._replace_older, [self._secret, self._older], question, **PRIVATE)
        self._keep.click(lambda: ([], gr.update(visible=False)), None, question[1:], **AT_ONCE)
        buttons = [self._clear, self._sure, self._unsure]
        self._clear.click(lambda: _visible(False, True, True), None, buttons, **AT_ONCE)
        self._unsure.click(lambda: _visible(True, False, False), None, buttons, **AT_ONCE)
        self._sure.click(self._remove_all, [self._secret], [self._listed], **PRIVATE)
        gr.on(
            [self._query.submit, self._find.click],
            self._search,
            [self._secret, self._query],
            [self._found],
            **PRIVATE,
        )

    def _add_files(
        self, secret: str, paths: list[str] | None, request: gr.Request
    ) -> Iterator[tuple[Any, ...]]:
        tasks, refused = file_tasks(paths or [])
        yield from self._add(secret, tasks, request, (None,), refused)

    def _add_pasted(
        self, secret: str, text: str, name: str, request: gr.Request
    ) -> Iterator[tuple[Any, ...]]:
        yield from self._add(secret, [text_task(text or "", name or "")], request, ("", ""))

    def _add_page(self, secret: str, url: str, request: gr.Request) -> Iterator[tuple[Any, ...]]:
        if on_space():
            warn("Web pages cannot be added here.")
            return
        yield from self._add(secret, [url_task(url or "")], request, ("",))

    def _add(
        self,
        secret: str,
        tasks: list[Task],
        request: gr.Request,
        emptied: tuple[str | None, ...],
        refused: Sequence[Item] = (),
    ) -> Iterator[tuple[Any, ...]]:
        """Add documents, one set of outputs for each change; see `_connect` for their order.

        Afterwards the boxes they came from have the values `emptied`, but what was typed and cannot
        be added stays.
        """
        kept = (gr.skip(),) * len(emptied)
        items: list[Item] = []
        try:
            workspace = self._visitors.workspace(secret)
        except UserError as error:
            warn(sentence(error))
            return
        with self._stops.watch(request.session_hash or "") as flag:
            for items in add_all(self._loading, workspace, tasks, flag.is_set, refused):
                yield (*self._progress(items, busy=True), *kept)
        older = older_versions(items)
        if _failed(items):
            emptied = tuple(None if value is None else gr.skip() for value in emptied)
        ended = self._progress(items, busy=False)[:4]
        yield (*ended, self._refresh(secret), older, *_question(older), *emptied)

    def _progress(self, items: list[Item], busy: bool) -> tuple[Any, ...]:
        summary = "" if busy else f"<p>{as_text(summary_line(items))}</p>"
        return (
            gr.update(visible=not busy),
            summary,
            gr.update(visible=busy),
            items_html(items),
            *(gr.skip(),) * 4,
        )

    def _stop_adding(self, request: gr.Request) -> None:
        self._stops.stop(request.session_hash or "")

    def _show(self, secret: str) -> tuple[Any, ...]:
        """The documents have changed."""
        try:
            assistant = self._loading.get()
            documents = assistant.documents(self._visitors.workspace(secret))
        except UserError as error:
            warn(sentence(error))
            return (gr.skip(),) * 5
        usage = usage_html(documents, assistant.quota)
        return documents, usage, *_visible(len(documents) > 1, False, False)

    def _change(self, secret: str, change: Callable[[str], None]) -> Any:
        """Do something to a visitor's library; gives the chat's list anew."""
        try:
            change(self._visitors.workspace(secret))
        except UserError as error:
            warn(sentence(error))
        return self._refresh(secret)

    def _remove(self, workspace: str, ids: Sequence[str], name: str) -> None:
        assistant = self._loading.get()
        for document_id in ids:
            assistant.remove(workspace, document_id)
        gr.Info(f"{as_text(name)} was removed.")

    def _replace_older(self, secret: str, older: Older) -> tuple[Any, ...]:
        ids = [document_id for _, versions in older for document_id in versions]
        what = "The older version" if len(ids) == 1 else f"{plural(len(ids), 'older version')}"
        listed = self._change(secret, lambda workspace: self._remove(workspace, ids, what))
        return listed, [], gr.update(visible=False)

    def _remove_all(self, secret: str) -> Any:
        return self._change(secret, lambda w: self._loading.get().library.clear(w))

    def _search(self, secret: str, query: str) -> str:
        try:
            assistant = self._loading.get()
            hits = assistant.search(self._visitors.workspace(secret), query or "", FOUND)
            return hits_html(hits, query, assistant.is_near)
        except UserError as error:
            warn(sentence(error))
            return ""


def _failed(items: Sequence[Item]) -> bool:
    return any(item.state in ("failed", "stopped") for item in items)


def _visible(*shown: bool) -> tuple[Any, ...]:
    return tuple(gr.update(visible=visible) for visible in shown)


def _question(older: Older) -> tuple[Any, ...]:
    """Whether to replace documents of the same name, if there are any."""
    names = ", ".join(name for name, _ in older[:5]) + (", …" if len(older) > 5 else "")
    said = f"Your library also has an older version of {names}." if older else ""
    return gr.update(visible=bool(older)), f"<p>{as_text(said)}</p>"
