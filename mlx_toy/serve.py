"""A server that speaks OpenAI's chat protocol, so that any client of it can use the model.

    python -m mlx_toy serve --port 8000
    curl http://127.0.0.1:8000/v1/chat/completions -H 'Content-Type: application/json' \\
         -d '{"model": "mlx-toy", "messages": [{"role": "user", "content": "Hello"}]}'

`"documents": true` in a request answers from the library and adds the passages as `sources`; a
client that cannot send it chooses the model `NAME+documents` instead. Such an answer comes in one
piece, because no word of it is sent before it has been checked against its passage.

uvicorn and starlette come with Gradio.
"""

import argparse
import json
import signal
import time
import uuid
from collections import deque
from collections.abc import AsyncIterator, Generator, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from socket import socket
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import iterate_in_threadpool, run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from mlx_toy.assistant import Assistant, Update
from mlx_toy.chat import Message
from mlx_toy.errors import UserError
from mlx_toy.messages import clean
from mlx_toy.options import AnswerOptions
from mlx_toy.output import note, reply_as_json
from mlx_toy.settings import OWN_WORKSPACE, Settings
from mlx_toy.ui.server import choose_port, shown_host, trusted_hosts

WITH_DOCUMENTS = "+documents"  # at the end of a model's name
UNSUPPORTED = ("stop", "tools", "functions", "response_format", "logprobs")
MAX_BODY = 4 * 2**20  # bytes of a request
GRACE_S = 3  # for answers that are being sent when the server is told to end
FINISH = {"length": "length"}  # OpenAI's word for why an answer ended; else "stop"
# What a request may say under OpenAI's names, or mlx_lm.server's, and what we call it.
DIALS = {
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "repetition_penalty": "repetition_penalty",
    "max_tokens": "max_tokens",
    "max_completion_tokens": "max_tokens",
    "seed": "seed",
    "strict": "strict",
    "written_replies": "written_replies",
    "passages": "passages",
}
FLAGS = ("strict", "written_replies")  # of them, that are true or false and no number


@dataclass(frozen=True)
class Asked:
    """A request, checked.

    Attributes:
        messages: the conversation without its system turns.
        options: how to answer; the system turns are its system prompt.
        model: as the client calls it.
        documents: whether to answer from the library.
        stream: whether the answer is sent as it grows.
    """

    messages: list[Message]
    options: AnswerOptions
    model: str
    documents: bool
    stream: bool


def parse(body: Any, defaults: AnswerOptions, name: str) -> Asked:
    """Read the body of a chat request.

    Args:
        body: JSON of OpenAI's form.
        defaults: what counts where the request says nothing.
        name: of the model that is served; any other that is asked for gets it all the same.

    Raises:
        UserError: it has another form, or a value that is out of range.
    """
    if not isinstance(body, dict) or not isinstance(body.get("messages"), list):
        raise UserError('the request needs "messages", a list')
    if body.get("n") not in (None, 1):
        raise UserError('"n" must be 1: there is one answer to a request')
    for name_of_field in UNSUPPORTED:
        if body.get(name_of_field):
            raise UserError(f'"{name_of_field}" is not supported: leave it out')
    turns = [_turn(turn) for turn in body["messages"]]
    if not turns or turns[-1][0] != "user":
        raise UserError("the last message must be the user's")
    system = "\n".join(text for role, text in turns if role == "system")
    messages: list[Message] = [
        {"role": "assistant" if role == "assistant" else "user", "content": text}
        for role, text in turns
        if role != "system"
    ]
    wanted: dict[str, Any] = {
        ours: _dial(body, theirs) for theirs, ours in DIALS.items() if _says(body, theirs)
    }
    options = replace(defaults, system_prompt=system, **wanted)
    asked = body.get("model")
    model = clean(asked) if isinstance(asked, str) else name
    documents = model.endswith(WITH_DOCUMENTS)
    if _says(body, "documents"):
        documents = _flag(body, "documents")
    stream = _says(body, "stream") and _flag(body, "stream")
    return Asked(messages, options, model, documents, stream)


