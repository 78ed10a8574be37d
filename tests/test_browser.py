"""The app in a real browser: what a visitor does, from the first look to removing a document.

`browser_fixtures.py` says how.
"""

from pathlib import Path

import pytest
from browser_fixtures import App, ask, shoot
from documents_fixtures import make_broken_pdf, make_pdf

sync_api = pytest.importorskip("playwright.sync_api")
expect = sync_api.expect
Page = sync_api.Page

BAKERY = [
    "The Harbour Bakery stands at the old pier of Wellmouth.\n"
    "It was opened in 1962 by Ada Brown, who baked only rye bread.",
    "The Harbour Bakery opens at six in the morning from Monday to Saturday.\n"
    "On Sundays it stays closed.",
]


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
