"""Reading files: what is read exactly, and how everything else is refused."""

import json
import time
import unicodedata

import pytest
from archive_fixtures import make_book, make_word, paragraph
from documents_fixtures import (
    make_broken_pdf,
    make_encrypted_pdf,
    make_looping_pdf,
    make_pdf,
    make_pdf_bomb,
    make_pdf_of_two_columns,
    make_scanned_pdf,
)
from hypothesis import given
from hypothesis import strategies as st

from mlx_toy.documents import Document, DocumentError, Limits, clean_name, read_document
from mlx_toy.errors import UserError
from mlx_toy.page_text import clean_text, join_pages
from mlx_toy.text_encoding import decode


def refusal(path, **options) -> str:
    """The sentence with which a file is refused."""
    with pytest.raises(DocumentError) as error:
        read_document(path, **options)
    message = str(error.value)
    assert isinstance(error.value, UserError)
    assert message.endswith(".") and "\n" not in message
    return message


def write(path, data: bytes):
    path.write_bytes(data)
    return path


def test_pdf_page_starts_are_exact(tmp_path):
    pages = ["The whale is blue.", "The shark is grey.", "The squid is red."]
    document = read_document(make_pdf(tmp_path / "sea.pdf", pages))
    assert document.kind == "pdf" and document.name == "sea.pdf" and document.notes == ()
    for number, page in enumerate(pages, 1):
        offset = document.text.index(page)
        assert document.page_starts[number - 1] == offset
        assert document.page_at(offset) == number
        assert document.page_at(offset + len(page) - 1) == number


def test_pdf_lines_become_paragraphs_and_hyphens_go(tmp_path):
    page = (
        "Deep Water\n"
        "Whales gather their food in the cold deep water and carry infor-\n"
        "mation about it to one another over a distance of many hundred\n"
        "kilometres.\n"
        "A second paragraph begins here (it has brackets).\n"
        "- an item\n"
        "- another item"
    )
    text = read_document(make_pdf(tmp_path / "a.pdf", [page])).text
    assert text == (
        "Deep Water\n\n"
        "Whales gather their food in the cold deep water and carry information about it to one "
        "another over a distance of many hundred kilometres.\n\n"
        "A second paragraph begins here (it has brackets).\n- an item\n- another item"
    )


def test_a_sentence_that_goes_on_over_the_page_is_joined(tmp_path):
    pages = ["The whale swims in the deep", "sea and sings. It is blue and con-", "tent."]
    document = read_document(make_pdf(tmp_path / "a.pdf", pages))
    assert document.text == "The whale swims in the deep sea and sings. It is blue and content."
    assert document.page_at(document.text.index("sea")) == 2
    assert document.page_at(document.text.index("tent.")) == 3


LEFT = [
    "The whale swims in the deep",
    "sea and it sings a long song",
    "that others hear far away in",
    "the cold water of the north",
    "where there is much to eat",
    "for all of them in summer.",
    "Then it rests.",
]
RIGHT = [
    "A shark has no bones at all",
    "but only cartilage, which is",
    "light and bends with ease so",
    "that it may turn quickly and",
    "catch its prey by surprise",
    "in the dark of the night.",
]


@pytest.mark.parametrize("by_row", [False, True])
def test_two_columns_are_read_one_after_the_other(tmp_path, by_row):
    path = make_pdf_of_two_columns(tmp_path / "a.pdf", [LEFT, RIGHT], by_row)
    text = read_document(path).text
    assert " ".join(LEFT) in " ".join(text.split())
    assert " ".join(RIGHT) in " ".join(text.split())
    assert text.startswith("A line that goes across") and text.endswith("night.")


def test_the_rows_of_a_table_stay_together(tmp_path):
    towns = ["Oslo", "Bergen", "Trondheim", "Stavanger", "Bodo", "Hamar", "Molde"]
    columns = [towns, [f"{number} ships" for number in range(7)]]
    text = read_document(make_pdf_of_two_columns(tmp_path / "a.pdf", columns, True)).text
    assert all(f"{town} {number} ships" in text for number, town in enumerate(towns[:4]))


