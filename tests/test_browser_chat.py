"""The chat in a real browser: talk, stop, edit, undo; conversations and settings that last."""

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from browser_fixtures import SETTLED_MS, App, ask, shoot
from documents_fixtures import make_pdf

sync_api = pytest.importorskip("playwright.sync_api")
expect = sync_api.expect
Page, Browser, Locator = sync_api.Page, sync_api.Browser, sync_api.Locator

QUESTIONS, ANSWERS = "#chat .user.message", "#chat .bot.message"


def button(page: Page, name: str) -> Locator:
    return page.get_by_role("button", name=name, exact=True).last


def conversations(page: Page) -> Locator:
    return page.locator("#conversations label")


@contextmanager
def phone(browser: Browser, app: App, scheme: str) -> Iterator[Page]:
    size = {"width": 390, "height": 844}
    context = browser.new_context(viewport=size, color_scheme=scheme, is_mobile=True)
    page = context.new_page()
    page.goto(app.address)
    expect(page.locator("#status")).to_contain_text("Ready")
    yield page
    assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
    context.close()


def test_a_first_visit_shows_what_to_do(page: Page):
    expect(page.locator("#chat .example")).to_have_count(3)
    expect(button(page, "New chat")).to_be_visible()
    expect(page.locator("#sidebar")).to_contain_text("kept in this browser")
    expect(conversations(page)).to_have_count(0)
    shoot(page, "first-visit")
    page.locator("#chat .example").first.click()
    expect(page.locator(ANSWERS)).to_contain_text(["tokens of context"])
    expect(conversations(page)).to_have_count(1)
    shoot(page, "chat")


def test_a_written_reply_says_so_and_can_be_switched_off(page: Page):
    ask(page, "what is a lighthouse")
    expect(page.locator(ANSWERS).last).to_contain_text("written beforehand")
    expect(page.locator("#sources")).to_contain_text("it was written beforehand, for")
    shoot(page, "written-reply")
    page.get_by_role("button", name="Settings").click()
    page.wait_for_timeout(SETTLED_MS)  # what was kept is restored when the panel opens
    page.locator("#written-replies input").uncheck()
    page.wait_for_timeout(SETTLED_MS)
    button(page, "New chat").click()
    ask(page, "what is a lighthouse")
    expect(page.locator(ANSWERS).last).to_contain_text("tokens of context")
    expect(page.locator(ANSWERS).last).not_to_contain_text("written beforehand")


def test_an_answer_can_be_stopped_asked_again_and_put_aside(page: Page):
    ask(page, "Tell me a story.")
    button(page, "Retry").click()
    with suppress(sync_api.TimeoutError):  # a tiny model may be done before the click
        page.locator("#message .stop-button").click(timeout=2_000)
    expect(page.locator("#message .submit-button")).to_be_visible()
    expect(page.locator(QUESTIONS)).to_have_count(1)
    button(page, "Clear").click()
    expect(page.locator(QUESTIONS)).to_have_count(0)
    expect(conversations(page)).to_have_count(1)


def test_an_earlier_question_is_edited_and_the_conversation_goes_on_from_there(page: Page):
    ask(page, "Hello")
    ask(page, "Thank you")
    page.get_by_role("button", name="Edit", exact=True).first.click()
    page.locator("#chat textarea").fill("Is 1 < 2 & <b>bold</b>?")
    page.locator("#chat").get_by_role("button", name="Submit").click()
    expect(page.locator(QUESTIONS)).to_have_count(1)
    expect(page.locator(QUESTIONS)).to_contain_text("Is 1 < 2 & <b>bold</b>?")
    expect(page.locator(ANSWERS)).to_contain_text(["tokens of context"])
    expect(conversations(page)).to_have_text(["Is 1 < 2 & <b>bold</b>?"])
    shoot(page, "edited")


def test_undo_puts_the_question_back_into_the_box(page: Page):
    ask(page, "Hello")
    ask(page, "Thank you")
    button(page, "Undo").click()
    expect(page.locator("#message textarea")).to_have_value("Thank you")
    expect(page.locator(QUESTIONS)).to_have_count(1)
    button(page, "Undo").click()
    expect(page.locator(QUESTIONS)).to_have_count(0)
    expect(conversations(page)).to_have_count(0)


def test_conversations_are_listed_opened_named_and_deleted(page: Page):
    ask(page, "Hello")
    button(page, "New chat").click()
    expect(page.locator(QUESTIONS)).to_have_count(0)
    ask(page, "Thank you")
    expect(conversations(page)).to_have_text(["Thank you", "Hello"])
    conversations(page).last.click()
    expect(page.locator(QUESTIONS)).to_contain_text(["Hello"])

    button(page, "Rename").click()
    name = page.locator("#conversation-title input, #conversation-title textarea")
    expect(name).to_be_focused()
    name.fill("A <i>greeting</i>")
    page.keyboard.press("Enter")
    expect(conversations(page)).to_have_text(["Thank you", "A <i>greeting</i>"])
    shoot(page, "conversations")

    button(page, "Delete").click()
    button(page, "Keep it").click()
    button(page, "Delete").click()
    button(page, "Delete it").click()
    expect(conversations(page)).to_have_text(["Thank you"])
    expect(page.locator(QUESTIONS)).to_have_count(0)


