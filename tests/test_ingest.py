"""A file goes into the library whole or not at all, once, and in place of its old version."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from documents_fixtures import make_pdf
from library_fixtures import DIMENSIONS, LetterEmbedder, embed

from mlx_toy.documents import Limits, parse, read_file
from mlx_toy.errors import UserError
from mlx_toy.ingest import Ingest, IngestCancelled, IngestProgress
from mlx_toy.library import Library

PAGES = ["The lighthouse was built in 1874.", "The ferry runs twice a week."]


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    with Library(tmp_path / "library", "embedder-1", DIMENSIONS) as library:
        yield library


def ingest_into(library: Library, **options) -> Ingest:
    return Ingest(library, LetterEmbedder(), lambda text: len(text.split()), **options)


def add(library: Library, path: Path, text: str | None = None, replace_old=False, **options):
    if text is not None:
        path.write_text(text)
    return ingest_into(library, **options).add_file("ws", read_file(path), replace_old)


def test_progress_tells_pages_passages_and_the_end(library, tmp_path):
    told: list[IngestProgress] = []
    add(library, make_pdf(tmp_path / "a.pdf", PAGES), progress=told.append)
    stages = [(step.stage, step.done, step.total) for step in told]
    assert stages[:3] == [("reading", 0, 0), ("reading", 1, 2), ("reading", 2, 2)]
    assert stages[3:] == [
        *(("embedding", 0, 2), ("embedding", 2, 2), ("storing", 0, 1), ("storing", 1, 1)),
    ]


def test_wherever_it_is_stopped_nothing_is_stored(library, tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("Some words.")
    for stop_at in range(1, 1000):
        polls = 0

        def cancelled() -> bool:
            nonlocal polls
            polls += 1
            return polls == stop_at  # noqa: B023

        try:
            add(library, path, cancelled=cancelled)
            break
        except IngestCancelled as error:
            assert isinstance(error, UserError)
            assert library.documents("ws") == [] and not list(tmp_path.glob("library/originals"))
    assert stop_at > 4 and len(library.documents("ws")) == 1


def test_a_slow_parser_is_stopped_between_two_pages(tmp_path):
    from documents_fixtures import make_looping_pdf

    file = read_file(make_looping_pdf(tmp_path / "a.pdf"))
    polls = 0

    def poll() -> None:
        nonlocal polls
        polls += 1
        if polls > 3:
            raise IngestCancelled("Stopped.")

    with pytest.raises(IngestCancelled):
        parse(file, Limits(timeout_s=50), poll=poll)


def test_the_text_of_a_document_comes_back_exactly(library, tmp_path):
    text = "# One\n\nFirst here. Second there.\n\n## Two\n\n- a\n- b\n\n# Empty\n\n# Three\n\nEnd."
    stored = add(library, tmp_path / "a.md", text)
    assert library.document_text("ws", stored.id) == text
    assert (stored.kind, stored.bytes, stored.characters) == ("markdown", len(text), len(text))
    passages = library.passages("ws", stored.id, 0, 99)
    assert all(text[passage.start : passage.end] == passage.text for passage in passages)
    for unknown in ("f" * 32, "x", "' OR 1=1 --"):
        with pytest.raises(UserError, match="not in the library"):
            library.document_text("ws", unknown)


def test_the_same_text_in_another_file_is_one_document(library, tmp_path):
    first = add(library, tmp_path / "a.txt", "Some words.")
    again = add(library, tmp_path / "b.txt", "Some  words.\r\n".replace("  ", " "))
    assert again.already and (again.id, again.name) == (first.id, "a.txt")
    assert len(library.documents("ws")) == 1


def test_a_file_that_is_there_is_known_before_it_is_parsed(library, tmp_path):
    path = make_pdf(tmp_path / "a.pdf", PAGES)
    add(library, path)
    told: list[IngestProgress] = []
    assert add(library, path, progress=told.append).already and told == []
    assert add(library, path, replace_old=True, progress=told.append).already and told == []


def test_a_changed_file_stands_beside_its_old_version_and_says_so(library, tmp_path):
    old = add(library, tmp_path / "a.txt", "The old text.")
    new = add(library, tmp_path / "a.txt", "The new text.")
    assert new.same_name == (old.id,) and not new.replaced and not new.already
    assert len(library.documents("ws")) == 2


def test_a_changed_file_takes_the_place_of_its_old_versions(library, tmp_path):
    first = add(library, tmp_path / "a.txt", "The first text.")
    second = add(library, tmp_path / "a.txt", "The second text.")
    other = add(library, tmp_path / "b.txt", "Another text.")
    third = add(library, tmp_path / "a.txt", "The third text.", replace_old=True)
    assert set(third.replaced) == {first.id, second.id} and third.same_name == ()
    assert {stored.id for stored in library.documents("ws")} == {other.id, third.id}
    assert library.original("ws", first.id) is None and library.original("ws", third.id)
    back = add(library, tmp_path / "a.txt", "Another text.", replace_old=True)
    assert back.already and back.id == other.id and back.replaced == (third.id,)
    assert [stored.id for stored in library.documents("ws")] == [other.id]


def test_batches_hold_texts_of_like_length(library, tmp_path):
    ingest = ingest_into(library)
    text = "\n\n".join(f"# {n}\n\n" + "word " * (1 + n * 7 % 90) + "end." for n in range(100))
    (tmp_path / "a.md").write_text(text)
    stored = ingest.add_file("ws", read_file(tmp_path / "a.md"))
    batches = ingest.embedder.batches
    assert sum(map(len, batches)) == stored.passages == 100 and len(batches) == 4
    longest = [max(map(len, batch)) for batch in batches]
    shortest = [min(map(len, batch)) for batch in batches]
    assert all(high <= low for high, low in zip(longest[:-1], shortest[1:], strict=True))
    hit = library.search("ws", "end", embed(["word end."])[0], 1)[0]
    assert hit.similarity == pytest.approx(
        float(embed(["word end."])[0] @ embed([f"{hit.heading}\n{hit.text}"])[0]), abs=1e-6
    )


def test_the_file_is_kept_and_goes_with_its_document(library, tmp_path):
    path = make_pdf(tmp_path / "a.pdf", PAGES)
    stored = add(library, path)
    kept = library.original("ws", stored.id)
    assert kept is not None and kept.suffix == ".pdf" and kept.read_bytes() == path.read_bytes()
    assert library.original("other", stored.id) is None
    for strange in ("../../x", "*", "", stored.id.upper()):
        assert library.original("ws", strange) is None
    kept.unlink()
    assert add(library, path).already and library.original("ws", stored.id) == kept
    assert library.remove("ws", stored.id) and not list(kept.parent.iterdir())
    add(library, path)
    library.clear("ws")
    assert not kept.parent.exists()


def test_a_library_that_is_no_folder_keeps_no_files(tmp_path):
    with Library("memory://", "embedder-1", DIMENSIONS) as library:
        stored = add(library, tmp_path / "a.txt", "Some words.")
        assert library.original("ws", stored.id) is None
        assert library.document_text("ws", stored.id) == "Some words."


def test_pasted_text_is_a_document_too(library):
    stored = ingest_into(library).add_text("ws", "Pasted é.", "Pasted text")
    assert (stored.name, stored.bytes, stored.kind) == ("Pasted text", 10, "text")
    kept = library.original("ws", stored.id)
    assert kept is not None and kept.suffix == ".txt" and kept.read_text() == "Pasted é."


def test_pages_without_text_are_remembered(library, tmp_path):
    add(library, make_pdf(tmp_path / "a.pdf", [PAGES[0], "", PAGES[1]]))
    assert library.documents("ws")[0].notes == ("No text on page 2.",)
