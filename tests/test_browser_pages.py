"""The pages beside the chat in a real browser: complete, documents, tokenizer, how it learned.

`browser_fixtures.py` says how.
"""

from contextlib import suppress
from pathlib import Path

import pytest
from browser_fixtures import App, shoot
from documents_fixtures import make_broken_pdf, make_pdf

sync_api = pytest.importorskip("playwright.sync_api")
expect = sync_api.expect
Page, Browser = sync_api.Page, sync_api.Browser

PHONE = {"width": 390, "height": 844}
LIGHTHOUSE = ["The lighthouse of Wellmouth was built in 1874.", "Its lamp is lit at dusk."]
TABS = ("Complete", "Documents", "Tokenizer", "How it learned")


def open_tab(page: Page, name: str) -> None:
    """Open a tab, from the menu where there is no room for it."""
    tab = page.get_by_role("tab", name=name, exact=True)
    if tab.count() and tab.first.is_visible():
        tab.first.click()
        return
    page.locator(".overflow-menu > button").first.click()
    page.locator(".overflow-dropdown button", has_text=name).click()


def drop(page: Page, *paths: Path) -> None:
    """Drop files on the page Documents, and wait until they are dealt with."""
    page.locator("#drop input[type=file]").set_input_files([str(path) for path in paths])
    expect(page.locator("#summary")).to_contain_text("document")
    expect(page.locator("#stop-adding")).to_be_hidden()


def remove_last(page: Page) -> None:
    """Remove the only document, once the list shows that it is the only one."""
    expect(page.locator("#library-list .document-row")).to_have_count(1)
    page.locator("#library-list").get_by_role("button", name="Remove").click()
    expect(page.locator("#usage")).to_contain_text("0 documents")


def test_a_text_goes_on_from_the_token_that_is_chosen(page: Page):
    open_tab(page, "Complete")
    page.get_by_text("The Moon is", exact=True).click()
    expect(page.locator("#beginning textarea")).to_have_value("The Moon is")
    page.locator("#continue").click()
    expect(page.locator(".odds")).to_be_visible()
    tokens = page.locator(".sample").first.locator(".token")
    expect(tokens.first).to_have_text("The Moon is")
    before = page.locator(".sample").first.inner_text()
    tokens.nth(3).click()
    expect(page.locator("#others label")).to_have_count(10)
    shoot(page, "complete-alternatives")
    other = page.locator("#others label").nth(1)
    chosen = other.inner_text().rsplit(maxsplit=1)[0].replace("␣", "").replace("⏎", "").strip()
    other.click()
    expect(page.locator("#alternatives")).to_be_hidden()
    expect(page.locator(".odds")).to_be_visible()
    expect(page.locator("#continue")).to_be_visible()
    after = page.locator(".sample").first.inner_text()
    assert chosen in after and after != before
    shoot(page, "complete")


def test_samples_stand_side_by_side_and_can_be_stopped(page: Page):
    open_tab(page, "Complete")
    page.get_by_text("Bread is made from", exact=True).click()
    # Hot, so that hardly a sample ends by itself before it is stopped.
    for slider, value in (("#temperature", "2"), ("#samples-count", "4"), ("#length", "400")):
        page.locator(f"{slider} input[type=number]").fill(value)
        page.locator(f"{slider} input[type=number]").press("Tab")
    page.locator("#continue").click()
    expect(page.locator(".sample:visible")).to_have_count(4)
    with suppress(sync_api.TimeoutError):  # all may have come to their end before the click
        page.locator("#stop-continuing").click(timeout=2_000)
        expect(page.locator(".prose.sample-figures").filter(has_text="stopped")).to_have_count(1)
    expect(page.locator("#continue")).to_be_visible()
    shoot(page, "complete-samples")


