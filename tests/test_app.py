"""The app without a browser: what a message does, and how the app starts, fails and ends."""

import json
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from documents_fixtures import make_broken_pdf, make_pdf

from mlx_toy.assistant import MAX_MESSAGE, Assistant
from mlx_toy.errors import UserError
from mlx_toy.settings import Settings
from mlx_toy.ui.chat import Request, View, send
from mlx_toy.ui.conversation import answer_turn, user_turn
from mlx_toy.ui.loading import Loading
from mlx_toy.ui.server import choose_port, shown_host

REPOSITORY = Path(__file__).parent.parent
PATIENCE_S = 90


# --- a message, from the page to the assistant ----------------------------------------------------


@pytest.fixture(scope="module")
def loading(tiny_model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loading]:
    library = tmp_path_factory.mktemp("app") / "library"
    settings = Settings(model=str(tiny_model_dir), library=str(library), max_tokens=12)
    loading = Loading(lambda: Assistant.load(settings))
    loading.start()
    yield loading
    loading.close()


def views(loading: Loading, text: str = "", files: tuple[Path, ...] = (), **more) -> list[View]:
    more = {"history": [], "workspace": "w", "use_documents": True, **more}
    return list(send(loading, Request(text, [str(path) for path in files], **more)))


def test_a_document_is_added_asked_about_and_its_upload_deleted(loading: Loading, tmp_path: Path):
    (tmp_path / "hash").mkdir()
    upload = make_pdf(tmp_path / "hash" / "Bakery.pdf", ["The bakery opens at six."])
    seen = views(loading, "When does the bakery open?", (upload,), workspace="bakery")
    assert not upload.parent.exists()
    last = seen[-1]
    assert not last.busy and last.sources is not None
    assert "The bakery opens at six." in [source.hit.text for source in last.sources.sources]
    words = [turn.text for turn in last.history]
    assert words[:3] == [
        "Attached: Bakery.pdf",
        "Bakery.pdf was added: 1 page, 1 passage.",
        "When does the bakery open?",
    ]
    assert [document.name for view in seen for document in view.documents or []] == ["Bakery.pdf"]


def test_files_that_cannot_be_read_say_so_and_the_others_are_added(
    loading: Loading, tmp_path: Path
):
    broken = make_broken_pdf(tmp_path / "broken.pdf")
    notes = tmp_path / "notes.txt"
    notes.write_text("Walnuts are in the blue jar.")
    seen = views(loading, "", (broken, notes), workspace="files")
    warnings = [warning for view in seen for warning in view.warnings]
    assert len(warnings) == 1 and "broken.pdf" in warnings[0]
    assert warnings[0] in seen[-1].history[-1].text
    assert "notes.txt was added" in seen[-1].history[-1].text
    assert not broken.exists() and not notes.exists()


def test_chat_without_documents_streams_to_a_line_of_figures(loading: Loading):
    seen = views(loading, "Hello", workspace="nobody")
    assert [view.busy for view in seen[:-1]] == [True] * (len(seen) - 1)
    assert seen[0].box == "" and seen[0].history[0].text == "Hello"
    assert not seen[-1].busy and seen[-1].sources.sources == ()


@pytest.mark.parametrize("text", ["", "  \n", "x" * (MAX_MESSAGE + 1)])
def test_a_message_that_cannot_be_answered_stays_in_the_box(loading: Loading, text: str):
    history = [user_turn("before"), answer_turn("then")]
    last = views(loading, text, history=history)[-1]
    assert last.history == history and last.box == text and not last.busy
    assert len(last.warnings) == 1


def test_a_stopped_answer_keeps_what_was_said(loading: Loading):
    last = views(loading, "Hello", workspace="nobody", stopped=lambda: True)[-1]
    assert not last.busy
    assert "stopped" in str(last.history[-1]).lower()


# --- starting, failing, ending --------------------------------------------------------------------


@pytest.fixture
def broken_model_dir(tiny_model_dir: Path, tmp_path: Path) -> Path:
    path = tmp_path / "broken-model"
    path.mkdir()
    for file in tiny_model_dir.iterdir():
        if file.name != "model.safetensors":
            (path / file.name).write_bytes(file.read_bytes())
    return path


def test_a_broken_model_is_a_sentence_for_whoever_asks(broken_model_dir: Path, tmp_path: Path):
    settings = Settings(model=str(broken_model_dir), library=str(tmp_path / "library"))
    loading = Loading(lambda: Assistant.load(settings))
    loading.start()
    last = views(loading, "Hello")[-1]
    assert loading.status().state == "failed"
    assert "has no weights" in loading.status().line
    assert last.warnings == [loading.status().line] and last.box == "Hello"
    loading.close()


def test_waiting_for_the_model_can_be_stopped():
    released = threading.Event()

    def load() -> Assistant:
        released.wait()
        raise UserError("it was never wanted")

    loading = Loading(load)
    loading.start()
    last = views(loading, "Hello", stopped=lambda: True)[-1]
    assert last.box == "Hello" and "still loading" in last.warnings[0]
    released.set()
    loading.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_the_page_answers_before_the_model_is_ready(host: str, tmp_path: Path):
    from mlx_toy.ui.page import build, launch

    loading = Loading(lambda: pytest.fail("never started"))
    settings = Settings(library=str(tmp_path), host=host)
    try:
        port = choose_port(settings.host, 0)
    except UserError:
        pytest.skip(f"this computer has no {host}")
    page = build(settings, loading)
    try:
        launch(page, settings, port)
        with urllib.request.urlopen(f"http://{shown_host(host)}:{port}/config") as answer:
            config = answer.read().decode()
        assert "Loading the model" in config
        named = {
            call["api_name"]
            for call in json.loads(config)["dependencies"]
            if call["api_visibility"] == "public"
        }
        assert named == {"ask", "search", "chat", "complete", "add_document", "new_workspace"}
    finally:
        page.close(verbose=False)


def test_a_busy_port_is_one_sentence_and_exit_code_2():
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        port = busy.getsockname()[1]
        ended = subprocess.run(
            [sys.executable, "app.py", "--port", str(port)],
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
        )
    assert ended.returncode == 2 and ended.stdout == ""
    assert ended.stderr.count("\n") == 1 and f"port {port} is in use" in ended.stderr


def test_without_a_port_the_next_free_one_is_taken():
    first = choose_port("127.0.0.1", None)
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", first))
        busy.listen()
        assert choose_port("127.0.0.1", None) > first


def test_app_names_its_address_answers_there_and_ends_when_told(
    broken_model_dir: Path, tmp_path: Path
):
    flags = [
        "--port",
        "0",
        "--model",
        str(broken_model_dir),
        "--library",
        str(tmp_path / "library"),
    ]
    app = subprocess.Popen(
        [sys.executable, "app.py", *flags],
        cwd=REPOSITORY,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        assert app.stdout is not None and app.stderr is not None
        line = app.stdout.readline()
        assert line.startswith("mlx-toy is listening on http://127.0.0.1:")
        with urllib.request.urlopen(line.split()[-1]) as answer:
            assert b"mlx-toy" in answer.read()
        assert "has no weights" in app.stderr.readline()  # and the page is still there
        app.send_signal(signal.SIGTERM)
        rest = app.communicate(timeout=PATIENCE_S)
        assert app.returncode == 0 and rest == ("", "")
    finally:
        app.kill()
