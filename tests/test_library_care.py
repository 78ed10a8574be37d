"""A library is embedded anew, repaired from its originals, and indexed when it is large."""

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from documents_fixtures import make_pdf
from library_fixtures import BREAD, DIMENSIONS, WHALES, LetterEmbedder, add, embed, search

from mlx_toy.documents import read_file
from mlx_toy.ingest import Ingest, IngestCancelled
from mlx_toy.library import Library, LibraryError, OtherEmbedderError
from mlx_toy.rebuilding import rebuild
from mlx_toy.reembedding import reembed
from mlx_toy.rows import COLUMNS
from mlx_toy.table_schema import FORMAT_KEY
from mlx_toy.tables import Tables

OURS = ("embedder-1", DIMENSIONS)


class OtherEmbedder(LetterEmbedder):
    """Another embedder, with longer vectors."""

    dimensions, fingerprint = 9, "embedder-2"

    def embed_passages(self, texts: list[str]) -> np.ndarray:
        return np.pad(embed(texts), ((0, 0), (1, 0)))


THEIRS = ("embedder-2", 9)


def ingest(library: Library) -> Ingest:
    return Ingest(library, LetterEmbedder(), lambda text: len(text.split()))


def stocked(path: Path) -> list[str]:
    """Make a library of two documents with their files, and a second workspace; gives the ids."""
    path.parent.mkdir(exist_ok=True)
    with Library(path, *OURS) as library:
        make_pdf(path.parent / "whales.pdf", [WHALES])
        ids = [ingest(library).add_file("ws", read_file(path.parent / "whales.pdf")).id]
        ids.append(ingest(library).add_text("ws", BREAD, "Pasted text").id)
        add(library, "zz", "bread.pdf", BREAD)
    return ids


def test_a_library_is_embedded_anew_for_another_embedder(tmp_path):
    ids = stocked(tmp_path / "library")
    told = []
    with pytest.raises(OtherEmbedderError, match="reembed"):
        Library(tmp_path / "library", *THEIRS)
    count = reembed(str(tmp_path / "library"), OtherEmbedder(), told.append)
    assert count == sum(step.total for step in told if step.done == step.total) > 3
    assert reembed(str(tmp_path / "library"), OtherEmbedder()) == 0
    with Library(tmp_path / "library", *THEIRS) as library:
        assert [document.id for document in library.documents("ws")] == ids
        vector = OtherEmbedder().embed_queries(["krill"])[0]
        hit = library.search("ws", "krill", vector, 1)[0]
        again = OtherEmbedder().embed_passages([hit.text])[0]
        assert hit.text_rank == 1 and hit.similarity == pytest.approx(float(vector @ again))
        assert library.document_text("ws", ids[1]) == BREAD and library.original("ws", ids[0])
    with pytest.raises(OtherEmbedderError):
        Library(tmp_path / "library", *OURS)


def test_an_interrupted_reembedding_leaves_the_library_as_it_was(tmp_path):
    stocked(tmp_path / "library")
    with pytest.raises(IngestCancelled):
        reembed(str(tmp_path / "library"), OtherEmbedder(), cancelled=lambda: True)

    class Broken(OtherEmbedder):
        def embed_passages(self, texts: list[str]) -> np.ndarray:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        reembed(str(tmp_path / "library"), Broken())
    with Library(tmp_path / "library", *OURS) as library:
        assert len(library.documents("ws")) == 2 and search(library, "ws", "krill")


def test_an_open_library_that_was_embedded_anew_elsewhere_mixes_nothing(tmp_path):
    stocked(tmp_path / "library")

    class SameLength(LetterEmbedder):
        fingerprint = "embedder-3"

    with Library(tmp_path / "library", *OURS) as library:
        assert search(library, "ws", "krill")
        reembed(str(tmp_path / "library"), SameLength())
        with pytest.raises(OtherEmbedderError):
            search(library, "ws", "krill")
        with pytest.raises(OtherEmbedderError):
            add(library, "ws", "more.pdf", "More words.")


def rewritten(path: Path, version: bytes, columns: dict[str, str]) -> None:
    """Give the tables of a library another format."""
    tables = Tables(path, *OURS, columns)
    tables.schema = tables.schema.with_metadata({**tables.schema.metadata, FORMAT_KEY: version})

    def rows(table):
        old = table.to_arrow()
        yield from (
            pa.table({name: old[name] for name in tables.schema.names})
            .cast(tables.schema)
            .to_batches()
        )

    for workspace in tables.names():
        tables.rewrite(workspace, rows)


def test_a_library_of_a_newer_version_is_left_alone(tmp_path):
    stocked(tmp_path / "library")
    rewritten(tmp_path / "library", b"99", COLUMNS)
    with pytest.raises(LibraryError, match="newer version"):
        Library(tmp_path / "library", *OURS)
    with pytest.raises(LibraryError, match="newer version"):
        reembed(str(tmp_path / "library"), LetterEmbedder())


def test_a_library_of_an_older_version_is_brought_up_to_date(tmp_path):
    ids = stocked(tmp_path / "library")
    new = ("bytes", "kind", "notes", "file", "before")
    old = {name: kind for name, kind in COLUMNS.items() if name not in new}
    rewritten(tmp_path / "library", b"1", old)
    with pytest.raises(LibraryError, match=r"older version.*reembed"):
        Library(tmp_path / "library", *OURS)
    assert reembed(str(tmp_path / "library"), LetterEmbedder()) > 3
    with Library(tmp_path / "library", *OURS) as library:
        text = library.document_text("ws", ids[1])
        for passage in library.passages("ws", ids[1], 0, 9):
            assert text[passage.start : passage.end] == passage.text
        assert len(search(library, "ws", "krill", 9)) == 2


