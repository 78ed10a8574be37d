"""Sources and tokens in a real browser: from an answer to the place that it was taken from."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from archive_fixtures import make_word, paragraph
from browser_fixtures import App, ask, shoot
from documents_fixtures import make_pdf

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

expect = pytest.importorskip("playwright.sync_api").expect

BAKERY = [
    "The Harbour Bakery stands at the old pier of Wellmouth.\n"
    "It was opened in 1962 by Ada Brown, who baked only rye bread.",
    "The Harbour Bakery opens at six in the morning from Monday to Satur-\n"
    "day. On Sundays it stays closed.",
]
LIGHTHOUSE = """<h1>The lighthouse of Gull Point</h1>
<p>The lighthouse was built in 1871 of grey granite.</p>
<h2>The lamp</h2><p>Its lamp burns rape oil. It is lit at dusk by the keeper.</p>
<h2>Visits</h2><p>Visitors may climb the tower on Sundays.</p>"""
FERRY = [
    "Dear Ada, thank you for asking about the ferry.",
    "The ferry to Shell Island leaves at half past nine.",
    "Dogs travel free of charge. Yours, Tom",
]


def open_cited(page: "Page") -> None:
    """Unfold the place in its document of the passage that the answer cites."""
    cited = page.locator("#sources .passage.cited")
    expect(cited).to_have_count(1)
    number = int(cited.locator(".number").inner_text())
    page.locator("#sources .in-document").nth(number - 1).get_by_role("button").click()


def remove_all(page: "Page") -> None:
    buttons = page.locator("#documents").get_by_role("button", name="Remove")
    for left in range(buttons.count(), 0, -1):
        buttons.first.click()
        expect(buttons).to_have_count(left - 1)


def test_an_answer_leads_to_the_page_of_a_pdf_and_to_its_tokens(page: "Page", tmp_path: Path):
    bakery = make_pdf(tmp_path / "Harbour Bakery.pdf", BAKERY)
    ask(page, "When does the Harbour Bakery open in the morning?", bakery)
    citation = page.locator("#citations").get_by_role("link")
    number = citation.inner_text().split()[0].strip("[]")
    citation.click()
    expect(page.locator("#sources .passage:target .number")).to_have_text(number)
    expect(page.locator("#sources .passage:target")).to_be_in_viewport()
    assert len(page.context.pages) == 1

    open_cited(page)
    picture = page.locator("#sources .page-image img")
    expect(picture).to_be_visible()
    assert picture.evaluate("image => image.complete && image.naturalWidth") > 500
    expect(page.locator("#sources figcaption")).to_have_text("Page 2 of Harbour Bakery.pdf.")
    shoot(page, "source-pdf")

    page.locator("#show-tokens").click()
    tokens = page.locator("#tokens .token-view")
    expect(tokens.locator(".details:visible")).to_have_count(1)
    expect(tokens.locator(".details:visible li")).not_to_have_count(0)
    tokens.locator("label").first.click()
    details = tokens.locator(".details:visible")
    expect(details).to_contain_text("rank")
    expect(details).to_contain_text("bits")
    expect(details).to_contain_text("Copied from")
    expect(details.locator("section").first.locator("li")).to_have_count(10)
    page.keyboard.press("ArrowRight")
    expect(tokens.locator("input").nth(1)).to_be_checked()
    shoot(page, "tokens")

    page.locator("#use-documents input").uncheck()
    ask(page, "Hello")
    expect(page.locator("#tokens .token")).to_have_count(0)
    expect(page.locator("#side")).to_contain_text("not taken from your documents")
    page.locator("#show-tokens").click()
    expect(page.locator("#tokens .token-view label")).not_to_have_count(0)
    expect(page.locator("#tokens")).not_to_contain_text("Copied from")
    expect(citation).to_have_count(0)
    page.locator("#chat [data-testid=bot]").nth(1).click()  # the answer before, after a note
    expect(citation).to_have_count(1)
    expect(page.locator("#sources .passage.cited")).to_have_count(1)
    remove_all(page)


def test_other_documents_show_the_text_around_a_passage(page: "Page", tmp_path: Path):
    web = tmp_path / "lighthouse.html"
    web.write_text(LIGHTHOUSE)
    letter = make_word(tmp_path / "Ferry letter.docx", "".join(map(paragraph, FERRY)))
    ask(page, "When was the lighthouse built?", web, letter)
    open_cited(page)
    around = page.locator("#sources .surroundings")
    expect(around.locator("mark")).to_have_text("1871")
    expect(around).to_contain_text("Visitors may climb the tower on Sundays.")
    shoot(page, "source-web")

    ask(page, "When does the ferry to Shell Island leave?")
    expect(page.locator("#sources .passage.cited .document")).to_have_text("Ferry letter.docx")
    open_cited(page)
    expect(around.locator(".here mark")).to_have_count(1)
    expect(around).to_contain_text("Dogs travel free of charge.")
    shoot(page, "source-docx")
    remove_all(page)


def test_sources_and_tokens_fit_a_phone_in_the_dark(browser: "Browser", app: App, tmp_path: Path):
    phone = {"width": 390, "height": 844}
    context = browser.new_context(viewport=phone, color_scheme="dark", is_mobile=True)
    page = context.new_page()
    page.goto(app.address)
    expect(page.locator("#status")).to_contain_text("Ready")
    ask(page, "Who opened the bakery?", make_pdf(tmp_path / "Bakery.pdf", BAKERY))
    open_cited(page)
    expect(page.locator("#sources .page-image img")).to_be_visible()
    page.locator("#show-tokens").click()
    expect(page.locator("#tokens .token-view label")).not_to_have_count(0)
    assert page.evaluate("document.documentElement.scrollWidth") <= phone["width"]
    shoot(page, "sources-phone")
    remove_all(page)
    context.close()
