"""The chat: conversation, message box, documents and sources, and what happens on each click."""

from collections.abc import Iterator
from typing import Any

import gradio as gr

from mlx_toy.errors import UserError
from mlx_toy.ui.chat import Request, View, send
from mlx_toy.ui.conversation import Turn, before_last_question
from mlx_toy.ui.events import AT_ONCE, PRIVATE, warn
from mlx_toy.ui.loading import Loading
from mlx_toy.ui.markup import as_text, sentence
from mlx_toy.ui.stops import Stops
from mlx_toy.ui.uploads import FILE_TYPES, size_line
from mlx_toy.ui.visitors import Visitors

EXAMPLES = ["Tell me a short story about a lost kitten.", "What is the sun?", "Who are you?"]
NO_SOURCES = (
    '<p class="empty">The passages that an answer was taken from stand here. '
    "Click an older answer to see its own.</p>"
)
NO_DOCUMENTS = "None yet. Drop a PDF, Word, web or text file into the message box, then ask."
WITHOUT_SOURCES = '<p class="empty">This answer was not taken from your documents.</p>'
PLACEHOLDER = "Say something, or drop a document below and ask about it."
PASTED_TEXT = 4_000  # characters; a longer paste becomes a text file, and so a document

Rows = list[tuple[str, str, str]]  # id, name and size of each document


class ChatTab:
    """Builds the tab inside the current `gr.Blocks`; the page calls `refresh` when it is shown.

    Args:
        loading: the assistant on its way.
        visitors: whose documents a request may reach.
        stops: who pressed Stop.
        secret: the component that keeps the visitor's secret.
    """

    def __init__(
        self, loading: Loading, visitors: Visitors, stops: Stops, secret: gr.BrowserState
    ) -> None:
        self._loading, self._visitors, self._stops = loading, visitors, stops
        self._secret = secret
        self.documents = gr.State([])
        self._shown_sources = gr.State({})  # of every answer: its place in the chat -> HTML
        with gr.Row(elem_id="chat-row"):
            with gr.Column(scale=3, min_width=320):
                self._build_conversation()
            with gr.Column(scale=2, min_width=320, elem_id="side"):
                self._build_documents()
                gr.HTML("<h2>Sources</h2>", padding=False)
                self._sources = gr.HTML(NO_SOURCES, elem_id="sources", padding=False)
        self._connect()

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
            placeholder=PLACEHOLDER,
            examples=[{"text": text} for text in EXAMPLES],
            layout="bubble",
        )
        self._box = gr.MultimodalTextbox(
            elem_id="message",
            show_label=False,
            placeholder="Ask a question, or drop a .pdf, .md or .txt file here",
            file_types=list(FILE_TYPES),
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

        def remove(secret: str) -> tuple[Rows, str, dict[int, str]]:
            """Its passages leave the page, too."""
            try:
                self._loading.get().remove(self._visitors.workspace(secret), document_id)
                gr.Info(f"{as_text(name)} was removed.")
            except UserError as error:
                warn(sentence(error))
            return self.refresh(secret), NO_SOURCES, {}

        page = [self.documents, self._sources, self._shown_sources]
        button.click(remove, [self._secret], page, **PRIVATE)

    # --- events -----------------------------------------------------------------------------------

    def _connect(self) -> None:
        page = [self._chatbot, self._box, self._sources, self._shown_sources, self.documents]
        given = [self._secret, self._use_documents, self._shown_sources]
        self._box.submit(self._send, [self._box, self._chatbot, *given], page, **PRIVATE)
        self._chatbot.retry(self._retry, [self._chatbot, *given], page, **PRIVATE)
        example = [self._chatbot, self._secret, self._shown_sources]
        self._chatbot.example_select(self._example, example, page, **PRIVATE)
        self._chatbot.clear(self._clear, None, page[2:4], **AT_ONCE)
        self._chatbot.select(self._show, [self._shown_sources], [self._sources], **AT_ONCE)
        self._box.stop(self._stop, None, None, **AT_ONCE)

    def _send(
        self,
        message: dict[str, Any],
        history: list[Turn],
        secret: str,
        use_documents: bool,
        shown: dict[int, str],
        request: gr.Request,
    ) -> Iterator[tuple[Any, ...]]:
        text, files = message.get("text") or "", message.get("files") or []
        yield from self._run(text, files, history, secret, use_documents, shown, request)

    def _retry(
        self,
        history: list[Turn],
        secret: str,
        use_documents: bool,
        shown: dict[int, str],
        request: gr.Request,
    ) -> Iterator[tuple[Any, ...]]:
        before, question = before_last_question(history)
        if not question:  # there are only notes
            return
        yield from self._run(question, [], before, secret, use_documents, shown, request)

    def _example(
        self,
        history: list[Turn],
        secret: str,
        shown: dict[int, str],
        request: gr.Request,
        chosen: gr.SelectData,
    ) -> Iterator[tuple[Any, ...]]:
        """An example is chat, whatever documents there are."""
        text = str(chosen.value["text"])
        yield from self._run(text, [], history, secret, False, shown, request)

    def _run(
        self,
        text: str,
        files: list[str],
        history: list[Turn],
        secret: str,
        use_documents: bool,
        shown: dict[int, str],
        request: gr.Request,
    ) -> Iterator[tuple[Any, ...]]:
        """Answer a message, one set of outputs for each view."""
        try:
            workspace = self._visitors.workspace(secret)
        except UserError as error:
            warn(sentence(error))
            return
        with self._stops.watch(request.session_hash or "") as flag:
            asked = Request(text, files, history, workspace, use_documents, flag.is_set)
            for view in send(self._loading, asked):
                yield self._outputs(view, shown)

    def _outputs(self, view: View, shown: dict[int, str]) -> tuple[Any, ...]:
        """A view as new values of the chat, the box, the sources and the documents."""
        for warning in view.warnings:
            warn(warning)
        box: dict[str, Any] = {"submit_btn": not view.busy, "stop_btn": view.busy}
        if view.box is not None:
            box["value"] = {"text": view.box, "files": []}
        sources = gr.skip()
        if view.sources is not None:
            sources = view.sources or WITHOUT_SOURCES
            shown[len(view.history) - 1] = sources
        documents = gr.skip() if view.documents is None else _rows(view.documents)
        return view.history, gr.update(**box), sources, shown, documents

    def _stop(self, request: gr.Request) -> None:
        self._stops.stop(request.session_hash or "")

    def _clear(self) -> tuple[str, dict[int, str]]:
        return NO_SOURCES, {}

    def _show(self, shown: dict[int, str], chosen: gr.SelectData) -> Any:
        """The sources of the answer that was clicked."""
        index = chosen.index[0] if isinstance(chosen.index, (list, tuple)) else chosen.index
        return shown.get(index, gr.skip())


def _rows(documents: list[Any]) -> Rows:
    return [(document.id, document.name, size_line(document)) for document in documents]
