"""What is read from Word documents, web pages, books and tables, and where it stands in them."""

import io
from collections.abc import Callable
from html import escape
from itertools import pairwise

import pytest
from archive_fixtures import make_book, make_word, paragraph, table
from documents_fixtures import found, make_pdf, read
from hypothesis import given, settings
from hypothesis import strategies as st

from mlx_toy import documents
from mlx_toy.documents import Document, read_document
from mlx_toy.formats.table_text import row_lines
from mlx_toy.outline import assemble
from mlx_toy.passages import split_passages


def test_word_headings_lists_and_tables(tmp_path):
    body = (
        paragraph("The Harbour", "Titel")
        + paragraph("Ferries", "berschrift1")
        + paragraph("They run daily.")
        + paragraph("Bring:")
        + paragraph("a coat", number=1)
        + paragraph("a hat", number=1)
        + paragraph("Pay", number=2)
        + paragraph("Board", number=2)
        + paragraph("Prices", "Mine")
        + table([["Trip", "Price"], ["Single", "4 euros"], ["Return", "7 euros"]])
        + paragraph("Ships", "berschrift1")
        + paragraph("Two.")
    )
    document = read_document(make_word(tmp_path / "a.docx", body))
    assert document.kind == "word" and document.page_at(0) is None
    assert found(document) == [
        (
            "The Harbour > Ferries",
            "They run daily.\n\nBring:\n\n- a coat\n- a hat\n1. Pay\n2. Board",
        ),
        (
            "The Harbour > Ferries > Prices",
            "- Trip: Single; Price: 4 euros\n- Trip: Return; Price: 7 euros",
        ),
        ("The Harbour > Ships", "Two."),
    ]


def test_word_notes_follow_their_paragraph_and_deleted_text_is_gone(tmp_path):
    body = (
        '<w:p><w:r><w:t>It sank</w:t><w:footnoteReference w:id="2"/></w:r>'
        "<w:del><w:r><w:delText>No</w:delText><w:t>Never</w:t></w:r></w:del>"
        "<w:r><w:br/><w:t>twice.</w:t></w:r></w:p>" + paragraph("Then nothing.")
    )
    notes = (
        '<n xmlns:w="w"><w:footnote w:type="separator" w:id="0"><w:p><w:t>x</w:t></w:p>'
        '</w:footnote><w:footnote w:id="2"><w:p><w:t>In 1912.</w:t></w:p></w:footnote></n>'
    )
    document = read_document(make_word(tmp_path / "a.docx", body, footnotes=notes))
    assert document.text == "It sank\ntwice.\n\nIn 1912.\n\nThen nothing."


PAGE = """<!DOCTYPE html><html><head><title>Not this</title><style>p { color: red }</style></head>
<body><nav><a href="/">Home</a></nav><script>alert("no")</script>
<h1>The <em>Sea</em></h1><p>It is   deep<br>and
blue.<p hidden>Unseen.</p>
<h2>Whales</h2><ul><li>blue<ul><li>large</li></ul></li><li><p>grey</p><p>and old</p></li></ul>
<ol><li>one</li><li>two</li></ol>
<h2>Depths</h2><table><caption>In metres</caption>
<tr><th>Sea</th><th>Depth</th></tr><tr><td rowspan=2>North</td><td>700</td></tr>
<tr><td>about 800</td></tr></table>
<pre>
def f():
    return 1
</pre><div>After &amp; <b>bold</b>ly.</div></body></html>"""


def test_html_structure(tmp_path):
    document = read(tmp_path / "a.html", PAGE)
    assert document.kind == "html"
    assert found(document) == [
        ("The Sea", "It is deep\nand blue."),
        ("The Sea > Whales", "- blue\n  - large\n- grey\n  and old\n1. one\n2. two"),
        (
            "The Sea > Depths",
            "In metres\n\n- Sea: North; Depth: 700\n- Sea: North; Depth: about 800\n\n"
            "def f():\n    return 1\n\nAfter & boldly.",
        ),
    ]


def test_a_page_without_a_heading_has_its_title(tmp_path):
    page = (
        "<title>Bakery\n hours</title><table><tr><td><p>Open <table><tr><td>x</table>late</table>"
    )
    assert found(read(tmp_path / "a.htm", page)) == [("Bakery hours", "Open\n\nx\n\nlate")]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "windows-1251", "shift_jis"])
def test_encodings_of_pages(tmp_path, encoding):
    word = "Привет мир" if encoding != "shift_jis" else "日本語の文章"
    page = f'<meta charset="{encoding}"><p>{word}'
    assert read(tmp_path / "a.html", page.encode(encoding)).text == word


def test_chapters_of_a_book(tmp_path):
    chapters = ["<h1>One</h1><p>First.</p>", "<p>Second.<script src='x'/></p><p>Still.</p>"]
    document = read_document(make_book(tmp_path / "a.epub", chapters))
    assert document.kind == "epub"
    assert found(document) == [("One", "First."), ("Part 2", "Second.\n\nStill.")]


