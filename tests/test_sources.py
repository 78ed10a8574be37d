"""A source is shown with its words marked: in its passage, and where it stands in its document."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from archive_fixtures import make_word, paragraph
from documents_fixtures import make_pdf
from library_fixtures import DIMENSIONS, LetterEmbedder

from mlx_toy.documents import read_file
from mlx_toy.errors import UserError
from mlx_toy.ingest import Ingest
from mlx_toy.library import Library
from mlx_toy.replies import Source
from mlx_toy.rows import Hit
from mlx_toy.token_view import Alternative, TokenDetail
from mlx_toy.ui.marking import marked_html, sentences_around
from mlx_toy.ui.sources import in_document_html, passage_html, shown_of
from mlx_toy.ui.token_view import STEP_NAMES, tokens_html

PAGES = ["It rained all day.", "The shop opens at six o'clock. On Sundays it stays closed."]
FILLER = "<p>Nothing of interest happened on this day.</p>" * 60
MARKUP = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Library]:
    with Library(
        tmp_path_factory.mktemp("sources"), LetterEmbedder.fingerprint, DIMENSIONS
    ) as library:
        yield library


def source_of(library: Library, path: Path, words: str) -> Source:
    """The source whose passage has these words, as an answer that quotes them has it."""
    ingest = Ingest(library, LetterEmbedder(), lambda text: len(text.split()))
    stored = ingest.add_file("ws", read_file(path), False)
    passages = library.passages("ws", stored.id, 0, 1000)
    place, passage = next((i, p) for i, p in enumerate(passages) if words in p.text)
    hit = Hit(
        stored.id,
        path.name,
        **vars(passage),
        similarity=0.5,
        score=1.0,
        vector_rank=1,
        text_rank=1,
        passage=place,
    )
    start = passage.text.index(words)
    return Source(1, hit, words, start, start + len(words))


def test_the_page_of_a_pdf_is_shown_as_a_picture(library: Library, tmp_path: Path) -> None:
    source = source_of(library, make_pdf(tmp_path / "shop.pdf", PAGES), "six")
    html = in_document_html(library, "ws", source)
    assert 'src="data:image/webp;base64,' in html
    assert "Page 2 of shop.pdf.</figcaption>" in html


def test_other_documents_are_shown_as_text_around_the_passage(
    library: Library, tmp_path: Path
) -> None:
    page = tmp_path / "page.html"
    page.write_text(f"<h1>News</h1>{FILLER}<p>The shop opens at six.</p>{FILLER}")
    letter = make_word(
        tmp_path / "letter.docx",
        "".join(map(paragraph, ["Dear Ada,", "Come at six.", "Yours, Tom"])),
    )
    html = in_document_html(library, "ws", source_of(library, page, "opens at six"))
    assert html.count("Nothing of interest") > 10 and html.count("…") == 2
    assert "The shop <mark>opens at six</mark>." in html
    html = in_document_html(library, "ws", source_of(library, letter, "six"))
    assert "Dear Ada," in html and "Yours, Tom" in html and "…" not in html
    assert "Come at <mark>six</mark>." in html


def test_without_the_file_a_pdf_is_shown_as_text(library: Library, tmp_path: Path) -> None:
    source = source_of(library, make_pdf(tmp_path / "lost.pdf", ["Only one line."]), "one")
    original = library.original("ws", source.hit.document_id)
    assert original is not None
    original.write_bytes(b"%PDF-1.4 no more")
    html = in_document_html(library, "ws", source)
    assert "lost.pdf is a damaged PDF" in html and "Only <mark>one</mark> line." in html
    original.unlink()
    assert "Only <mark>one</mark> line." in in_document_html(library, "ws", source)


def test_a_document_of_another_workspace_is_not_shown(library: Library, tmp_path: Path) -> None:
    source = source_of(library, make_pdf(tmp_path / "mine.pdf", ["My secret."]), "secret")
    with pytest.raises(UserError, match="not in the library"):
        in_document_html(library, "another", source)


def test_markup_in_a_document_is_text_wherever_it_is_shown(
    library: Library, tmp_path: Path
) -> None:
    path = tmp_path / "<b>.txt"
    path.write_text(f"Before. {MARKUP} is {MARKUP}. After.")
    source = source_of(library, path, MARKUP)
    for html in (passage_html(source), in_document_html(library, "ws", source)):
        assert "<img" not in html and "<b>" not in html
        assert "<mark>&lt;img src=x onerror=alert(1)&gt;</mark>" in html


def test_several_spans_are_marked_each_in_its_sentence() -> None:
    text = "It rained. It opens at six. It rained. It shuts at ten."
    spans = [(14, 26), (text.index("ten"), text.index("ten") + 3)]
    assert marked_html(text, spans, sentences_around(text, spans)) == (
        'It rained. <span class="quote">It <mark>opens at six</mark>.</span> It rained. '
        '<span class="quote">It shuts at <mark>ten</mark>.</span>'
    )


def test_an_answer_says_why_it_has_no_sources_or_only_near_ones() -> None:
    source = Source(1, Hit("0" * 32, "a.txt", None, "", "a", 0, 1, 0.1, 0.1, 1, 1))
    assert "not taken from" in shown_of([]).note
    assert "none of them answers" in shown_of([source], abstained=True).note
    assert shown_of([source]).note == ""


def token(text: str, probability: float, **more) -> TokenDetail:
    other = Alternative("</div>\n", 7, 1 - probability)
    return TokenDetail(
        text, 3, probability, 2, 1.5, [other, Alternative(text, 3, probability)], **more
    )


def test_tokens_are_coloured_by_probability_and_carry_their_details() -> None:
    details = [token(" six", 0.95, attention=[(1, 0.25)]), token(MARKUP, 0.0001, attention=[])]
    html = tokens_html(details, [1, None], ["[1] <b>.pdf, page 2"])
    assert all(name in html for name in STEP_NAMES)
    assert 'class="token p0" for="token-0"> six' in html
    assert 'class="token p4" for="token-1">&lt;img' in html and "<img" not in html
    assert "<b>" not in html and "&lt;/div&gt;⏎" in html
    assert 'id="token-1" checked' in html and 'id="token-0" checked' not in html
    assert "Copied from [1] &lt;b&gt;.pdf, page 2." in html and "Not copied" in html
    assert "rank 2 · entropy 1.50 bits (as if among 2.8 equal choices)" in html
    assert "25%" in html and "&lt; 0.1%" in html
