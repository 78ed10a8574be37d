"""In a real browser: strangers on one server, a model that does not load, and the two modes."""

from pathlib import Path

import pytest
from browser_fixtures import PATIENCE_MS, SETTLED_MS, ask, running_app, shoot

from mlx_toy.chat import NOT_IN_PASSAGES

sync_api = pytest.importorskip("playwright.sync_api")
expect = sync_api.expect
Page, Browser = sync_api.Page, sync_api.Browser

HARBOUR = "The harbour of Wellmouth was built in 1838 by the engineer Ruth Calloway."


def test_two_browsers_see_only_their_own_documents(browser: Browser, tmp_path: Path):
    with running_app(tmp_path, SPACE_ID="somebody/mlx-toy") as space:
        pages = []
        for name in ("ferry.txt", "bakery.txt"):
            file = tmp_path / name
            file.write_text(f"This is {name}: it opens at nine o'clock.")
            context = browser.new_context()
            context.set_default_timeout(PATIENCE_MS)
            page = context.new_page()
            page.goto(space.address)
            expect(page.locator("#status")).to_contain_text("Ready")
            ask(page, "", file)
            pages.append(page)
        for page, own, other in zip(pages, ("ferry", "bakery"), ("bakery", "ferry"), strict=True):
            page.reload()
            expect(page.locator("#documents")).to_contain_text(f"{own}.txt")
            expect(page.locator("#documents")).not_to_contain_text(f"{other}.txt")
            ask(page, "When does it open?")
            expect(page.locator("#sources")).to_contain_text(f"{own}.txt")
            expect(page.locator("#sources")).not_to_contain_text(f"{other}.txt")
            page.context.close()


def test_a_model_that_does_not_load_says_why(browser: Browser, tmp_path: Path):
    broken = tmp_path / "model"
    broken.mkdir()
    (broken / "config.json").write_text("{}")
    reason = "has no weights"
    with running_app(tmp_path, "--model", str(broken), complaint=reason) as app:
        page = browser.new_page()
        page.goto(app.address)
        expect(page.locator("#status")).to_contain_text(reason)
        expect(page.locator("#status .failed")).to_be_visible()
        shoot(page, "failed")
        page.close()


def test_strict_mode_quotes_and_free_mode_flags_what_no_document_says(page: Page, tmp_path: Path):
    file = tmp_path / "harbour.txt"
    file.write_text(HARBOUR)
    ask(page, "Who built the harbour of Wellmouth?", file)
    answer = page.locator("#chat .bot.message").last
    expect(answer).to_contain_text("From [1] harbour.txt")
    expect(answer).to_contain_text("Ruth Calloway")
    page.get_by_role("button", name="Settings").click()
    page.wait_for_timeout(SETTLED_MS)  # what was kept is restored when the panel opens
    page.locator("#strict input").uncheck()
    page.wait_for_timeout(SETTLED_MS)
    ask(page, "Who built the harbour of Wellmouth?")
    expect(page.locator("#sources .passage")).to_contain_text("Ruth Calloway")
    expect(answer).to_contain_text("tokens of context")
    said = answer.inner_text().split("\n")[0]
    if said not in (HARBOUR, NOT_IN_PASSAGES):  # as a small model seldom does by itself
        expect(answer).to_contain_text("not in the documents: “")
    shoot(page, "free-mode")
    page.get_by_role("button", name="Remove").click()
    expect(page.locator("#documents")).to_have_count(0)