def test_a_compound_keeps_its_hyphen_if_it_has_one_elsewhere():
    assert join_pages(["a well-\nknown fact, a well-known fact"])[0].startswith("a well-known")
    assert join_pages(["a wellknown and well-\nknown fact"])[0] == "a wellknown and wellknown fact"


def test_repeated_headers_and_page_numbers_go():
    body = "First line of page {0} here.\nSecond line of page {0} here."
    pages = [f"A Book of Whales\n{body.format(n)}\nPage {n}" for n in range(1, 6)]
    text, starts = join_pages(pages)
    assert "A Book" not in text and "Page" not in text
    assert [text[start:].split()[4].strip(".") for start in starts] == ["1", "2", "3", "4", "5"]


def test_headers_of_left_and_right_pages_go():
    heads = ["A Book of Whales", "The Deep Sea"]
    body = "First line of page {0} here.\nSecond line of page {0} here.\nThird of {0}."
    pages = [f"{heads[n % 2]}\n{body.format(n)}\n{n}" for n in range(1, 9)]
    text, _ = join_pages(pages)
    assert not any(head in text for head in heads) and text.count("First line") == 8


def test_headers_of_chapters_go_where_they_count_the_pages():
    words = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
    titles = ["Of whales", "Of sharks", "Of rays"]
    pages = [
        f"{titles[n // 3]} {n + 7}\nA line.\nAnother.\nPart {word}." for n, word in enumerate(words)
    ]
    text, _ = join_pages(pages)
    assert "Of " not in text and all(f"Part {word}." in text for word in words)


def test_pages_without_text_are_named_and_keep_the_count(tmp_path):
    document = read_document(make_pdf(tmp_path / "a.pdf", ["One.", "", "Three.", ""]))
    assert document.notes == ("No text on pages 2, 4.",)
    assert len(document.page_starts) == 4
    assert document.page_at(document.text.index("Three")) == 3


@given(st.lists(st.text(alphabet="ab-. \n\u0301Z1•", max_size=40), max_size=6))
def test_any_pages_join_to_clean_text_with_rising_page_starts(pages):
    text, starts = join_pages(pages)
    assert len(starts) == len(pages) and "\n\n\n" not in text
    assert list(starts) == sorted(starts) and all(0 <= s <= len(text) for s in starts)


def test_encrypted_pdf_is_refused_unless_its_password_is_empty(tmp_path):
    assert "password" in refusal(make_encrypted_pdf(tmp_path / "a.pdf", ["Secret"], "pass"))
    document = read_document(make_encrypted_pdf(tmp_path / "b.pdf", ["Not secret."], ""))
    assert document.text == "Not secret."


def test_broken_truncated_and_scanned_pdfs_are_told_apart(tmp_path):
    assert "damaged" in refusal(make_broken_pdf(tmp_path / "broken.pdf"))
    whole = make_pdf(tmp_path / "whole.pdf", ["Some text."] * 3).read_bytes()
    assert "damaged" in refusal(write(tmp_path / "short.pdf", whole[:300]))
    assert "OCR" in refusal(make_scanned_pdf(tmp_path / "scan.pdf"))


def test_a_pdf_that_takes_too_long_is_stopped(tmp_path):
    path = make_looping_pdf(tmp_path / "slow.pdf")
    begin = time.monotonic()
    assert "too long to read" in refusal(path, limits=Limits(timeout_s=1))
    assert time.monotonic() - begin < 20


def test_pdf_limits(tmp_path):
    path = make_pdf(tmp_path / "a.pdf", ["Some words."] * 4)
    assert "4 pages" in refusal(path, limits=Limits(max_pages=3))
    assert "20 characters" in refusal(path, limits=Limits(max_characters=20))