def damage(path: Path, part: str) -> None:
    for file in path.glob(part):
        file.write_bytes(file.read_bytes()[:20])


@pytest.mark.parametrize("part", ["_versions/*.manifest", "data/*.lance"])
def test_a_damaged_workspace_is_read_again_from_the_files(tmp_path, part):
    ids = stocked(tmp_path / "library")
    damage(tmp_path / "library" / "ws.lance", part)
    with Library(tmp_path / "library", *OURS) as library:
        assert len(library.documents("zz")) == 1
        with pytest.raises(LibraryError, match="python -m mlx_toy rebuild"):
            library.documents("ws")
    intact, made = rebuild(str(tmp_path / "library"), *OURS, ingest)
    assert (intact.workspace, intact.intact) == ("zz", True)
    assert (made.workspace, made.documents, made.lost, made.aside) == ("ws", 2, (), None)
    with Library(tmp_path / "library", *OURS) as library:
        found = library.documents("ws")
        assert {(document.id, document.name) for document in found} == {
            *((ids[0], "whales.pdf"), (ids[1], "Pasted text"))
        }
        assert library.workspaces() == ["ws", "zz"]
    assert all(report.intact for report in rebuild(str(tmp_path / "library"), *OURS, ingest))


def test_what_is_lost_is_said_and_the_damaged_table_is_left(tmp_path):
    ids = stocked(tmp_path / "library")
    damage(tmp_path / "library", "zz.lance/data/*.lance")
    damage(tmp_path / "library", "ws.lance/data/*.lance")
    damage(tmp_path / "library", f"originals/ws/{ids[0]}.pdf")
    ws, zz = rebuild(str(tmp_path / "library"), *OURS, ingest)
    assert (ws.documents, len(ws.lost)) == (1, 1) and "whales.pdf" in ws.lost[0]
    assert ws.aside == tmp_path / "library" / "ws.damaged.lance" and ws.aside.exists()
    assert (zz.documents, zz.lost) == (0, ()) and zz.aside is not None  # it kept no files
    with Library(tmp_path / "library", *OURS) as library:
        assert [document.id for document in library.documents("ws")] == ids[1:]


def test_an_interrupted_rebuilding_goes_on(tmp_path):
    stocked(tmp_path / "library")
    damage(tmp_path / "library", "ws.lance/data/*.lance")
    polls = iter([False] * 5 + [True] * 99)

    def interrupted(library: Library) -> Ingest:
        count = ingest(library).count_tokens
        return Ingest(library, LetterEmbedder(), count, cancelled=lambda: next(polls))

    with pytest.raises(IngestCancelled):
        rebuild(str(tmp_path / "library"), *OURS, interrupted)
    ws = next(r for r in rebuild(str(tmp_path / "library"), *OURS, ingest) if not r.intact)
    assert (ws.workspace, ws.documents, ws.lost, ws.aside) == ("ws", 2, (), None)


def test_a_broken_index_of_words_is_made_anew(tmp_path):
    stocked(tmp_path / "library")
    shutil.rmtree(tmp_path / "library" / "ws.lance" / "_indices")
    with Library(tmp_path / "library", *OURS) as library, pytest.raises(LibraryError):
        search(library, "ws", "krill")
    assert all(report.intact for report in rebuild(str(tmp_path / "library"), *OURS, ingest))
    with Library(tmp_path / "library", *OURS) as library:
        assert search(library, "ws", "krill")[0].text_rank == 1


def test_a_large_library_gets_an_index_and_finds_the_same(tmp_path):
    generator = np.random.default_rng(0)
    letters = generator.integers(97, 123, size=(600, 8, 5), dtype=np.uint8)
    words = [["".join(map(chr, word)) for word in row] for row in letters]
    texts = [" ".join(row).capitalize() + "." for row in words]

    def found(library: Library) -> list[set[str]]:
        return [
            {hit.text for hit in search(library, "ws", text[:20], 50) if hit.vector_rank}
            for text in texts[:10]
        ]

    def is_indexed() -> bool:
        return any((tmp_path / "ws.lance" / "_indices").rglob("auxiliary.idx"))

    with Library(tmp_path, *OURS, vector_index_rows=500) as library:
        add(library, "ws", "a.pdf", " ".join(texts[:499]))
        exact = found(library)
    assert not is_indexed()
    with Library(tmp_path, *OURS, vector_index_rows=500) as library:
        add(library, "ws", "b.pdf", "One more of them.")
    assert is_indexed()  # closing waits for it
    with Library(tmp_path, *OURS, vector_index_rows=500) as library:
        shared = [len(a & b) / len(a) for a, b in zip(exact, found(library), strict=True)]
        assert np.mean(shared) > 0.9
        stored = add(library, "ws", "c.pdf", " ".join(texts[499:]))
        for text in texts[499:507]:
            hit = next(hit for hit in search(library, "ws", text) if hit.vector_rank == 1)
            assert hit.similarity > 0.99
        library.remove("ws", stored.id)
        for text in texts[499:507]:
            hits = search(library, "ws", text, 50)
            assert all(hit.document_id != stored.id for hit in hits)
