"""The app in a real browser: what a visitor does, from the first look to removing a document.

One app and one Chromium serve all tests, each in a fresh browser profile. `MLX_TOY_SCREENSHOTS`
names a folder in which the tests leave pictures of what they saw.
"""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from documents_fixtures import make_broken_pdf, make_pdf

from mlx_toy.loaded_model import BUNDLED

sync_api = pytest.importorskip("playwright.sync_api")
expect = sync_api.expect
Page, Browser = sync_api.Page, sync_api.Browser

REPOSITORY = Path(__file__).parent.parent
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
CHROMIUMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PATIENCE_MS = 90_000  # on two busy cores, loading included
BAKERY = [
    "The Harbour Bakery stands at the old pier of Wellmouth.\n"
    "It was opened in 1962 by Ada Brown, who baked only rye bread.",
    "The Harbour Bakery opens at six in the morning from Monday to Saturday.\n"
    "On Sundays it stays closed.",
]


@dataclass(frozen=True)
class App:
    address: str
    uploads: Path  # where Gradio keeps what was dropped


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    expect.set_options(timeout=PATIENCE_MS)
    with sync_api.sync_playwright() as playwright:
        installed = next(filter(None, map(shutil.which, CHROMIUMS)), None)
        try:
            browser = playwright.chromium.launch(executable_path=installed, args=FLAGS)
        except sync_api.Error as error:
            pytest.skip(f"no Chromium starts on this computer: {error.message.splitlines()[0]}")
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def app(
    browser: Browser, tiny_model_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[App]:
    """`python app.py` with the bundled model, or a tiny one where none is bundled yet."""
    folder = tmp_path_factory.mktemp("app")
    command = [sys.executable, "app.py", "--port", "0", "--temperature", "0"]
    command += ["--library", str(folder / "library")]
    if not BUNDLED.exists():
        command += ["--model", str(tiny_model_dir)]
    environment = {**os.environ, "GRADIO_TEMP_DIR": str(folder / "uploads")}
    with (folder / "errors.txt").open("w") as errors:
        process = subprocess.Popen(
            command,
            cwd=REPOSITORY,
            env=environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=errors,
        )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert "listening on" in line, (folder / "errors.txt").read_text()
        yield App(line.split()[-1], folder / "uploads")
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 0
        assert (folder / "errors.txt").read_text() == ""
    finally:
        process.kill()
        process.stdout.close()


@pytest.fixture
def page(browser: Browser, app: App) -> Iterator[Page]:
    """A visitor who sees the page for the first time; nothing may be asked of another server."""
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


def ask(page: Page, text: str, *files: Path) -> None:
    """Send a message, and wait until it is answered."""
    before = page.locator("#chat .bot.message").count()
    if files:
        page.locator("#message input[type=file]").set_input_files([str(path) for path in files])
        expect(page.locator("#message .thumbnail-item")).to_have_count(len(files))
    page.locator("#message textarea").fill(text)
    page.locator("#message textarea").press("Enter")
    expect(page.locator("#chat .bot.message")).not_to_have_count(before)
    expect(page.locator("#message .stop-button")).to_have_count(0)


def shoot(page: Page, name: str) -> None:
    if folder := os.environ.get("MLX_TOY_SCREENSHOTS"):
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)


