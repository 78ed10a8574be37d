"""The chat: conversation, message box, documents and sources, and what happens on each click."""

from collections.abc import Iterator, Sequence
from typing import Any

import gradio as gr

from mlx_toy.errors import UserError
from mlx_toy.settings import Settings
from mlx_toy.ui.chat import Request, View, send
from mlx_toy.ui.conversation import (
    ASK_MODEL,
    Turn,
    before_last_question,
    feedback,
    to_page,
    with_feedback,
)
from mlx_toy.ui.conversation_list import ConversationList
from mlx_toy.ui.conversations import Conversations, new_id
from mlx_toy.ui.events import AT_ONCE, PRIVATE, warn
from mlx_toy.ui.loading import Loading
from mlx_toy.ui.markup import as_text, from_text, sentence
from mlx_toy.ui.recall import find_sources
from mlx_toy.ui.settings_panel import SettingsPanel
from mlx_toy.ui.sources import GONE, Shown, SourcesPanel, citation_links, shown_of
from mlx_toy.ui.stops import Stops
from mlx_toy.ui.token_view import TokenView
from mlx_toy.ui.uploads import size_line
from mlx_toy.ui.visitors import Visitors

EXAMPLES = ["Tell me a joke.", "What is the sun?", "Who are you?"]
NO_DOCUMENTS = "None yet. Drop a PDF, Word, web or text file into the message box, then ask."
PLACEHOLDER = "Say something, or drop a document below and ask about it."
PASTED_TEXT = 4_000  # characters; a longer paste becomes a text file, and so a document

Rows = list[tuple[str, str, str]]  # id, name and size of each document


