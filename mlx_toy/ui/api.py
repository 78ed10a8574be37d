"""The app for programs: named endpoints for `gradio_client` and plain HTTP, and tools for MCP.

    client = gradio_client.Client("http://127.0.0.1:7860")
    client.predict("When does the ferry run?", api_name="/ask")

On one's own computer no secret is needed. On a Space a caller asks `/new_workspace` for one first
and sends it with every request: it names their documents, and no other request reaches those.
Everything else that the page does has no endpoint.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, TypeVar

import gradio as gr

from mlx_toy.assistant import Assistant, Update
from mlx_toy.chat import Message
from mlx_toy.errors import UserError
from mlx_toy.options import AnswerOptions
from mlx_toy.output import reply_as_json
from mlx_toy.ui.loading import Loading
from mlx_toy.ui.markup import sentence
from mlx_toy.ui.uploads import forget
from mlx_toy.ui.visitors import Visitors

MAX_TURNS = 200  # of a conversation that a program sends
MAX_COUNT = 50  # passages that one search gives back
TOOLS = ("ask", "search")  # endpoints that are MCP tools too
_Result = TypeVar("_Result")


class Api:
    """Adds the endpoints to the current `gr.Blocks`.

    Args:
        loading: the assistant on its way.
        visitors: whose documents a request may reach.
    """

    def __init__(self, loading: Loading, visitors: Visitors) -> None:
        self._loading, self._visitors = loading, visitors
        endpoints: dict[str, Callable[..., Any]] = {
            "ask": self._ask(),
            "search": self._search(),
            "chat": self._chat(),
            "complete": self._complete(),
            "new_workspace": self._new_workspace(),
        }
        for name, function in endpoints.items():
            if name not in TOOLS:
                _hide_from_mcp(function)
            gr.api(function, api_name=name)
        self._connect_add_document()

    # Each endpoint is a function of its own: Gradio reads its name, signature and docstring.

    def _ask(self) -> Callable[..., Any]:
        def ask(
            question: str, passages: int | None = None, strict: bool = True, secret: str = ""
        ) -> dict[str, Any]:
            """Answer a question from the documents in the library, with the passages it is from.

            In strict mode every word of the answer stands verbatim in the passage that its number
            [n] cites. "abstained" is true when the documents do not say; "sources" then holds the
            nearest passages. Ask one self-contained question at a time, in English.

            Args:
                question: A full question, such as "When was the lighthouse built?"
                passages: How many passages to read, 1 to 10; as the app was started if null.
                strict: Whether the answer may only consist of words of the documents.
                secret: Names your library on a shared server; leave empty on your own computer.

            Returns:
                The answer, whether the documents answer, and the passages with document and page.
            """
            return self._run(lambda a: self._answer(a, question, passages, strict, secret))

        return ask

    def _search(self) -> Callable[..., Any]:
        def search_documents(query: str, count: int = 5, secret: str = "") -> list[dict[str, Any]]:
            """Find the passages of the documents in the library that fit a query best.

            Use it to read what the documents say about a topic; use ask for a short answer.

            Args:
                query: A question or some words; meaning counts as well as the words.
                count: How many passages to return, 1 to 50.
                secret: Names your library on a shared server; leave empty on your own computer.

            Returns:
                The passages, best first, with document, page, heading, offsets and similarity.
            """
            if not isinstance(count, int) or not 1 <= count <= MAX_COUNT:
                raise gr.Error(f"count is {count}: use 1 to {MAX_COUNT}.", print_exception=False)
            return self._run(
                lambda a: [
                    asdict(hit)
                    for hit in a.search(self._mine(secret), _text("query", query), count)
                ]
            )

        return search_documents

    def _chat(self) -> Callable[..., Any]:
        def chat(
            message: str,
            history: list[dict[str, str]] | None = None,
            use_documents: bool = True,
            strict: bool = True,
            written_replies: bool = True,
            temperature: float | None = None,
            max_tokens: int | None = None,
            system_prompt: str = "",
            secret: str = "",
        ) -> dict[str, Any]:
            """Answer a message of a conversation, from the documents if there are any.

            Args:
                message: What the user says now.
                history: Earlier turns, each with "role" (user or assistant) and "content".
                use_documents: Whether to answer from the documents in the library.
                strict: Whether an answer from documents may only consist of their words.
                written_replies: Whether a reply that was written beforehand may be given.
                temperature: Of free text, 0 to 2; as the app was started if null.
                max_tokens: The longest answer; likewise.
                system_prompt: What the model is told before the conversation.
                secret: Names your library on a shared server; leave empty on your own computer.

            Returns:
                The answer with its passages, and the figures of its generation.
            """

            def reply(assistant: Assistant) -> dict[str, Any]:
                options = _options(
                    assistant,
                    temperature=temperature,
                    max_tokens=max_tokens,
                    system_prompt=_text("system_prompt", system_prompt or ""),
                    strict=strict,
                    written_replies=written_replies,
                )
                workspace = self._mine(secret) if use_documents else None
                messages = [*_turns(history), _turn("user", message)]
                return reply_as_json(_last(assistant.reply(workspace, messages, options)))

            return self._run(reply)

        return chat

    def _complete(self) -> Callable[..., Any]:
        def complete(
            text: str,
            max_tokens: int | None = None,
            temperature: float | None = None,
        ) -> str:
            """Continue a text with the base model.

            Args:
                text: The beginning.
                max_tokens: The most that is added; as the app was started if null.
                temperature: 0 to 2, where 0 always takes the likeliest word; likewise.

            Returns:
                What was added.
            """

            def go_on(assistant: Assistant) -> str:
                options = _options(assistant, temperature=temperature, max_tokens=max_tokens)
                return _last(assistant.complete(_text("text", text), options.sampling())).text

            return self._run(go_on)

        return complete

    def _new_workspace(self) -> Callable[..., Any]:
        def new_workspace() -> str:
            """Make a library of your own on a shared server.

            Returns:
                Its secret, to be sent with every request; "" where none is needed.
            """
            return self._visitors.secret(None)

        return new_workspace

    def _connect_add_document(self) -> None:
        """The one endpoint with a file: a component checks that it is one that was uploaded."""

        def add_document(file: str | None, secret: str | None = None) -> dict[str, Any]:
            if file is None:
                raise gr.Error("There is no file: send one.")
            path = Path(file)
            try:
                return self._run(lambda a: asdict(a.add_document(self._mine(secret or ""), path)))
            finally:
                forget(path)

        _hide_from_mcp(add_document)
        file = gr.File(visible=False, type="filepath", label="file")
        secret = gr.Textbox(None, visible=False, label="secret")
        button, stored = gr.Button(visible=False), gr.JSON(visible=False, label="document")
        button.click(
            add_document,
            [file, secret],
            [stored],
            api_name="add_document",
            api_description="Put a file into the library: PDF, Word, EPUB, HTML, CSV or text.",
            show_progress="hidden",
        )

    def _answer(
        self, assistant: Assistant, question: str, passages: int | None, strict: bool, secret: str
    ) -> dict[str, Any]:
        workspace = self._mine(secret)
        if not assistant.documents(workspace):
            raise UserError("there are no documents to answer from: add one first")
        options = _options(assistant, passages=passages, strict=strict)
        return reply_as_json(_last(assistant.reply(workspace, [_turn("user", question)], options)))

    def _mine(self, secret: str) -> str:
        """The workspace that a request may reach."""
        if not self._visitors.knows(secret):
            raise UserError("send the secret of your workspace: /new_workspace makes one")
        return self._visitors.workspace(secret)

    def _run(self, work: Callable[[Assistant], _Result]) -> _Result:
        """Do something with the assistant; what is wrong comes back as a sentence."""
        try:
            return work(self._loading.get())
        except UserError as error:
            raise gr.Error(sentence(error), print_exception=False) from error


def _options(assistant: Assistant, **wanted: Any) -> AnswerOptions:
    """How to answer: as the app was started, but for what a caller wants.

    Raises:
        UserError: a value of another type, or out of its range.
    """
    try:
        given = {name: value for name, value in wanted.items() if value is not None}
        return replace(assistant.options(), **given)
    except TypeError as error:
        raise UserError(f"one of {', '.join(wanted)} has the wrong type ({error})") from error


def _last(updates: Any) -> Update:
    """The finished reply."""
    last: Update = deque(updates, maxlen=1).pop()
    return last


def _text(name: str, value: Any) -> str:
    """A value that must be text: Gradio passes on whatever JSON it got."""
    if not isinstance(value, str):
        raise UserError(f"{name} must be text")
    return value


def _turn(role: Any, content: Any) -> Message:
    if not isinstance(content, str) or role not in ("user", "assistant"):
        raise UserError('each turn needs a "role", user or assistant, and a "content" that is text')
    return {"role": role, "content": content}


def _turns(history: Any) -> list[Message]:
    """The conversation so far, as a program sent it.

    Raises:
        UserError: it has another form.
    """
    if history is not None and not (
        isinstance(history, list)
        and len(history) <= MAX_TURNS
        and all(isinstance(turn, dict) for turn in history)
    ):
        raise UserError(f"the history must be a list of at most {MAX_TURNS} turns")
    return [_turn(turn.get("role"), turn.get("content")) for turn in history or ()]


def _hide_from_mcp(function: Any) -> None:
    """Keep an endpoint out of the list of MCP tools, where Gradio puts all that are public.

    Gradio asks each function whether it is a tool, a resource or a prompt; this is none of them.
    """
    function._mcp_type = "endpoint"