def test_a_document_answers_shows_its_page_and_is_removed(page: Page, app: App, tmp_path: Path):
    bakery = make_pdf(tmp_path / "Harbour Bakery.pdf", BAKERY)
    ask(page, "When does the Harbour Bakery open in the morning?", bakery)

    expect(page.locator("#chat")).to_contain_text("Harbour Bakery.pdf was added: 2 pages")
    expect(page.locator("#documents")).to_contain_text("Harbour Bakery.pdf")
    source = page.locator("#sources .passage").filter(has_text="six in the morning")
    expect(source).to_contain_text("Harbour Bakery.pdf")
    expect(source.locator(".page")).to_have_text("page 2")
    assert not [path for path in app.uploads.rglob("*") if path.is_file()]
    shoot(page, "document")

    page.locator("#use-documents input").uncheck()
    ask(page, "Hello")
    expect(page.locator("#side")).to_contain_text("not taken from your documents")
    page.locator("#chat [data-testid=bot]").nth(1).click()  # the answer; the note is before it
    expect(source).to_be_visible()

    page.reload()
    expect(page.locator("#documents")).to_contain_text("Harbour Bakery.pdf")
    ask(page, "", bakery)
    expect(page.locator("#chat")).to_contain_text("Harbour Bakery.pdf is already in your library.")

    page.get_by_role("button", name="Remove").click()
    expect(page.locator("#side")).to_contain_text("None yet")
    expect(page.locator("#documents")).to_have_count(0)
    ask(page, "When does the Harbour Bakery open in the morning?")
    expect(page.locator("#sources .passage")).to_have_count(0)


def test_chat_streams_an_answer_with_its_figures(page: Page):
    page.locator("#use-documents input").uncheck()
    ask(page, "Hello, who are you?")
    expect(page.locator("#chat")).to_contain_text("prompt tokens")
    shoot(page, "chat")


def test_an_answer_can_be_stopped_asked_again_and_cleared(page: Page):
    page.locator("#use-documents input").uncheck()
    ask(page, "Tell me a story.")
    page.get_by_role("button", name="Retry").click()
    with suppress(sync_api.TimeoutError):  # a tiny model may be done before the click
        page.locator("#message .stop-button").click(timeout=2_000)
    expect(page.locator("#message .submit-button")).to_be_visible()
    expect(page.locator("#chat .user.message")).to_have_count(1)
    page.get_by_role("button", name="Clear").click()
    expect(page.locator("#chat .user.message")).to_have_count(0)


def test_markup_in_a_name_a_document_or_a_message_is_text(page: Page, tmp_path: Path):
    alerts: list[str] = []
    page.on("dialog", lambda dialog: (alerts.append(dialog.message), dialog.dismiss()))
    markup = "<img src=http://example.com/a.png onerror=alert(1)> ${6*7} {{value}}"
    image = "![x](http://example.com/b.png)"
    secret = tmp_path / "<img src=x onerror=alert(2)>.txt"
    secret.write_text(f"The secret word is {markup} {image} walnut.")
    ask(page, f"What is the secret word? {markup} {image}", secret)
    expect(page.locator("#chat")).to_contain_text(markup)
    expect(page.locator("#sources .passage")).to_contain_text(markup)
    page.get_by_role("button", name="Remove").click()
    expect(page.locator("#documents")).to_have_count(0)
    assert alerts == []


def test_what_cannot_be_answered_is_said_and_nothing_is_lost(page: Page, tmp_path: Path):
    ask(page, "", make_broken_pdf(tmp_path / "broken.pdf"))
    expect(page.locator("#chat")).to_contain_text("broken.pdf is a damaged PDF")
    expect(page.locator(".toast-body")).to_contain_text("broken.pdf is a damaged PDF")
    long = "word " * 200_000
    page.locator("#message textarea").fill(long)
    page.locator("#message textarea").press("Enter")
    expect(page.locator(".toast-wrap")).to_contain_text("The message has")
    expect(page.locator("#message textarea")).to_have_value(long)


def test_the_page_fits_a_phone_in_the_dark(browser: Browser, app: App):
    phone = {"width": 390, "height": 844}
    context = browser.new_context(viewport=phone, color_scheme="dark", is_mobile=True)
    page = context.new_page()
    page.goto(app.address)
    expect(page.locator("#status")).to_contain_text("Ready")
    page.locator("#chat .example").first.click()
    expect(page.locator("#chat")).to_contain_text("prompt tokens")
    assert page.evaluate("document.documentElement.scrollWidth") <= phone["width"]
    shoot(page, "phone")
    context.close()
