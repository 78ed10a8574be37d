"""The library: what is stored, found, kept apart and removed. Real LanceDB throughout."""

import multiprocessing
import threading

import numpy as np
import pytest
from library_fixtures import BREAD, DIMENSIONS, WHALES, add, embed, search

from mlx_toy.documents import Document
from mlx_toy.library import Fusion, Library
from mlx_toy.passages import split_passages

FUSION = Fusion()


@pytest.fixture
def library(tmp_path):
    with Library(tmp_path / "library", "embedder-1", DIMENSIONS) as library:
        yield library


def test_added_documents_are_listed_and_found(library):
    stored = add(library, "ws", "whales.pdf", WHALES)
    add(library, "ws", "bread.pdf", BREAD)
    assert [document.name for document in library.documents("ws")] == ["whales.pdf", "bread.pdf"]
    assert library.documents("ws")[0] == stored and not stored.already
    assert (stored.pages, stored.characters) == (1, len(WHALES)) and stored.passages == 2
    hit = search(library, "ws", "What do whales eat?")[0]
    assert hit.document == "whales.pdf" and hit.document_id == stored.id and hit.page == 1
    assert hit.text == WHALES[hit.start : hit.end] == "Blue whales eat krill in cold water."
    assert hit.text_rank == 1 and hit.vector_rank is not None


def test_the_neighbours_of_a_hit_can_be_had(library):
    text = "One is here today. " * 2 + "Two is there now. " * 2 + "Three is gone for good. " * 2
    stored = add(library, "ws", "a.pdf", text.strip())
    add(library, "ws", "bread.pdf", BREAD)
    hit = next(hit for hit in search(library, "ws", "Two is there now") if "Two" in hit.text)
    near = library.passages("ws", stored.id, hit.passage - 1, hit.passage + 1)
    assert len(near) == 3 and near[1].text == hit.text and near[1].start == hit.start
    assert near == library.passages("ws", stored.id, -5, 99)[hit.passage - 1 : hit.passage + 2]
    assert all(text[passage.start : passage.end] == passage.text for passage in near)
    assert library.passages("other", stored.id, 0, 9) == []


def test_similarity_is_the_exact_cosine_and_ranks_give_the_score(library):
    add(library, "ws", "whales.pdf", WHALES)
    add(library, "ws", "bread.pdf", BREAD)
    query = "knead the dough"
    hits = search(library, "ws", query, k=4)
    assert sorted(hit.vector_rank for hit in hits) == [1, 2, 3, 4]
    for hit in hits:
        expected = float(embed([query])[0] @ embed([hit.text])[0])
        assert hit.similarity == pytest.approx(expected, abs=1e-6)
        weighed = ((FUSION.vector_weight, hit.vector_rank), (FUSION.text_weight, hit.text_rank))
        expected = sum(weight / (FUSION.k + rank) for weight, rank in weighed if rank)
        assert hit.score == pytest.approx(expected)
    by_rank = sorted(hits, key=lambda hit: hit.vector_rank)
    assert [hit.similarity for hit in by_rank] == sorted(
        (hit.similarity for hit in hits), reverse=True
    )
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)


def test_words_of_the_heading_are_found(library):
    document = Document("a.md", "# Zebras\n\nThey have stripes.", kind="markdown")
    passages = split_passages(document, len)
    library.add("ws", document, passages, embed([p.text for p in passages]))
    add(library, "ws", "bread.pdf", BREAD)
    hit = next(hit for hit in search(library, "ws", "zebra") if hit.text_rank == 1)
    assert hit.heading == "Zebras" and hit.page is None and hit.text == "They have stripes."


def test_weights_of_the_fusion(tmp_path):
    by_words = Fusion(vector_weight=0.0)
    with Library(tmp_path, "embedder-1", DIMENSIONS, fusion=by_words) as library:
        add(library, "ws", "whales.pdf", WHALES)
        add(library, "ws", "bread.pdf", BREAD)
        assert search(library, "ws", "krill")[0].text_rank == 1


def test_the_same_content_is_stored_once(library):
    first = add(library, "ws", "whales.pdf", WHALES)
    again = add(library, "ws", "copy of whales.pdf", WHALES)
    assert again.already and again.id == first.id and again.name == "whales.pdf"
    assert len(library.documents("ws")) == 1 and len(search(library, "ws", "whales", 50)) == 2


def test_threads_that_add_the_same_document_store_it_once(library):
    results = []

    def work():
        for text in (WHALES, BREAD):
            results.append(add(library, "ws", "a.pdf", text).already)
            search(library, "ws", "krill")

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == [False] * 2 + [True] * 10
    assert len(library.documents("ws")) == 2 and len(search(library, "ws", "krill", 50)) == 4


def add_in_process(path: str, ready) -> None:
    with Library(path, "embedder-1", DIMENSIONS) as library:
        library.documents("ws")
        ready.wait(60)
        for text in (WHALES, BREAD):
            add(library, "ws", "a.pdf", text)


