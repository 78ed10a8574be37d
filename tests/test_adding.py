"""The page Documents without a browser: adding, stopping, quotas, the list and search."""

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from documents_fixtures import make_broken_pdf, make_pdf

from mlx_toy.assistant import Assistant
from mlx_toy.errors import UserError
from mlx_toy.quota import Quota, QuotaError, size_line
from mlx_toy.rows import Hit, StoredDocument
from mlx_toy.settings import Settings
from mlx_toy.ui.adding import (
    Item,
    add_all,
    file_tasks,
    older_versions,
    summary_line,
    text_task,
    url_task,
)
from mlx_toy.ui.documents import (
    MAX_ITEMS,
    ago,
    document_html,
    hits_html,
    items_html,
    ordinal,
    usage_html,
)
from mlx_toy.ui.loading import Loading

MARKUP = "<img src=x onerror=alert(1)>"
NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def loading(tiny_model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loading]:
    library = tmp_path_factory.mktemp("adding") / "library"
    settings = Settings(model=str(tiny_model_dir), library=str(library), max_passages=40)
    loading = Loading(lambda: Assistant(settings))
    loading.start()
    yield loading
    loading.close()


def drop(folder: Path, **files: str) -> list[str]:
    """Files as Gradio keeps them: each in a folder of its own."""
    paths = []
    for number, (name, text) in enumerate(files.items()):
        path = folder / f"upload-{number}-{time.monotonic_ns()}" / name.replace("_", ".")
        path.parent.mkdir(parents=True)
        path.write_text(text)
        paths.append(str(path))
    return paths


def add(loading: Loading, workspace: str, paths: list[str], stopped=lambda: False):
    tasks, refused = file_tasks(paths)
    return list(add_all(loading, workspace, tasks, stopped, refused, poll_s=0.01))


def test_each_file_is_told_of_from_waiting_to_its_end(loading: Loading, tmp_path: Path):
    (tmp_path / "pdf").mkdir()
    good = make_pdf(tmp_path / "pdf" / "Bakery.pdf", ["It opens at six.", "It closes at noon."])
    bad = make_broken_pdf(tmp_path / "broken.pdf")
    image = tmp_path / "photo.png"
    image.write_bytes(b"\x89PNG")
    seen = add(loading, "each", [str(good), str(bad), str(image)])
    assert [item.state for item in seen[0]] == ["waiting", "waiting", "failed"]
    assert any(item.state == "working" for items in seen for item in items)
    last = seen[-1]
    assert [item.state for item in last] == ["added", "failed", "failed"]
    assert last[0].line == "Bakery.pdf was added: 2 pages, 2 passages."
    assert "damaged PDF" in last[1].line and ".png files cannot be read" in last[2].line
    assert summary_line(last) == "1 document added · 2 documents not added"
    assert not (good.exists() or bad.exists() or image.exists())
    names = [document.name for document in loading.get().documents("each")]
    assert names == ["Bakery.pdf"]


def test_what_is_stopped_is_not_added_and_its_upload_is_deleted(loading: Loading, tmp_path: Path):
    paths = drop(tmp_path, a_txt="one", b_txt="two")
    items = add(loading, "stopped", paths, stopped=lambda: True)[-1]
    assert [item.state for item in items] == ["stopped", "stopped"]
    assert loading.get().documents("stopped") == []
    assert not any(Path(path).exists() for path in paths)


def test_a_changed_file_offers_its_older_version(loading: Loading, tmp_path: Path):
    add(loading, "older", drop(tmp_path, notes_txt="The jar is blue."))
    again = add(loading, "older", drop(tmp_path, notes_txt="The jar is blue."))[-1]
    assert older_versions(again) == [] and summary_line(again) == "1 document already there"
    changed = add(loading, "older", drop(tmp_path, notes_txt="The jar is red."))[-1]
    ((name, ids),) = older_versions(changed)
    assert name == "notes.txt" and len(ids) == 1
    assert loading.get().remove("older", ids[0])
    (left,) = loading.get().documents("older")
    assert changed[0].stored is not None and left.id == changed[0].stored.id


def test_texts_are_added_and_addresses_of_this_computer_are_not(loading: Loading):
    tasks = [text_task("Ada baked bread.", " Bread "), text_task(" ", ""), url_task("localhost/x")]
    text, blank, page = list(add_all(loading, "texts", tasks, lambda: False))[-1]
    assert text.state == "added" and text.name == "Bread"
    assert blank.state == "failed" and "Pasted text has no text" in blank.line
    assert page.state == "failed" and "no address of the public web" in page.line


