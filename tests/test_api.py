"""The app for programs: typed endpoints, one library for each caller, tools for MCP clients."""

import asyncio
import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from cli_fixtures import PAGES, QUESTION
from documents_fixtures import make_pdf
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError

from mlx_toy.assistant import Assistant
from mlx_toy.errors import UserError
from mlx_toy.settings import Settings
from mlx_toy.ui import server
from mlx_toy.ui.loading import Loading

HAS_MCP = importlib.util.find_spec("mcp") is not None


@contextmanager
def running(model: Path, library: Path, mcp: bool = False) -> Iterator[str]:
    """The address of the app with the tiny model."""
    from mlx_toy.ui.page import build, launch

    settings = Settings(model=str(model), library=str(library), max_tokens=12)
    loading = Loading(lambda: Assistant.load(settings))
    loading.start()
    page = build(settings, loading)
    port = server.choose_port(settings.host, 0)
    try:
        launch(page, settings, port, mcp)
        yield f"http://{settings.host}:{port}"
    finally:
        page.close(verbose=False)
        loading.close()


@pytest.fixture(scope="module")
def address(tiny_model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running(tiny_model_dir, tmp_path_factory.mktemp("api"), mcp=HAS_MCP) as address:
        yield address


@pytest.fixture(scope="module")
def client(address: str) -> Iterator[Client]:
    client = Client(address, verbose=False, analytics_enabled=False)
    yield client
    client.close()


@pytest.fixture(scope="module")
def stored(client: Client, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The library holds one document."""
    pdf = make_pdf(tmp_path_factory.mktemp("pdf") / "brenn.pdf", PAGES)
    return client.predict(file=handle_file(pdf), api_name="/add_document")


def test_the_endpoints_are_named_and_typed(client: Client) -> None:
    endpoints = client.view_api(return_format="dict")["named_endpoints"]
    assert set(endpoints) == {
        "/ask",
        "/search",
        "/chat",
        "/complete",
        "/add_document",
        "/new_workspace",
    }
    types = {
        parameter["parameter_name"]: parameter["type"].get("type")
        for parameter in endpoints["/search"]["parameters"]
    }
    assert types == {"query": "string", "count": "integer", "secret": "string"}


def test_a_file_of_another_kind_is_refused_in_one_sentence(client: Client, tmp_path: Path) -> None:
    picture = tmp_path / "dog.png"
    picture.write_bytes(b"\x89PNG")
    with pytest.raises(AppError, match=r"dog\.png: \.png files cannot be read; save it as PDF"):
        client.predict(file=handle_file(picture), api_name="/add_document")


def test_a_document_is_added_found_and_asked_about(client: Client, stored: dict[str, Any]) -> None:
    assert (stored["name"], stored["pages"]) == ("brenn.pdf", 2)
    hits = client.predict(QUESTION, count=1, api_name="/search")
    assert [(hit["document"], hit["page"]) for hit in hits] == [("brenn.pdf", 1)]
    reply = client.predict(QUESTION, api_name="/ask")
    assert reply["sources"][0]["document"] == "brenn.pdf"
    cited = [source for source in reply["sources"] if source["span"]]
    assert reply["abstained"] or cited[0]["span"] in cited[0]["text"]


def test_a_conversation_and_a_completion(client: Client) -> None:
    history = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello."}]
    reply = client.predict(
        "How are you?", history, use_documents=False, max_tokens=3, api_name="/chat"
    )
    assert reply["sources"] == [] and reply["stats"]["tokens"] <= 3
    assert isinstance(client.predict("Once", max_tokens=4, api_name="/complete"), str)


@pytest.mark.parametrize(
    ("endpoint", "arguments", "sentence"),
    [
        ("/ask", {"question": " "}, "The message is empty"),
        ("/ask", {"question": "Why?", "passages": 99}, "it must be 1 to 10"),
        ("/ask", {"question": "Why?", "passages": "many"}, "whole number"),
        ("/search", {"query": "Why?", "count": 0}, "use 1 to 50"),
        ("/chat", {"message": "Hi", "history": [{"role": "tool", "content": "x"}]}, "Each turn"),
        ("/search", {"query": "Why?", "count": "3"}, "use 1 to 50"),
        ("/search", {"query": ["Why?"]}, "Query must be text"),
        ("/chat", {"message": "Hi", "history": "x"}, "must be a list"),
        ("/chat", {"message": "Hi", "system_prompt": ["x"]}, "System_prompt must be text"),
        ("/complete", {"text": 5}, "Text must be text"),
        ("/complete", {"text": "Once", "temperature": -1}, "Temperature is -1"),
    ],
)
def test_a_wrong_request_is_one_sentence(
    client: Client, stored: dict[str, Any], endpoint: str, arguments: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(AppError, match=sentence):
        client.predict(**arguments, api_name=endpoint)


def test_a_file_of_the_server_is_not_read(
    address: str, client: Client, stored: dict[str, Any], tmp_path: Path
) -> None:
    secret_file = tmp_path / "secret.txt"
    secret_file.write_text("Nobody may read this.")
    forged = {"path": str(secret_file), "meta": {"_type": "gradio.FileData"}}
    call = f"{address}/gradio_api/call/add_document"
    event = httpx.post(call, json={"data": [forged, ""]}).json()["event_id"]
    assert "event: error" in httpx.get(f"{call}/{event}").text
    assert secret_file.exists()
    assert client.predict("Nobody may read this.", count=1, api_name="/search")[0]["page"]


def test_requests_in_the_name_of_another_host_are_refused(address: str) -> None:
    for path in ("/", "/config", "/gradio_api/call/search", "/gradio_api/mcp/"):
        answer = httpx.post(f"{address}{path}", headers={"Host": "evil.example"}, json={})
        assert answer.status_code == 400 and "host" in answer.text.lower()
    assert httpx.get(address, headers={"Host": "localhost:7860"}).status_code == 200


def test_on_a_space_a_caller_reaches_its_own_library_only(
    tiny_model_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPACE_ID", "somebody/mlx-toy")
    notes = tmp_path / "notes.txt"
    notes.write_text("Walnuts are in the blue jar.")
    with running(tiny_model_dir, tmp_path / "library") as address:
        client = Client(address, verbose=False, analytics_enabled=False)
        mine = client.predict(api_name="/new_workspace")
        yours = client.predict(api_name="/new_workspace")
        assert mine != yours
        client.predict(file=handle_file(notes), secret=mine, api_name="/add_document")
        for secret, count in ((mine, 1), (yours, 0)):
            hits = client.predict("Where are the walnuts?", secret=secret, api_name="/search")
            assert len(hits) == count
        with pytest.raises(AppError, match="no documents to answer from"):
            client.predict("Where are the walnuts?", secret=yours, api_name="/ask")
        for secret in ("", "default", "visitor-1"):
            with pytest.raises(AppError, match="Send the secret of your workspace"):
                client.predict("Where are the walnuts?", secret=secret, api_name="/search")
        client.close()


# --- MCP ------------------------------------------------------------------------------------------


@pytest.mark.skipif(not HAS_MCP, reason="mcp is not installed: pip install -r requirements.txt")
def test_mcp_clients_ask_and_search(address: str, stored: dict[str, Any]) -> None:
    from mcp import ClientSession
    from mcp.client.streamable_http import streamable_http_client

    async def talk() -> tuple[Any, Any, Any]:
        async with (
            streamable_http_client(f"{address}/gradio_api/mcp/") as (read, write, _),
            ClientSession(read, write) as session,
        ):
            await session.initialize()
            tools = (await session.list_tools()).tools
            found = await session.call_tool("search_documents", {"query": QUESTION, "count": 1})
            asked = await session.call_tool("ask", {"question": QUESTION})
            return tools, found, asked

    tools, found, asked = asyncio.run(talk())
    by_name = {tool.name: tool for tool in tools}
    assert set(by_name) == {"ask", "search_documents"}
    assert "stands verbatim in the passage" in by_name["ask"].description
    question = by_name["ask"].inputSchema["properties"]["question"]
    assert question["type"] == "string" and "full question" in question["description"]
    assert not found.isError and "brenn.pdf" in found.content[0].text
    assert not asked.isError and "abstained" in asked.content[0].text


def test_without_the_package_mcp_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(server.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="pip install"):
        server.check_mcp()
    assert server.main(["--mcp"]) == 2
    assert "--mcp needs one more package" in capsys.readouterr().err