def test_rows_of_csv_are_understandable_alone(tmp_path):
    data = 'Name;Built;Notes\nEiffel Tower;1889;"in Paris;\nof iron"\n\nBig Ben;1859;\n'
    document = read(tmp_path / "a.csv", "\ufeff" + data)
    assert document.text == (
        "- Name: Eiffel Tower; Built: 1889; Notes: in Paris; of iron\n- Name: Big Ben; Built: 1859"
    )
    assert len(found(document, target=8)) == 2
    assert read(tmp_path / "b.tsv", "a, b\tc\n1\t2").text == "- a, b: 1; c: 2"
    assert read(tmp_path / "c.csv", "Anna,5\nBen,6").text == "- Anna: 5\n- Ben: 6"
    assert read(tmp_path / "d.csv", "only\nwords").text == "- only\n- words"


def test_names_of_columns_are_told_from_values():
    def lines(*rows: str) -> list[str]:
        return list(row_lines(row.split("|") for row in rows))

    assert lines("City|Country|River", "Rome|Italy|Tiber")[0].startswith("City: Rome; Country")
    assert lines("Year|Rain", "1999|12 mm") == ["Year: 1999; Rain: 12 mm"]
    assert lines("Name|Anna", "City|Rome") == ["Name: Anna", "City: Rome"]
    assert lines("|||", "one|") == ["one"]


def test_right_to_left_and_eastern_text(tmp_path):
    for text in (
        "هذا نص عربي. وهذه جملة.",
        "זה טקסט בעברית.",
        "这是中文。很好。",
        "これは日本語です。",
    ):
        word = make_word(tmp_path / "a.docx", paragraph(text))
        book = make_book(tmp_path / "a.epub", [f"<h1>{text}</h1>"])
        page = tmp_path / "a.html"
        page.write_text(f"<p>{text}", encoding="utf-8")
        for path in (word, book, page):
            assert read_document(path).text == text


WORDS = st.text(max_size=30) | st.sampled_from(["A. B.", "w " * 60, "# x", "e\u0301", "- a\n\n b"])
PIECES = st.builds(
    lambda text, what: {"text": text, **what},
    WORDS,
    st.sampled_from([{}, {"line": True}, {"code": True}, {"heading": 1}, {"heading": 2}]),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(PIECES, max_size=12), st.integers(1, 30))
def test_passages_of_any_pieces_stand_where_they_say(pieces, target):
    text, blocks = assemble(pieces)
    for block, after in pairwise(blocks):
        assert 0 <= block.start < block.end < after.start and text[block.end :].startswith("\n")
    document = Document("a", text, kind="html", blocks=blocks)
    end = 0
    for passage in split_passages(document, lambda piece: len(piece.split()), target):
        assert text[passage.start : passage.end] == passage.text != ""
        gap = text[end : passage.start].strip()
        assert not gap or passage.heading
        end = passage.end
    assert not text[end:].strip()


NAMES = st.text(alphabet="aB1 .<&é\u05d0漢-", max_size=20)


@settings(max_examples=25, deadline=None)
@given(texts=st.lists(NAMES, min_size=1, max_size=6))
def test_passages_of_every_format_stand_where_they_say(texts, tmp_path_factory, in_process):
    folder = tmp_path_factory.mktemp("formats")
    tags = ["h1", "p", "li", "td", "pre", "h2"]
    page = "".join(f"<{t}>{escape(x)}</{t}>" for t, x in zip(tags, texts, strict=False))
    rows = [texts, texts[::-1], texts]
    styles = ["berschrift1", "", "Mine", ""]
    word = "".join(paragraph(x, s) for x, s in zip(texts, styles, strict=False)) + table(rows)
    (folder / "a.html").write_text(page, encoding="utf-8")
    (folder / "a.csv").write_text("\n".join(",".join(row) for row in rows), encoding="utf-8")
    (folder / "a.md").write_text("# x\n\n" + "\n\n".join(texts), encoding="utf-8")
    paths = [make_word(folder / "a.docx", word), make_book(folder / "a.epub", [page])]
    paths += [folder / "a.html", folder / "a.csv", folder / "a.md"]
    paths.append(make_pdf(folder / "a.pdf", texts))
    for path in paths:
        try:
            document = read_document(path)
        except documents.DocumentError as error:
            assert "no text" in str(error)
            continue
        found(document, target=3)


@pytest.fixture(scope="module")
def in_process():
    """Let the readers run in this process: what they find is the same, and starting takes time."""
    import json
    import sys
    from importlib import import_module

    from mlx_toy.formats.__main__ import READERS
    from mlx_toy.formats.output import Output, Refused

    def run(data: bytes, kind: str, limits, poll=None) -> list[dict]:
        lines = io.StringIO()
        stdout, sys.stdout = sys.stdout, lines
        try:
            reader: Callable = import_module(f"mlx_toy.formats.{READERS[kind]}").read
            reader(data, kind, Output(vars(limits)))
        except Refused as refused:
            raise documents.ReaderError(refused.code) from refused
        finally:
            sys.stdout = stdout
        return [json.loads(line) for line in lines.getvalue().splitlines()]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(documents, "run_reader", run)
        yield