def test_a_library_that_is_full_says_so_and_stays_as_it_is(loading: Loading, tmp_path: Path):
    long = "\n\n".join(f"Ship {i} left at dawn. " * 30 for i in range(60))
    (item,) = add(loading, "full", drop(tmp_path, long_txt=long))[-1]
    assert item.state == "failed" and "there is room for 40: remove" in item.line
    assert loading.get().documents("full") == []


def stored(name: str = "a.txt", passages: int = 5, size: int = 2_000, **more) -> StoredDocument:
    added = "2026-03-02T11:58:30.000+00:00"
    return StoredDocument("0" * 32, name, passages, more.pop("pages", None), 9, added, size, **more)


def test_a_quota_counts_passages_and_bytes():
    quota = Quota(passages=10, bytes=5_000)
    quota.check([stored()], "b.txt", 5, 3_000)
    with pytest.raises(QuotaError, match=r"b\.txt has 6 passages and there is room for 5"):
        quota.check([stored()], "b.txt", 6, 10)
    with pytest.raises(QuotaError, match="has 4 kB and there is room for 3 kB"):
        quota.check([stored()], "b.txt", 1, 4_000)
    assert issubclass(QuotaError, UserError)


@pytest.mark.parametrize(
    ("count", "line"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1_000, "1 kB"),
        (999_400, "999 kB"),
        (1_400_000, "1.4 MB"),
        (52_428_800, "52 MB"),
        (3_000_000_000, "3.0 GB"),
    ],
)
def test_sizes_are_short(count: int, line: str):
    assert size_line(count) == line


@pytest.mark.parametrize(
    ("moment", "said"),
    [
        ("2026-03-02T11:59:30+00:00", "just now"),
        ("2026-03-02T11:58:30+00:00", "1 minute ago"),
        ("2026-03-02T09:00:00+00:00", "3 hours ago"),
        ("2026-02-28T09:00:00+00:00", "on 28 February 2026"),
        ("long since", "some time ago"),
    ],
)
def test_times_are_told_from_now(moment: str, said: str):
    assert ago(moment, NOW) == said


def test_a_document_is_listed_with_what_is_known_of_it():
    html = document_html(stored(MARKUP, pages=3, notes=("No text on page 2.",)), NOW)
    assert "3 pages · 5 passages · 2 kB · added 1 minute ago" in html
    assert "No text on page 2." in html and "<img" not in html


def test_usage_warns_when_it_is_nearly_full():
    assert "2 documents · 10 of 100 passages · 4 kB of 9 kB" in usage_html(
        [stored(), stored()], Quota(100, 9_000)
    )
    assert "usage full" in usage_html([stored()], Quota(5, 9_000))
    assert "usage full" not in usage_html([], Quota(5, 9_000))


def test_many_items_show_what_needs_attention_first():
    items = [Item(f"{i}.txt", "added", f"{i}.txt was added.") for i in range(MAX_ITEMS + 5)]
    html = items_html([*items, Item(MARKUP, "failed", "It is broken.")])
    assert html.index("It is broken.") < html.index("0.txt") and "… and 6 more files" in html
    assert "<img" not in html and items_html([]) == ""


def test_a_hit_says_why_it_was_found():
    hit = Hit(
        "0" * 32, "a.pdf", 3, "Hours", f"It opens at six. {MARKUP}", 0, 9, 0.42, 0.114, 2, None
    )
    html = hits_html([hit], "When does it open? opens", lambda hit: hit.similarity >= 0.2)
    for reason in ("meaning <b>2nd", "words <b>not found", "fused <b>0.114", "similarity <b>0.42<"):
        assert reason in html
    ranked = replace(hit, text_rank=1, text_score=7.31, relevance=0.875)
    html_ranked = hits_html([ranked], "opens", lambda hit: hit.similarity >= 0.2)
    assert "words <b>1st (BM25 7.3)" in html_ranked and "reranker <b>88%" in html_ranked
    read = replace(ranked, odds=0.0, nearness=0.618)
    html_read = hits_html([read], "opens", lambda hit: hit.similarity >= 0.2)
    assert "reader <b>50%" in html_read and "nearest sentence <b>0.62" in html_read
    assert "page 3" in html and "<mark>opens</mark>" in html and "<img" not in html
    assert "too far to answer from" in hits_html([hit], "x", lambda hit: hit.similarity >= 0.5)
    assert "Nothing was found" in hits_html([], "x", lambda hit: True)


def test_ordinals():
    ranks = (1, 2, 3, 4, 11, 12, 13, 21, 112, None)
    assert " ".join(map(ordinal, ranks)) == "1st 2nd 3rd 4th 11th 12th 13th 21st 112th not found"
