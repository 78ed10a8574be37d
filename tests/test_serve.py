"""OpenAI's chat protocol: plain HTTP, streams, errors, the library, and the `openai` client."""

import importlib.util
import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from cli_fixtures import PAGES, QUESTION, REPOSITORY
from documents_fixtures import make_pdf

from mlx_toy.assistant import Assistant
from mlx_toy.errors import UserError
from mlx_toy.options import AnswerOptions
from mlx_toy.serve import Server, parse
from mlx_toy.settings import OWN_WORKSPACE, Settings
from mlx_toy.ui.server import trusted_hosts

HAS_OPENAI = importlib.util.find_spec("openai") is not None
HELLO: list[dict[str, Any]] = [{"role": "user", "content": "Hello"}]


@pytest.fixture(scope="module")
def assistant(
    tiny_model_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Assistant]:
    settings = Settings(model=str(tiny_model_dir), library="memory://", max_tokens=12)
    assistant = Assistant.load(settings)
    yield assistant
    assistant.close()


@pytest.fixture(scope="module")
def url(assistant: Assistant) -> Iterator[str]:
    """The address of a server that runs in a thread, as `/v1` of it."""
    app = Server(assistant).app(trusted_hosts("127.0.0.1"))
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}/v1"
    server.should_exit = True
    thread.join()


@pytest.fixture
def library(assistant: Assistant, tmp_path: Path) -> Iterator[None]:
    stored = assistant.add_document(OWN_WORKSPACE, make_pdf(tmp_path / "brenn.pdf", PAGES))
    yield
    assistant.remove(OWN_WORKSPACE, stored.id)


def ask(url: str, messages: list[dict[str, Any]], **more: Any) -> httpx.Response:
    body = {"model": "tiny", "messages": messages, **more}
    return httpx.post(f"{url}/chat/completions", json=body, timeout=60)


def events_of(response: httpx.Response) -> list[dict[str, Any]]:
    """The chunks of a stream, whose end mark is there."""
    assert response.headers["content-type"].startswith("text/event-stream")
    lines = [line.removeprefix("data: ") for line in response.text.split("\n\n") if line]
    assert lines.pop() == "[DONE]"
    return [json.loads(line) for line in lines]


def test_the_models_are_listed(url: str) -> None:
    models = httpx.get(f"{url}/models").json()
    assert [model["id"] for model in models["data"]] == ["tiny", "tiny+documents"]


def test_a_stream_says_the_same_as_a_whole_answer(url: str) -> None:
    whole = ask(url, HELLO, seed=3).json()
    chunks = events_of(ask(url, HELLO, seed=3, stream=True))
    said = whole["choices"][0]["message"]
    assert said["role"] == "assistant" and whole["object"] == "chat.completion"
    deltas = [chunk["choices"][0]["delta"].get("content", "") for chunk in chunks]
    assert "".join(deltas) == said["content"] and len(chunks) > 2
    assert chunks[-1]["choices"][0]["finish_reason"] in ("stop", "length")
    assert chunks[-1]["usage"] == whole["usage"]
    assert whole["usage"]["completion_tokens"] <= 12