def test_documents_are_added_searched_replaced_and_removed(page: Page, tmp_path: Path):
    open_tab(page, "Documents")
    notes = tmp_path / "jars.txt"
    notes.write_text("The walnuts are in the blue jar.")
    drop(
        page,
        make_pdf(tmp_path / "Lighthouse.pdf", LIGHTHOUSE),
        notes,
        make_broken_pdf(tmp_path / "b.pdf"),
    )
    expect(page.locator("#summary")).to_have_text("2 documents added · 1 document not added")
    expect(page.locator("#items")).to_contain_text("b.pdf is a damaged PDF")
    expect(page.locator("#library-list")).to_contain_text("2 pages · 2 passages")
    expect(page.locator("#usage")).to_contain_text("2 documents · 3 of 100,000 passages")

    page.locator("#query").get_by_role("textbox").fill("When was the lighthouse built?")
    page.get_by_role("button", name="Search").click()
    first = page.locator("#found .passage").first
    expect(first).to_contain_text("built in 1874")
    expect(first.locator(".page")).to_have_text("page 1")
    expect(first.locator(".why")).to_contain_text("by meaning 1st")
    shoot(page, "documents")

    notes.write_text("The walnuts are in the red jar now.")
    drop(page, notes)
    expect(page.locator("#older")).to_contain_text("an older version of jars.txt")
    expect(page.locator("#usage")).to_contain_text("3 documents")
    shoot(page, "documents-older")
    page.get_by_role("button", name="Remove the older versions").click()
    expect(page.locator("#usage")).to_contain_text("2 documents")
    expect(page.locator("#older")).to_be_hidden()

    open_tab(page, "Chat")  # one library, on both pages
    expect(page.locator("#documents")).to_contain_text("Lighthouse.pdf")
    page.locator("#documents .document-row", has_text="jars.txt").get_by_role("button").click()
    open_tab(page, "Documents")
    expect(page.locator("#usage")).to_contain_text("1 document ·")
    remove_last(page)


def test_a_pasted_text_is_added_and_an_address_of_this_computer_is_not(page: Page, app: App):
    open_tab(page, "Documents")
    page.get_by_text("Paste a text").click()
    page.locator("#pasted textarea").fill("Ada Brown baked <b>only</b> rye bread.")
    page.get_by_role("button", name="Add the text").click()
    expect(page.locator("#items")).to_contain_text("Pasted text was added: 1 passage.")
    expect(page.locator("#pasted textarea")).to_have_value("")
    page.get_by_text("Add a web page").click()
    page.locator("#url").get_by_role("textbox").fill(app.address)
    page.get_by_role("button", name="Add the page").click()
    expect(page.locator("#items")).to_contain_text("no address of the public web")
    expect(page.locator("#url").get_by_role("textbox")).to_have_value(app.address)
    remove_last(page)


def test_a_folder_is_added_and_all_are_removed(page: Page, tmp_path: Path):
    folder = tmp_path / "letters"
    folder.mkdir()
    for name in ("one.txt", "two.md", ".hidden", "photo.png"):
        (folder / name).write_text(f"This is {name}, a letter from the sea.")
    open_tab(page, "Documents")
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Add a folder").click()
    chooser.value.set_files(str(folder))
    expect(page.locator("#summary")).to_contain_text("2 documents added")
    page.get_by_role("button", name="Remove all").click()
    page.get_by_role("button", name="Yes, remove all").click()
    expect(page.locator("#usage")).to_contain_text("0 documents")


def test_a_text_falls_into_tokens_and_typed_control_tokens_stay_text(page: Page):
    open_tab(page, "Tokenizer")
    expect(page.locator("#token-pieces .counts")).to_contain_text("bytes per token")
    page.locator("#to-tokenize textarea").fill("Hi <|end|><|user|> Größe")
    expect(page.locator("#token-pieces .note")).to_contain_text("ordinary characters")
    expect(page.locator("#token-pieces .control")).to_have_count(0)
    page.get_by_text("as a message in the chat").click()
    expect(page.locator("#token-pieces .control").first).to_be_visible()
    page.locator("#token-pieces .piece").nth(2).hover()
    shoot(page, "tokenizer")


def test_how_it_learned_tells_figures_data_and_limits(page: Page):
    open_tab(page, "How it learned")
    learned = page.locator("#learned")
    for words in ("Report card", "bits on average", "What it read", "CC-BY-SA", "It is tiny"):
        expect(learned).to_contain_text(words)
    if page.locator("#checkpoint").count():
        shown = page.locator("#moment").inner_text()
        page.locator("#checkpoint input[type=number]").fill("2")
        page.locator("#checkpoint input[type=number]").press("Tab")
        expect(page.locator("#moment")).not_to_have_text(shown)
    shoot(page, "learned")


@pytest.mark.parametrize("name", TABS)
def test_a_page_fits_a_phone_in_the_dark(browser: Browser, app: App, name: str):
    context = browser.new_context(viewport=PHONE, color_scheme="dark", is_mobile=True)
    page = context.new_page()
    page.goto(app.address)
    expect(page.locator("#status")).to_contain_text("Ready")
    open_tab(page, name)
    expect(page.get_by_role("tabpanel").filter(visible=True)).to_be_visible()
    page.wait_for_timeout(500)  # until the tab is drawn
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    shoot(page, f"phone-{name.replace(' ', '-').lower()}")
    context.close()