def _says(body: dict[str, Any], name: str) -> bool:
    return body.get(name) is not None


def _flag(body: dict[str, Any], name: str) -> bool:
    if not isinstance(body[name], bool):
        raise UserError(f'"{name}" is {body[name]!r}: it must be true or false')
    return body[name]


def _dial(body: dict[str, Any], name: str) -> bool | int | float:
    """The value of a dial, of the type that it has; its range is checked later."""
    if name in FLAGS:
        return _flag(body, name)
    value = body[name]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UserError(f'"{name}" is {value!r}: it must be a number')
    return value


def _turn(turn: Any) -> tuple[str, str]:
    """Role and text of a message, whose content may be a list of text parts."""
    role = turn.get("role") if isinstance(turn, dict) else None
    content = turn.get("content") if isinstance(turn, dict) else None
    if isinstance(content, list) and all(isinstance(part, dict) for part in content):
        texts = [part.get("text") for part in content if part.get("type") == "text"]
        readable = len(texts) == len(content) and all(isinstance(text, str) for text in texts)
        content = "".join(texts) if readable else None
    roles = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}
    if not isinstance(role, str) or role not in roles or not isinstance(content, str):
        raise UserError(
            f"a message of role {role!r} cannot be read: use system, user or assistant, and text"
        )
    return roles[role], content


class Server:
    """The routes, as functions of one assistant.

    Args:
        assistant: answers; must be loaded.
    """

    def __init__(self, assistant: Assistant) -> None:
        self._assistant, self._name = assistant, assistant.engine.name
        self._began = int(time.time())

    def app(self, hosts: list[str]) -> Starlette:
        """The application, for requests to these hosts ("*" for any)."""
        return Starlette(
            routes=[
                Route("/v1/models", self._models),
                Route("/v1/models/{name:path}", self._model),
                Route("/v1/chat/completions", self._chat, methods=["POST"]),
            ],
            middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=hosts)],
            exception_handlers={
                UserError: _refuse,
                HTTPException: _unknown,
                ClientDisconnect: _leave,
            },
        )

    def _offered(self) -> list[dict[str, Any]]:
        names = (self._name, self._name + WITH_DOCUMENTS)
        made = {"object": "model", "created": self._began, "owned_by": "mlx-toy"}
        return [{"id": name, **made} for name in names]

    async def _models(self, request: Request) -> Response:
        return JSONResponse({"object": "list", "data": self._offered()})

    async def _model(self, request: Request) -> Response:
        wanted = request.path_params["name"]
        for model in self._offered():
            if model["id"] == wanted:
                return JSONResponse(model)
        raise HTTPException(404, f"there is no model {wanted!r}: GET /v1/models lists them")

    async def _chat(self, request: Request) -> Response:
        asked = parse(await _json(request), self._assistant.options(), self._name)
        head = {
            "id": f"chatcmpl-{uuid.uuid4().hex}",
            "created": int(time.time()),
            "model": asked.model,
        }
        workspace = OWN_WORKSPACE if asked.documents else None
        if workspace and not await run_in_threadpool(self._assistant.documents, workspace):
            raise UserError("there are no documents: add some with `python -m mlx_toy add FILE`")
        updates = self._assistant.reply(workspace, asked.messages, asked.options)
        # The first update is waited for here, so that a refused request is no broken-off stream.
        first = await run_in_threadpool(next, updates)
        if asked.stream:
            events = _events(head, _from(first, updates), asked.documents)
            return StreamingResponse(_closing(events), media_type="text/event-stream")
        last = await run_in_threadpool(lambda: deque(_from(first, updates), maxlen=1).pop())
        return JSONResponse(_completion(head, last, asked.documents))


async def _json(request: Request) -> Any:
    """The body of a request.

    Raises:
        UserError: it is too long, or no JSON.
    """
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > MAX_BODY:
            raise UserError(f"the request has more than {MAX_BODY >> 20} MB: shorten it")
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        what = f"is no JSON ({error})" if body else "has no body"
        raise UserError(f"the request {what}: send an object with messages") from error


async def _refuse(request: Request, error: Exception) -> Response:
    """What was wrong with a request, in OpenAI's form."""
    return _error(str(error), 400)