def test_the_request_says_how_to_answer(url: str) -> None:
    messages = [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "Hello"}]},
    ]
    usage = ask(url, messages, max_completion_tokens=2, temperature=0).json()["usage"]
    assert usage["completion_tokens"] <= 2
    without = ask(url, HELLO, max_tokens=2).json()["usage"]
    assert usage["prompt_tokens"] > without["prompt_tokens"]


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize("how", [{"documents": True}, {"model": "tiny+documents"}])
def test_answers_from_the_library_bring_their_passages(url: str, how: dict[str, Any]) -> None:
    asked = [{"role": "user", "content": QUESTION}]
    whole = ask(url, asked, **how).json()
    assert whole["sources"][0]["document"] == "brenn.pdf"
    chunks = events_of(ask(url, asked, stream=True, **how))
    texts = [text for chunk in chunks if (text := chunk["choices"][0]["delta"].get("content"))]
    assert texts == [whole["choices"][0]["message"]["content"]]  # checked, then sent in one piece
    assert chunks[-1]["sources"] == whole["sources"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"messages": None}, 'needs "messages"'),
        ({"messages": []}, "last message must be the user's"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "role 'tool'"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "role 'user'"),
        ({"messages": [{"role": "user", "content": " "}]}, "message is empty"),
        ({"messages": [{"role": [], "content": "x"}]}, r"role []"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "role 'user'"),
        ({"n": 2}, "one answer"),
        ({"temperature": -1}, "temperature is -1"),
        ({"temperature": "hot"}, "\"temperature\" is 'hot': it must be a number"),
        ({"top_k": True}, '"top_k" is True: it must be a number'),
        ({"strict": "no"}, "\"strict\" is 'no': it must be true or false"),
        ({"documents": "no"}, "\"documents\" is 'no': it must be true or false"),
        ({"max_tokens": 1.5}, "whole number"),
        ({"passages": 2.5}, "whole number"),
        ({"tools": [{}]}, "not supported"),
        ({"documents": True}, "there are no documents"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_a_wrong_request_is_one_sentence(
    url: str, change: dict[str, Any], reason: str, stream: bool
) -> None:
    response = ask(url, **{"messages": HELLO, "stream": stream} | change)
    assert response.status_code == 400
    error = response.json()["error"]
    assert reason in error["message"] and error["type"] == "invalid_request_error"


def test_a_model_is_looked_up_and_what_is_not_there_is_said_in_the_same_form(url: str) -> None:
    listed = httpx.get(f"{url}/models").json()["data"]
    assert [httpx.get(f"{url}/models/{each['id']}").json() for each in listed] == listed
    for method, path in (("GET", "models/other"), ("GET", "chat/completions"), ("GET", "engines")):
        response = httpx.request(method, f"{url}/{path}")
        assert response.status_code in (404, 405)
        assert f"/{path}" in response.json()["error"]["message"]


def test_what_is_no_json_or_too_long_is_refused(url: str) -> None:
    address = f"{url}/chat/completions"
    assert "has no body" in httpx.post(address).json()["error"]["message"]
    for body in (b"{", b"[" * 100_000):
        assert "no JSON" in httpx.post(address, content=body).json()["error"]["message"]
    long = httpx.post(address, content=b" " * (5 << 20))
    assert "more than 4 MB" in long.json()["error"]["message"]


def test_a_models_name_that_is_no_unicode_does_no_harm(url: str) -> None:
    body = json.dumps({"model": "\ud800", "messages": HELLO})
    response = httpx.post(f"{url}/chat/completions", content=body, timeout=60)
    assert response.json()["model"] == "\ufffd" * 3


def test_requests_in_the_name_of_another_host_are_refused(url: str) -> None:
    answer = httpx.get(f"{url}/models", headers={"Host": "evil.example"})
    assert answer.status_code == 400 and "data" not in answer.text
    for own in ("localhost:8000", "[::1]:8000"):
        assert httpx.get(f"{url}/models", headers={"Host": own}).status_code == 200


def test_a_client_that_leaves_early_cancels_its_answer(url: str, assistant: Assistant) -> None:
    body = {"messages": HELLO, "stream": True, "max_tokens": 200}
    with httpx.stream("POST", f"{url}/chat/completions", json=body, timeout=60) as response:
        next(response.iter_lines())
    assert ask(url, HELLO, max_tokens=2).status_code == 200


def test_the_command_names_its_address_and_ends_when_told(tiny_model_dir: Path) -> None:
    flags = ["--model", str(tiny_model_dir), "--library", "memory://", "--port", "0"]
    command = [sys.executable, "-m", "mlx_toy", "serve", *flags]
    with subprocess.Popen(command, cwd=REPOSITORY, text=True, stderr=subprocess.PIPE) as server:
        assert server.stderr is not None
        try:
            line = server.stderr.readline()
            assert line.startswith("mlx-toy is serving on http://127.0.0.1:")
            address = httpx.URL(line.split()[-1] + "/models")
            answer = httpx.Client(transport=httpx.HTTPTransport(retries=5)).get(address)
            assert answer.json()["object"] == "list"
            server.send_signal(signal.SIGTERM)
            assert server.wait(60) == 0 and server.stderr.read() == ""
        finally:
            server.kill()


def test_values_that_are_not_given_are_the_servers_own() -> None:
    defaults = AnswerOptions(temperature=0.1, max_tokens=7)
    asked = parse({"messages": HELLO, "top_p": 0.5, "temperature": None}, defaults, "tiny")
    assert (asked.options.temperature, asked.options.max_tokens, asked.options.top_p) == (
        0.1,
        7,
        0.5,
    )
    assert (asked.model, asked.documents, asked.stream) == ("tiny", False, False)
    with pytest.raises(UserError, match="system prompt has"):
        parse({"messages": [{"role": "system", "content": "x" * 2000}, *HELLO]}, defaults, "tiny")


@pytest.mark.skipif(not HAS_OPENAI, reason="openai is not installed: pip install openai")
@pytest.mark.usefixtures("library")
def test_the_openai_client_chats_streams_and_reads_errors(url: str) -> None:
    import openai

    client = openai.OpenAI(base_url=url, api_key="none")
    assert [model.id for model in client.models.list()] == ["tiny", "tiny+documents"]
    create: Any = client.chat.completions.create
    whole = create(model="tiny", messages=HELLO, seed=3)
    chunks = create(model="tiny", messages=HELLO, seed=3, stream=True)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert text == whole.choices[0].message.content
    asked = [{"role": "user", "content": QUESTION}]
    answer = create(model="tiny", messages=asked, extra_body={"documents": True})
    assert answer.model_extra["sources"][0]["document"] == "brenn.pdf"
    with pytest.raises(openai.BadRequestError, match="one answer"):
        create(model="tiny", messages=HELLO, n=2)