def test_a_conversation_is_exported_with_its_thumbs(page: Page):
    ask(page, "Hello")
    button(page, "Like").click()
    button(page, "Export").click()
    with page.expect_download() as download:
        button(page, "JSON").click()
    assert download.value.suggested_filename == "Hello.json"
    exported = json.loads(Path(download.value.path()).read_text())
    assert [message["role"] for message in exported["messages"]] == ["user", "assistant"]
    assert exported["messages"][1]["liked"] is True
    with page.expect_download() as download:
        button(page, "Markdown").click()
    assert Path(download.value.path()).read_text().startswith("# Hello\n\n**You:** Hello\n")


def test_reload_finds_the_conversation_its_thumb_and_its_sources(page: Page, tmp_path: Path):
    pier = ["The pier of Wellmouth was built in 1911 by the engineer Hugo Lamb."]
    ask(page, "When was the pier of Wellmouth built?", make_pdf(tmp_path / "pier.pdf", pier))
    button(page, "Dislike").click()
    ask(page, "And who built it?")
    expect(page.locator(ANSWERS).last).to_contain_text("And who built it? pier Wellmouth")
    page.reload()
    expect(page.locator("#status")).to_contain_text("Ready")
    expect(page.locator(QUESTIONS)).to_have_count(3)  # what was attached is one of them
    expect(page.locator("#sources .passage")).to_have_count(0)
    page.locator("#chat [data-testid=bot]").nth(1).click()
    expect(page.locator("#sources .passage").first).to_contain_text("built in 1911")
    shoot(page, "reloaded")
    button(page, "Export").click()
    with page.expect_download() as download:
        button(page, "JSON").click()
    exported = json.loads(Path(download.value.path()).read_text())
    assert exported["messages"][3]["liked"] is False
    page.get_by_role("button", name="Remove").click()
    expect(page.locator("#documents")).to_have_count(0)
    page.locator("#chat [data-testid=bot]").nth(1).click()
    expect(page.locator("#sources")).to_contain_text("not in your library any more")


def test_what_no_document_answers_is_asked_of_the_model_with_one_click(page: Page, tmp_path: Path):
    pier = ["The pier of Wellmouth was built in 1911 by the engineer Hugo Lamb."]
    ask(page, "", make_pdf(tmp_path / "pier.pdf", pier))
    ask(page, "Hello, who are you?")
    expect(page.locator("#sources")).to_contain_text("not taken from your documents")
    ask(page, "Which enzyme splits lactose in cheese?")
    expect(page.locator(ANSWERS).last).to_contain_text("Nothing in your documents")
    shoot(page, "nothing-near")
    page.get_by_role("button", name="Ask the model itself").click()
    expect(page.locator(ANSWERS).last).to_contain_text("tokens of context")
    expect(page.get_by_role("button", name="Ask the model itself")).to_have_count(0)
    page.get_by_role("button", name="Remove").click()
    expect(page.locator("#documents")).to_have_count(0)


def test_settings_are_kept_by_the_browser_and_reset(page: Page):
    page.get_by_role("button", name="Settings").click()
    temperature = page.locator("#dial-temperature input[type=number]")
    expect(temperature).to_have_value("0")  # as the app was started
    shoot(page, "settings")
    temperature.fill("1.2")
    temperature.press("Tab")
    page.locator("#strict input").uncheck()
    page.locator("#system-prompt textarea").fill("Be brief.")  # as a paste does, without a key
    ask(page, "Hello")
    page.reload()
    expect(page.locator("#status")).to_contain_text("Ready")
    page.get_by_role("button", name="Settings").click()
    expect(temperature).to_have_value("1.2")
    expect(page.locator("#system-prompt textarea")).to_have_value("Be brief.")
    expect(page.locator("#strict input")).not_to_be_checked()
    page.locator("#reset-settings").click()
    expect(temperature).to_have_value("0")
    expect(page.locator("#strict input")).to_be_checked()
    expect(page.locator("#system-prompt textarea")).to_have_value("")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_chat_fits_a_phone(browser: Browser, app: App, scheme: str):
    with phone(browser, app, scheme) as page:
        page.locator("#chat .example").first.click()
        expect(page.locator(ANSWERS)).to_contain_text(["tokens of context"])
        shoot(page, f"phone-{scheme}")
        expect(button(page, "New chat")).not_to_be_in_viewport()
        page.get_by_role("button", name="Toggle Sidebar").click()
        expect(button(page, "New chat")).to_be_in_viewport()
        page.wait_for_timeout(500)  # it slides in
        shoot(page, f"phone-sidebar-{scheme}")
        button(page, "New chat").click()
        expect(page.locator(QUESTIONS)).to_have_count(0)
        expect(button(page, "New chat")).not_to_be_in_viewport()


def test_a_desk_in_the_dark(browser: Browser, app: App):
    context = browser.new_context(viewport={"width": 1280, "height": 860}, color_scheme="dark")
    page = context.new_page()
    page.goto(app.address)
    expect(page.locator("#status")).to_contain_text("Ready")
    ask(page, "Hello, who are you?")
    page.get_by_role("button", name="Settings").click()
    page.wait_for_timeout(500)
    shoot(page, "dark")
    context.close()
