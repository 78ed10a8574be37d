"""The library refuses bad names, ids, queries, vectors, places and files in one sentence."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from library_fixtures import BREAD, DIMENSIONS, WHALES, add, embed, search

from mlx_toy.documents import Document
from mlx_toy.errors import UserError
from mlx_toy.library import Library, LibraryError, OtherEmbedderError
from mlx_toy.passages import Passage


@pytest.fixture
def library(tmp_path):
    with Library(tmp_path / "library", "embedder-1", DIMENSIONS) as library:
        yield library


@pytest.mark.parametrize("name", ["", "..", "a/b", "a.b", "a b", "é", "x" * 65, "a\n", "a\0", "*"])
def test_names_of_workspaces_are_strict(library, name):
    for call in (library.documents, library.clear, library.drop_workspace):
        with pytest.raises(LibraryError, match="A workspace is named"):
            call(name)
    with pytest.raises(LibraryError):
        search(library, name, "x")


def test_an_unknown_workspace_is_empty_and_is_not_made_by_looking(library):
    assert library.documents("ws") == [] and search(library, "ws", "x") == []
    assert not library.remove("ws", "a" * 32)
    assert library.workspaces() == []


@pytest.fixture(scope="module")
def stocked(tmp_path_factory):
    with Library(tmp_path_factory.mktemp("stocked"), "embedder-1", DIMENSIONS) as library:
        add(library, "ws", "whales.pdf", WHALES)
        add(library, "ws", "bread.pdf", BREAD)
        yield library


@pytest.mark.parametrize(
    "query",
    [
        *("", " ", "the", '"', '"krill', "krill AND (", "krill'; DROP TABLE ws; --", "\0", "%_"),
        *("+-*?~^:\\/", "{}[]", "😀", "\ud800", "krill " * 20_000, "x" * 100_000),
    ],
    ids=lambda query: ascii(query[:12]),
)
def test_any_query_is_answered(stocked, query):
    assert len(stocked.search("ws", query, embed(["krill"])[0], 50)) == 4


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.text())
def test_any_text_may_be_asked(stocked, query):
    assert len(stocked.search("ws", query, embed(["krill"])[0], 50)) == 4


def test_a_query_without_direction_is_answered_by_words_alone(stocked):
    hits = stocked.search("ws", "krill", np.zeros(DIMENSIONS))
    assert [(hit.text_rank, hit.vector_rank, hit.similarity) for hit in hits] == [(1, None, 0.0)]
    assert stocked.search("ws", "krill", np.ones(DIMENSIONS), k=0) == []


def test_wrong_vectors_are_refused(library):
    document, passages = Document("a", "Text."), [Passage("Text.", 0, 5)]
    for vectors in (np.ones((1, 3)), np.ones((2, DIMENSIONS)), np.full((1, DIMENSIONS), np.nan)):
        with pytest.raises(ValueError, match="vectors"):
            library.add("ws", document, passages, vectors)
    with pytest.raises(ValueError, match="vectors"):
        library.search("ws", "x", np.full(DIMENSIONS, np.inf))
    with pytest.raises(LibraryError, match="no text"):
        library.add("ws", document, [], np.ones((0, DIMENSIONS)))
    assert library.workspaces() == []


@pytest.mark.parametrize("embedder", [("embedder-2", DIMENSIONS), ("embedder-1", 9)])
def test_another_embedder_is_told_the_fix(library, embedder):
    add(library, "ws", "whales.pdf", WHALES)
    with pytest.raises(OtherEmbedderError, match=r"--embedder.*--library") as error:
        Library(library.uri, *embedder)
    assert isinstance(error.value, UserError)


@pytest.mark.parametrize("part", ["_versions/*.manifest", "data/*.lance"])
def test_damage_is_one_sentence_and_stays_in_its_workspace(library, part):
    add(library, "ws", "whales.pdf", WHALES)
    add(library, "zz", "bread.pdf", BREAD)
    library.close()
    for file in (Path(library.uri) / "ws.lance").glob(part):
        file.write_bytes(file.read_bytes()[:20])
    with Library(library.uri, "embedder-1", DIMENSIONS) as again:
        for call in (
            lambda: again.documents("ws"),
            lambda: search(again, "ws", "krill"),
            lambda: add(again, "ws", "whales.pdf", WHALES),
        ):
            with pytest.raises(LibraryError, match="damaged") as error:
                call()
            assert "\n" not in str(error.value)
        assert len(again.documents("zz")) == 1
        again.drop_workspace("ws")
        assert not add(again, "ws", "whales.pdf", WHALES).already


def test_a_place_that_cannot_be_written_is_one_sentence(tmp_path):
    file = tmp_path / "file"
    file.write_text("in the way")
    with pytest.raises(LibraryError, match="may write"):
        Library(file / "library", "embedder-1", DIMENSIONS)
    with pytest.raises(LibraryError, match="--library"):
        Library("nonsense://bucket", "embedder-1", DIMENSIONS)


def test_a_library_that_may_only_be_read_is_searched_and_says_so(library, tmp_path):
    add(library, "ws", "whales.pdf", WHALES)
    library.close()
    folders = [Path(library.uri), *(path for path in Path(library.uri).rglob("*") if path.is_dir())]
    for folder in folders:
        folder.chmod(0o555)
    try:
        try:
            (Path(library.uri) / "probe").write_text("")
            pytest.skip("this user may write everywhere")
        except PermissionError:
            pass
        with Library(library.uri, "embedder-1", DIMENSIONS) as again:
            assert search(again, "ws", "krill")
            with pytest.raises(LibraryError, match="may write"):
                add(again, "ws", "bread.pdf", BREAD)
    finally:
        for folder in folders:
            folder.chmod(0o755)