async def _unknown(request: Request, error: Exception) -> Response:
    """That there is nothing at an address, or that it is asked for otherwise."""
    assert isinstance(error, HTTPException)
    what = f"{request.method} {request.url.path}: {error.detail}"
    if allowed := (error.headers or {}).get("Allow"):
        what += f", use {allowed}"
    return _error(what, error.status_code, error.headers)


def _error(message: str, status: int, headers: Mapping[str, str] | None = None) -> Response:
    content = {"message": message, "type": "invalid_request_error", "param": None, "code": None}
    return JSONResponse({"error": content}, status, headers)


async def _leave(request: Request, error: Exception) -> Response:
    """To a client that went away while it sent its request; nobody reads this."""
    return Response(status_code=499)


def _from(first: Update, rest: Iterator[Update]) -> Iterator[Update]:
    yield first
    yield from rest


def _completion(head: Mapping[str, Any], last: Update, documents: bool) -> dict[str, Any]:
    """The whole answer."""
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": last.text},
        "finish_reason": _finish(last),
    }
    body = {"object": "chat.completion", **head, "choices": [choice], "usage": _usage(last)}
    return body | _grounds(last, documents)


def _events(
    head: Mapping[str, Any], updates: Iterator[Update], documents: bool
) -> Generator[str, None, None]:
    """The answer as server-sent events: what each update adds, then why it ended."""
    sent = ""
    yield _event(head, {"role": "assistant", "content": ""})
    for update in updates:
        if update.text.startswith(sent) and (update.done or not documents):
            added, sent = update.text[len(sent) :], update.text
            if added:
                yield _event(head, {"content": added})
        if update.done:
            extra = {"usage": _usage(update), **_grounds(update, documents)}
            yield _event(head, {}, _finish(update), extra)
    yield "data: [DONE]\n\n"


def _event(
    head: Mapping[str, Any],
    delta: Mapping[str, str],
    finish: str | None = None,
    extra: Mapping[str, Any] | None = None,
) -> str:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    content = {"object": "chat.completion.chunk", **head, "choices": [choice], **(extra or {})}
    return f"data: {json.dumps(content)}\n\n"


async def _closing(events: Generator[str, None, None]) -> AsyncIterator[str]:
    """The events; when the client goes away, the answer is cancelled."""
    try:
        async for event in iterate_in_threadpool(events):
            yield event
    finally:
        await run_in_threadpool(events.close)


def _finish(update: Update) -> str:
    return FINISH.get((update.stats and update.stats.finish) or "", "stop")


def _usage(update: Update) -> dict[str, int]:
    stats = update.stats
    prompt, written = (stats.prompt_tokens, stats.tokens) if stats else (0, 0)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": written,
        "total_tokens": prompt + written,
    }


def _grounds(update: Update, documents: bool) -> dict[str, Any]:
    """Where an answer from documents comes from."""
    if not documents:
        return {}
    reply = reply_as_json(update)
    return {"sources": reply["sources"], "abstained": reply["abstained"]}


class _Announced(uvicorn.Server):
    """Says where it serves once it listens, and not before: a client may wait for that line."""

    def __init__(self, config: uvicorn.Config, address: str) -> None:
        super().__init__(config)
        self._address = address

    async def startup(self, sockets: list[socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            note(f"mlx-toy is serving on {self._address}")


def run(options: argparse.Namespace, settings: Settings) -> int:
    """Serve until interrupted."""
    port = choose_port(settings.host, settings.port)
    # uvicorn passes on what ended it: as an interrupt it leaves time to close the library.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with closing(Assistant.load(settings)) as assistant:
        app = Server(assistant).app(trusted_hosts(settings.host))
        config = uvicorn.Config(
            app,
            host=settings.host,
            port=port,
            log_level="warning",
            timeout_graceful_shutdown=GRACE_S,
        )
        with suppress(KeyboardInterrupt):  # how it was told to end; uvicorn has ended by then
            _Announced(config, f"http://{shown_host(settings.host)}:{port}/v1").run()
    return 0