def test_processes_that_add_the_same_document_store_it_once(tmp_path):
    spawn = multiprocessing.get_context("spawn")
    ready = spawn.Barrier(2)
    other = spawn.Process(target=add_in_process, args=(str(tmp_path), ready))
    other.start()
    add_in_process(str(tmp_path), ready)
    other.join()
    assert other.exitcode == 0
    with Library(tmp_path, "embedder-1", DIMENSIONS) as library:
        assert len(library.documents("ws")) == 2 and len(search(library, "ws", "krill", 50)) == 4


def test_another_handle_sees_what_was_added_and_removed(library):
    with Library(library.uri, "embedder-1", DIMENSIONS) as other:
        assert other.documents("ws") == []
        stored = add(library, "ws", "whales.pdf", WHALES)
        assert other.documents("ws") == [stored]
        library.remove("ws", stored.id)
        assert other.documents("ws") == [] and search(other, "ws", "whales") == []
        add(library, "ws", "bread.pdf", BREAD)
        library.drop_workspace("ws")
        assert other.documents("ws") == [] and search(other, "ws", "bread") == []


def test_removed_documents_are_gone(library):
    whales = add(library, "ws", "whales.pdf", WHALES)
    add(library, "ws", "bread.pdf", BREAD)
    assert library.remove("ws", whales.id)
    assert not library.remove("ws", whales.id)
    assert [document.name for document in library.documents("ws")] == ["bread.pdf"]
    assert {hit.document for hit in search(library, "ws", "krill whales", 50)} == {"bread.pdf"}
    assert not add(library, "ws", "whales.pdf", WHALES).already
    library.clear("ws")
    assert library.documents("ws") == [] and search(library, "ws", "krill") == []


def test_ids_that_are_not_ours_remove_nothing(library):
    add(library, "ws", "whales.pdf", WHALES)
    for document_id in ("", "x", "' OR 1=1 --", "a" * 32, "é" * 32):
        assert not library.remove("ws", document_id)
    assert len(library.documents("ws")) == 1


@pytest.mark.parametrize("interval_s", [0.0, 3600.0], ids=["at once", "on close"])
def test_removed_text_leaves_the_disk(tmp_path, interval_s):
    library = Library(tmp_path, "embedder-1", DIMENSIONS, purge_interval_s=interval_s)
    letters = np.random.default_rng(0).integers(97, 123, size=(20, 400), dtype=np.uint8)
    texts = ["".join(map(chr, row)) + f" end{n}." for n, row in enumerate(letters)]
    ids = [add(library, "ws", f"{n}.pdf", text).id for n, text in enumerate(texts)]
    library.close()  # all documents are in one file now
    library.remove("ws", ids[0])
    library.remove("ws", ids[1])
    if interval_s:
        library.close()
    files = [file for file in (tmp_path / "ws.lance").rglob("*") if file.is_file()]
    kept = b"".join(file.read_bytes() for file in files)
    assert not any(file.parent.name == "_deletions" for file in files)
    assert sum(file.suffix == ".manifest" for file in files) == 1
    for text in texts[:2]:
        assert text[:24].encode() not in kept
    assert len(library.documents("ws")) == 18
    assert len(search(library, "ws", "end7", 50)) == 18
    library.close()


def test_workspaces_do_not_see_each_other(library):
    stored = add(library, "one", "whales.pdf", WHALES)
    add(library, "two", "bread.pdf", BREAD)
    assert {hit.document for hit in search(library, "one", "flour water", 50)} == {"whales.pdf"}
    assert not library.remove("two", stored.id)
    assert sorted(library.workspaces()) == ["one", "two"]
    library.drop_workspace("one")
    library.drop_workspace("one")
    assert library.workspaces() == ["two"] and library.documents("one") == []


def test_a_library_lasts(tmp_path):
    with Library(tmp_path, "embedder-1", DIMENSIONS) as library:
        stored = add(library, "ws", "whales.pdf", WHALES)
    with Library(tmp_path, "embedder-1", DIMENSIONS) as library:
        assert library.documents("ws") == [stored]
        assert search(library, "ws", "krill")[0].text_rank == 1


def test_hits_come_in_the_order_of_the_reranker(tmp_path):
    asked = []

    def longest_first(question, hits, query):
        asked.append((question, query))
        return sorted(hits, key=lambda hit: -len(hit.text))

    with Library(tmp_path, "embedder-1", DIMENSIONS, rerank=longest_first) as library:
        add(library, "ws", "whales.pdf", WHALES)
        add(library, "ws", "bread.pdf", BREAD)
        hits = search(library, "ws", "krill and flour")
        assert search(library, "ws", "krill", k=1) == search(library, "ws", "krill", k=4)[:1]
        search(library, "ws", "krill of whales", question="krill")
        search(library, "ws", "krill " * 999, question="krill " * 999)
    assert asked[0] == ("krill and flour", "krill and flour")
    assert asked[-2] == ("krill", "krill of whales")
    assert asked[-1][0] == asked[-1][1]  # however little of it is read, it says no more
    lengths = [len(hit.text) for hit in hits]
    assert len(hits) == 4 and lengths == sorted(lengths, reverse=True)
    assert any(hit.text_score for hit in hits)  # what full text thinks of it is told
