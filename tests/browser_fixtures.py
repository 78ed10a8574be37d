"""The app in a real browser, for all tests that need it: one app and one Chromium a test run.

Each test has a fresh browser profile. `MLX_TOY_SCREENSHOTS` names a folder in which the tests leave
pictures of what they saw.
"""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mlx_toy.loaded_model import BUNDLED

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

REPOSITORY = Path(__file__).parent.parent
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
CHROMIUMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PATIENCE_MS = 90_000  # on two busy cores, loading included
SETTLED_MS = 1_000  # in which a change of the settings reaches the server


@dataclass(frozen=True)
class App:
    address: str
    uploads: Path  # where Gradio keeps what was dropped


@pytest.fixture(scope="session")
def browser() -> "Iterator[Browser]":
    """Debian's or the user's own Chromium."""
    sync_api = pytest.importorskip("playwright.sync_api")
    sync_api.expect.set_options(timeout=PATIENCE_MS)
    with sync_api.sync_playwright() as playwright:
        installed = next(filter(None, map(shutil.which, CHROMIUMS)), None)
        try:
            browser = playwright.chromium.launch(executable_path=installed, args=FLAGS)
        except sync_api.Error as error:
            pytest.skip(f"no Chromium starts on this computer: {error.message.splitlines()[0]}")
        yield browser
        browser.close()


@contextmanager
def running_app(
    folder: Path, *flags: str, complaint: str = "", **environment: str
) -> Iterator[App]:
    """`python app.py` with a library in `folder`; it must end when told.

    What it says on its error stream must hold `complaint`, or be nothing if there is none.
    """
    command = [sys.executable, "app.py", "--port", "0", "--temperature", "0"]
    command += ["--library", str(folder / "library"), "--host", "127.0.0.1", *flags]
    uploads = folder / "uploads"
    with (folder / "errors.txt").open("w") as errors:
        process = subprocess.Popen(
            command,
            cwd=REPOSITORY,
            env={**os.environ, "GRADIO_TEMP_DIR": str(uploads), **environment},
            text=True,
            stdout=subprocess.PIPE,
            stderr=errors,
        )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert "listening on" in line, (folder / "errors.txt").read_text()
        yield App(line.split()[-1], uploads)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 0
        said = (folder / "errors.txt").read_text()
        assert complaint in said and bool(complaint) == bool(said), said
    finally:
        process.kill()
        process.stdout.close()


@pytest.fixture(scope="session")
def app(
    browser: "Browser", tiny_model_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[App]:
    """The app with the bundled model, or a tiny one where none is bundled yet."""
    flags = [] if BUNDLED.exists() else ["--model", str(tiny_model_dir)]
    with running_app(tmp_path_factory.mktemp("app"), *flags) as started:
        yield started


@pytest.fixture
def page(browser: "Browser", app: App) -> "Iterator[Page]":
    """A visitor who sees the page for the first time; nothing may be asked of another server."""
    from playwright.sync_api import expect

    context = browser.new_context(viewport={"width": 1280, "height": 860})
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    outside: list[str] = []
    page.on("request", lambda request: outside.append(request.url))
    page.goto(app.address)
    expect(page.locator("#status")).to_contain_text("Ready")
    yield page
    context.close()
    ours = (app.address, "data:", "blob:")
    assert [url for url in outside if not url.startswith(ours)] == []


def ask(page: "Page", text: str, *files: Path) -> None:
    """Send a message, and wait until it is answered."""
    from playwright.sync_api import expect

    before = page.locator("#chat .bot.message").count()
    if files:
        page.locator("#message input[type=file]").set_input_files([str(path) for path in files])
        expect(page.locator("#message .thumbnail-item")).to_have_count(len(files))
    page.locator("#message textarea").fill(text)
    page.locator("#message textarea").press("Enter")
    expect(page.locator("#chat .bot.message")).not_to_have_count(before)
    page.wait_for_timeout(300)  # the Stop button appears after the first words
    expect(page.locator("#message .stop-button")).to_have_count(0)


def shoot(page: "Page", name: str) -> None:
    if folder := os.environ.get("MLX_TOY_SCREENSHOTS"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)