def test_a_pdf_that_needs_too_much_memory_is_refused(tmp_path):
    path = make_pdf_bomb(tmp_path / "a.pdf", megabytes=300)
    assert path.stat().st_size < 500_000
    assert refusal(path, limits=Limits(memory_bytes=150 * 2**20))


def test_a_reader_is_not_charged_for_the_memory_of_the_app(tmp_path):
    path = write(tmp_path / "a.csv", b"name,year\nAda,1815\n")
    limits = Limits(memory_bytes=300 * 2**20)
    held = b"x" * limits.memory_bytes  # as a large model does
    assert "Ada" in read_document(path, limits=limits).text
    assert held


def test_joined_letters_of_print_come_apart(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("The beneﬁt of the oﬃce ﬂoor.")
    assert read_document(path).text == "The benefit of the office floor."


def test_progress_of_a_pdf(tmp_path):
    seen = []
    path = make_pdf(tmp_path / "a.pdf", ["One.", "Two."])
    read_document(path, progress=lambda *pages: seen.append(pages))
    assert seen == [(1, 2), (2, 2)]


def test_content_decides_and_not_only_the_suffix(tmp_path):
    word = make_word(tmp_path / "letter.docx", paragraph("Really a letter."))
    assert read_document(word, name="a.txt").kind == "word"
    assert "not a PDF but a ZIP archive" in refusal(word, name="a.pdf")
    book = make_book(tmp_path / "b.epub", ["<p>Really a book.</p>"])
    assert read_document(book, name="b.docx").kind == "epub"
    assert ".doc files" in refusal(word, name="letter.doc")
    path = make_pdf(tmp_path / "a.pdf", ["Really a PDF."])
    assert read_document(path, name="a.docx").kind == "pdf"
    assert "plain text" in refusal(write(tmp_path / "b.pdf", b"Only words."))


@pytest.mark.parametrize("suffix", ["pdf", "txt", "md"])
def test_zeros_junk_and_nothing_are_refused(tmp_path, suffix):
    assert "binary" in refusal(write(tmp_path / f"zeros.{suffix}", bytes(10_000)))
    junk = bytes(i * i % 251 for i in range(10_000))
    assert "binary" in refusal(write(tmp_path / f"junk.{suffix}", junk))
    assert "empty" in refusal(write(tmp_path / f"empty.{suffix}", b""))
    assert f"nothing.{suffix}" in refusal(tmp_path / f"nothing.{suffix}")


def test_blank_huge_and_strange_files_are_refused(tmp_path):
    assert "no text" in refusal(write(tmp_path / "blank.txt", b" \n\t\r\n"))
    path = write(tmp_path / "big.txt", b"word " * 1_000_000)
    assert "1 MB" in refusal(path, limits=Limits(max_bytes=2**20))
    assert "split it" in refusal(path, limits=Limits(max_characters=100))
    assert "not a file" in refusal(tmp_path, name="folder.txt")
    assert "not a file" in refusal("/dev/zero", name="zero.txt")
    assert "cannot be opened" in refusal("a\0b.txt")


@pytest.mark.parametrize(
    "encoding",
    ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252", "iso8859-15"],
)
def test_encodings(tmp_path, encoding):
    text = "Der Käse ist für müde Öfen: ein Ärger, größer als die Übung. " * 10
    document = read_document(write(tmp_path / "a.txt", text.encode(encoding)))
    assert document.text == text.strip()


def test_encodings_of_other_scripts(tmp_path):
    russian = "Съешь же ещё этих мягких французских булок, да выпей чаю. " * 10
    japanese = "日本語の文章をここに書きます。これは試験です。" * 10
    for text, encoding in ((russian, "cp1251"), (russian, "koi8-r"), (japanese, "shift_jis")):
        document = read_document(write(tmp_path / "a.txt", text.encode(encoding)))
        assert document.text == text.strip()


@pytest.mark.parametrize(
    "text",
    [
        "café",
        "He met her in the café and left his résumé there; nothing else happened that day. " * 30,
        "The price is £5 – “cheap”, isn’t it? It was 20 °C.",
        "Der Käse ist für müde Öfen.",
        "Où ça ? À l’hôtel, très naïf, forêt, garçon, cœur.",
        "El niño comió piñas. ¿Qué tal? ¡Hola!",
        "O coração não tem razões; ação e reações, avó.",
        "Rødgrød med fløde på en ø. Smörgåsbord.",
        "Þetta er íslenska og hún er skemmtileg; það má læra hana.",
    ],
)
def test_western_text_is_read_as_windows_1252(text):
    assert decode(text.encode("cp1252")) == text


@pytest.mark.parametrize(
    "text, encoding",
    [
        ("Příliš žluťoučký kůň úpěl ďábelské ódy. ", "cp1250"),
        ("Zażółć gęślą jaźń, proszę państwa, to jest polski tekst. ", "cp1250"),
        ("Árvíztűrő tükörfúrógép, és a többi magyar szó, őszintén. ", "cp1250"),
        ("Η γρήγορη αλεπού πηδάει πάνω από τον τεμπέλη σκύλο. ", "cp1253"),
        ("Pijamalı hasta yağız şoföre çabucak güvendi. Işık açık. ", "cp1254"),
        ("עברית היא שפה יפה מאוד וכולם אוהבים אותה. ", "cp1255"),
        ("这是一个中文测试文件，里面有很多汉字。", "gb18030"),
        ("이것은 한국어 시험 문장입니다. 잘 읽히는지 봅시다. ", "euc_kr"),
    ],
)
def test_windows_1252_does_not_swallow_other_languages(text, encoding):
    assert decode((text * 6).encode(encoding)) == text * 6


def test_one_damaged_character_does_not_change_the_encoding(tmp_path):
    data = "Zażółć gęślą jaźń. ".encode() * 20 + b"\xff"
    assert read_document(write(tmp_path / "a.txt", data)).text.startswith("Zażółć gęślą jaźń.")


def test_text_is_normalised(tmp_path):
    data = "e\u0301\r\nb\rc \t\n\n\n\n\u202ed\x07\u200b\x0c" + "e" * 100
    document = read_document(write(tmp_path / "a.txt", data.encode()))
    assert document.text == "é\nb\nc\n\nd\n\n" + "e" * 100


@given(st.text())
def test_any_text_is_normalised_once_for_all(text):
    clean = clean_text(text)
    assert clean == clean_text(clean) and "\n\n\n" not in clean and "\r" not in clean
    assert unicodedata.is_normalized("NFC", clean)
    json.dumps(clean).encode()
    clean.encode()


@pytest.mark.parametrize(
    "text",
    ["e" + "\u0327\u0301" * 500_000, " " * 2_000_000 + "x", "![" * 900_000, "![a](" * 400_000],
)
def test_hostile_text_is_read_in_linear_time(tmp_path, text):
    begin = time.process_time()
    read_document(write(tmp_path / "a.md", text.encode()))
    assert time.process_time() - begin < 10


def test_markdown_pictures_of_the_web_are_not_kept(tmp_path):
    path = write(tmp_path / "a.md", b"See ![a whale](https://example.org/spy.png) here.")
    assert read_document(path).text == "See a whale here."


def test_names_are_safe_to_show():
    assert clean_name("../../etc/a\nb\x00\u202e.txt") == "a b.txt"
    assert clean_name("C:\\files\\a.pdf") == "a.pdf"
    long = clean_name("x" * 500 + ".pdf")
    assert len(long) <= 120 and long.endswith(".pdf")
    assert clean_name("\udcff.txt") == ".txt"


def test_the_digest_is_of_the_text():
    assert Document("a", "x").digest == Document("b", "x", kind="markdown").digest
    assert Document("a", "x").digest != Document("a", "y").digest
    assert Document("a", "x").page_at(0) is None