class ChatTab:
    """Builds the tab inside the current `gr.Blocks`; the page calls `refresh` when it is shown.

    Args:
        loading: the assistant on its way.
        settings: where the dials stand at first.
        visitors: whose documents a request may reach.
        stops: who pressed Stop.
        secret: the component that keeps the visitor's secret.
    """

    def __init__(
        self,
        loading: Loading,
        settings: Settings,
        visitors: Visitors,
        stops: Stops,
        secret: gr.BrowserState,
    ) -> None:
        self._loading, self._visitors, self._stops = loading, visitors, stops
        self._secret = secret
        self.documents = gr.State([])
        self._sources = gr.State(Shown())
        self._shown_sources = gr.State({})  # of answers given lately: place in the chat -> Shown
        with gr.Sidebar(open=False, width=290, elem_id="sidebar") as sidebar:
            self._list = ConversationList(sidebar)
            self._settings = SettingsPanel(settings)
        with gr.Row(elem_id="chat-row"):
            with gr.Column(scale=3, min_width=320):
                self._build_conversation()
                TokenView(loading, self._sources)
            with gr.Column(scale=2, min_width=320, elem_id="side"):
                self._build_documents()
                gr.HTML("<h2>Sources</h2>", padding=False)
                SourcesPanel(loading, visitors, secret, self._sources)
        self._connect()

    def connect(self, page: gr.Blocks) -> None:
        """Restore what the browser kept when the page is opened."""
        self._list.connect(page, self._shown, self._show_conversation, self._stops.leave)
        self._list.begin_on(self._chatbot.clear, self._shown, self._show_conversation)
        self._settings.connect(page)

    def refresh(self, secret: str) -> Rows:
        """The visitor's documents; the assistant must be ready."""
        assistant = self._loading.get()
        try:
            for expired in self._visitors.expired():
                assistant.library.drop_workspace(expired)
            return _rows(assistant.documents(self._visitors.workspace(secret)))
        except UserError as error:
            warn(sentence(error))
            return []

    # --- layout -----------------------------------------------------------------------------------

    def _build_conversation(self) -> None:
        self._chatbot = gr.Chatbot(
            elem_id="chat",
            show_label=False,
            height="max(24rem, calc(100dvh - 22rem))",
            render_markdown=False,  # what is said is text; see `markup.py`
            latex_delimiters=[],
            buttons=["copy"],
            editable="user",
            placeholder=PLACEHOLDER,
            examples=[{"text": text} for text in EXAMPLES],
            layout="bubble",
        )
        citation_links(self._sources)
        self._box = gr.MultimodalTextbox(
            elem_id="message",
            show_label=False,
            placeholder="Ask a question, or drop a PDF, Word, web or text file here",
            file_types=None,  # a file that cannot be read is refused in our own words
            file_count="multiple",
            max_plain_text_length=PASTED_TEXT,
            max_lines=8,
        )
        self._use_documents = gr.Checkbox(
            True,
            label="Use my documents",
            info="Off: the model answers from what it learned.",
            container=False,
            elem_id="use-documents",
        )

    def _build_documents(self) -> None:
        gr.HTML("<h2>Your documents</h2>", padding=False)

        @gr.render(inputs=[self.documents], show_progress="hidden")
        def _list(rows: Rows) -> None:
            if not rows:
                gr.HTML(f'<p class="empty">{NO_DOCUMENTS}</p>', padding=False)
            with gr.Column(elem_id="documents", visible=bool(rows)):
                for document_id, name, size in rows:
                    self._build_document(document_id, name, size)

    def _build_document(self, document_id: str, name: str, size: str) -> None:
        with gr.Row(elem_classes="document-row", equal_height=True):
            shown = f'<span class="name">{as_text(name)}</span><span class="size">{size}</span>'
            gr.HTML(shown, padding=False, min_width=0)
            button = gr.Button("Remove", size="sm", scale=0, min_width=80)

        def remove(secret: str) -> tuple[Rows, Shown, dict[int, Shown]]:
            """Its passages leave the page, too."""
            try:
                self._loading.get().remove(self._visitors.workspace(secret), document_id)
                gr.Info(f"{as_text(name)} was removed.")
            except UserError as error:
                warn(sentence(error))
            return self.refresh(secret), Shown(), {}

        page = [self.documents, self._sources, self._shown_sources]
        button.click(remove, [self._secret], page, **PRIVATE)

    # --- events -----------------------------------------------------------------------------------

    def _connect(self) -> None:
        self._shown = [self._chatbot, self._box, self._sources, self._shown_sources]
        page = [*self._shown, self.documents, *self._list.outputs]
        given = [self._list.store, self._secret, self._use_documents, self._shown_sources]
        given += self._settings.inputs
        for event, handle, more in (
            (self._box.submit, self._send, [self._box]),
            (self._chatbot.retry, self._retry, []),
            (self._chatbot.edit, self._edit, []),
            (self._chatbot.option_select, self._ask_model, []),
            (self._chatbot.example_select, self._example, []),
        ):
            event(handle, [*more, *given], page, **PRIVATE)
        store, feedback_page = self._list.store, [self._list.store, self._chatbot]
        self._chatbot.undo(self._undo, [store], [*self._list.outputs, *self._shown], **AT_ONCE)
        self._chatbot.like(self._like, [store], feedback_page, **AT_ONCE)
        looked = [self._shown_sources, store, self._secret]
        self._chatbot.select(self._show, looked, [self._sources], **AT_ONCE)
        self._box.stop(self._stop, None, None, **AT_ONCE)

    def _send(
        self, request: gr.Request, message: dict[str, Any], kept: object, *given: Any
    ) -> Iterator[tuple[Any, ...]]:
        text, files = message.get("text") or "", message.get("files") or []
        before = self._list.read(kept).turns()
        yield from self._run(request, text, files, before, kept, *given)

    def _retry(self, request: gr.Request, kept: object, *given: Any) -> Iterator[tuple[Any, ...]]:
        before, question = before_last_question(self._list.read(kept).turns())
        if question:  # else there are only notes
            yield from self._run(request, question, [], before, kept, *given)

    def _ask_model(
        self, request: gr.Request, chosen: gr.SelectData, kept: object, *given: Any
    ) -> Iterator[tuple[Any, ...]]:
        """The last question again, to the model itself."""
        before, question = before_last_question(self._list.read(kept).turns())
        if question and chosen.value == ASK_MODEL:
            secret, _, *rest = given
            yield from self._run(request, question, [], before, kept, secret, False, *rest)

    def _edit(
        self, request: gr.Request, edited: gr.EditData, kept: object, *given: Any
    ) -> Iterator[tuple[Any, ...]]:
        """The conversation is cut at a question, which is asked in other words."""
        turns, index = self._list.read(kept).turns(), _index(edited)
        if not 0 <= index < len(turns) or turns[index].role != "user" or turns[index].note:
            warn("Only a question can be edited.")
            yield to_page(turns), *self._skip()[1:]
            return
        text = from_text(str(edited.value))
        yield from self._run(request, text, [], turns[:index], kept, *given)

    def _example(
        self, request: gr.Request, chosen: gr.SelectData, kept: object, *given: Any
    ) -> Iterator[tuple[Any, ...]]:
        """An example is chat, whatever documents there are."""
        secret, _, *rest = given
        before, text = self._list.read(kept).turns(), str(chosen.value["text"])
        yield from self._run(request, text, [], before, kept, secret, False, *rest)

    def _run(
        self,
        request: gr.Request,
        text: str,
        files: list[str],
        before: list[Turn],
        kept: object,
        secret: str,
        use_documents: bool,
        shown: dict[int, Shown],
        *dials: Any,
    ) -> Iterator[tuple[Any, ...]]:
        """Answer a message, one set of outputs for each view."""
        if self._is_busy(request):
            return
        try:
            workspace = self._visitors.workspace(secret)
            options = self._settings.options(*dials)
        except UserError as error:
            warn(sentence(error))
            return
        shown = {place: past for place, past in shown.items() if place < len(before)}
        id = self._list.read(kept).open or new_id()
        with self._stops.watch(request.session_hash or "") as flag:
            asked = Request(text, files, before, workspace, use_documents, options, flag.is_set)
            for view in send(self._loading, asked):
                outputs = self._outputs(view, shown)
                updates = self._skip()[len(outputs) :]
                if not view.busy and view.history:
                    # Read again: another conversation may have been renamed meanwhile.
                    grown = self._list.read(kept).kept(id, view.history).opened(id)
                    updates = self._list.updates(grown)
                # Whoever left for another conversation finds the answer in the list.
                yield self._skip() if flag.left else (*outputs, *updates)

    def _skip(self) -> tuple[Any, ...]:
        """Nothing changes on the page."""
        return (gr.skip(),) * (len(self._shown) + 1 + len(self._list.outputs))

    def _outputs(self, view: View, shown: dict[int, Shown]) -> tuple[Any, ...]:
        """A view as new values of the chat, the box, the sources and the documents."""
        for warning in view.warnings:
            warn(warning)
        box: dict[str, Any] = {"submit_btn": not view.busy, "stop_btn": view.busy}
        if view.box is not None:
            box["value"] = {"text": view.box, "files": []}
        sources = gr.skip() if view.sources is None else view.sources
        if view.sources is not None:
            shown[len(view.history) - 1] = view.sources
        documents = gr.skip() if view.documents is None else _rows(view.documents)
        return self._chat(view.history), gr.update(**box), sources, shown, documents

    def _chat(self, turns: Sequence[Turn]) -> Any:
        return gr.update(value=to_page(turns), feedback_value=feedback(turns))

    def _show_conversation(self, conversations: Conversations) -> tuple[Any, ...]:
        """The open conversation, ready for the next question."""
        box = gr.update(submit_btn=True, stop_btn=False)
        return self._chat(conversations.turns()), box, Shown(), {}

    def _undo(self, request: gr.Request, kept: object) -> tuple[Any, ...]:
        """The last question goes back into the box."""
        if self._is_busy(request):
            return (gr.skip(),) * (len(self._list.outputs) + len(self._shown))
        conversations = self._list.read(kept)
        before, question = before_last_question(conversations.turns())
        if question:
            conversations = conversations.with_turns(before)
        chat, _, *rest = self._show_conversation(conversations)
        box = gr.update(value={"text": question, "files": []})
        return *self._list.updates(conversations), chat, box, *rest

    def _like(self, kept: object, thumb: gr.LikeData) -> tuple[Any, ...]:
        conversations = self._list.read(kept)
        liked = thumb.liked if isinstance(thumb.liked, bool) else None
        turns = with_feedback(conversations.turns(), _index(thumb), liked)
        return self._list.kept(conversations.with_turns(turns)), gr.update(
            feedback_value=feedback(turns)
        )

    def _is_busy(self, request: gr.Request) -> bool:
        """Whether an answer is still being written, which the visitor is then told."""
        busy = self._stops.busy(request.session_hash or "")
        if busy:
            warn("An answer is still being written: stop it first.")
        return busy

    def _stop(self, request: gr.Request) -> None:
        self._stops.stop(request.session_hash or "")

    def _show(
        self, shown: dict[int, Shown], kept: object, secret: str, chosen: gr.SelectData
    ) -> Any:
        """The sources of the answer that was clicked."""
        index, turns = _index(chosen), self._list.read(kept).turns()
        if index in shown:
            return shown[index]
        if not 0 <= index < len(turns) or turns[index].role == "user" or turns[index].note:
            return gr.skip()
        if not turns[index].passages:
            return shown_of([])
        try:
            workspace = self._visitors.workspace(secret)
            sources = find_sources(self._loading.get(), workspace, turns[index].passages)
        except UserError as error:
            warn(sentence(error))
            return gr.skip()
        return shown_of(sources) if sources else Shown(note=GONE)


def _index(event: Any) -> int:
    """The place of the turn that an event is about; Gradio gives a block's place with it."""
    index = event.index[0] if isinstance(event.index, (list, tuple)) else event.index
    return int(index)


def _rows(documents: list[Any]) -> Rows:
    return [(document.id, document.name, size_line(document)) for document in documents]
