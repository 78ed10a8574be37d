"""Files that are locked, broken, hostile or not what they say: each is refused in one sentence."""

import os
import struct
import time
import zipfile
import zlib
from pathlib import Path

import pytest
from archive_fixtures import make_book, make_word, make_zip, paragraph
from documents_fixtures import make_looping_pdf, make_pdf

from mlx_toy.documents import DocumentError, Limits, read_document
from mlx_toy.passages import split_passages

SCRIPTS = {
    "right to left": "המגדלור נבנה בשנת 1874. שומרו היה לבד.",
    "Chinese": "灯塔建于1874年。守塔人独自住在那里。",
    "Japanese": "灯台は1874年に建てられました。番人はひとりで住んでいました。",
    "Thai": "ประภาคารสร้างขึ้นในปี 1874 ผู้ดูแลอาศัยอยู่ที่นั่นคนเดียว",
}
PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 8
ENTITIES = (
    '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]><x>&b;</x>'
)


def refusal(path: Path, **options) -> str:
    """The sentence with which a file is refused."""
    with pytest.raises(DocumentError) as error:
        read_document(path, **options)
    message = str(error.value)
    name = options.get("name", path.name)
    assert message.startswith(name) and message.endswith(".") and "\n" not in message
    return message


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def locked(path: Path) -> Path:
    """Mark all members of an archive as encrypted, as a ZIP tool with a password does."""
    data = bytearray(path.read_bytes())
    for signature, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = -1
        while (at := data.find(signature, at + 1)) >= 0:
            data[at + place] |= 1
    return write(path, bytes(data))


@pytest.mark.parametrize("suffix", ["docx", "epub", "html", "csv", "tsv"])
def test_nothing_zeros_and_pictures_are_refused(tmp_path, suffix):
    assert "empty" in refusal(write(tmp_path / f"a.{suffix}", b""))
    assert "binary" in refusal(write(tmp_path / f"b.{suffix}", bytes(1000)))
    assert "a picture" in refusal(write(tmp_path / f"c.{suffix}", PNG))
    path = write(tmp_path / f"d.{suffix}", b"x" * 2_000_000)
    assert "larger than 1 MB" in refusal(path, limits=Limits(max_bytes=2**20))
    assert "cannot be opened" in refusal(tmp_path / f"gone.{suffix}")


def test_locked_files_are_told(tmp_path):
    word = make_word(tmp_path / "a.docx", paragraph("Secret."))
    assert "password" in refusal(locked(word))
    office = b"\xd0\xcf\x11\xe0" + bytes(508) + "EncryptedPackage".encode("utf-16-le")
    assert "password" in refusal(write(tmp_path / "b.docx", office))
    assert "old Microsoft" in refusal(write(tmp_path / "c.docx", office[:512]))
    book = make_book(tmp_path / "a.epub", ["<p>Secret.</p>"])
    assert "password" in refusal(locked(book))
    rights = (
        '<e><EncryptionMethod Algorithm="aes"/><CipherReference URI="book/text/c%201.xhtml"/></e>'
    )
    book = make_book(tmp_path / "b.epub", ["<p>x</p>"], {"META-INF/encryption.xml": rights})
    assert "copying" in refusal(book)
    fonts = rights.replace("aes", "http://www.idpf.org/2008/embedding")
    book = make_book(tmp_path / "c.epub", ["<p>x</p>"], {"META-INF/encryption.xml": fonts})
    assert read_document(book).text == "Part 1\n\nx"


def test_broken_files_are_told(tmp_path):
    word = make_word(tmp_path / "a.docx", paragraph("Some text. " * 200)).read_bytes()
    assert "damaged Word document" in refusal(write(tmp_path / "b.docx", word[:400]))
    spoiled = bytearray(word)
    at = word.index(b"word/document.xml") + 40
    spoiled[at : at + 20] = bytes(20)
    assert "damaged Word document" in refusal(write(tmp_path / "c.docx", bytes(spoiled)))
    assert "damaged Word document" in refusal(make_word(tmp_path / "d.docx", "<w:p>"))
    assert "damaged Word document" in refusal(make_word(tmp_path / "e.docx", "<w:p>" * 600))
    container = {"META-INF/container.xml": "<container/>"}
    assert "damaged EPUB book" in refusal(make_zip(tmp_path / "a.epub", container))
    assert "not a Word document but plain text" in refusal(write(tmp_path / "f.docx", b"Words."))
    assert "not an EPUB book but" in refusal(write(tmp_path / "f.epub", b"<p>Words."))
    other = make_zip(tmp_path / "g.docx", {"xl/workbook.xml": "<workbook/>"})
    assert "ZIP archive of another kind" in refusal(other)


def test_files_without_text_are_told(tmp_path):
    image = '<w:p><w:r><w:drawing><pic w:name="scan.png"/></w:drawing></w:r></w:p>'
    assert "recognition" in refusal(make_word(tmp_path / "a.docx", image))
    book = make_book(tmp_path / "a.epub", ['<img src="1.png" alt=""/>'], {"book/toc.ncx": "<n/>"})
    assert "recognition" in refusal(book)
    assert "no text" in refusal(write(tmp_path / "a.html", b"<script>let a = 1</script><img>"))
    assert "no text" in refusal(write(tmp_path / "a.csv", b",,\n,,\n"))


def test_bombs_do_not_go_off(tmp_path):
    page = "<p>" + " " * 30_000_000
    few = Limits(max_unpacked_bytes=2**20)
    for path in (make_word(tmp_path / "a.docx", page), make_book(tmp_path / "a.epub", [page])):
        assert path.stat().st_size < 100_000
        assert "unpacks to far more" in refusal(path, limits=few)
    liar = make_word(tmp_path / "b.docx", page)  # it says that it unpacks to ten bytes
    data = bytearray(liar.read_bytes())
    at = data.rindex(b"PK\x01\x02", 0, data.rindex(b"word/document.xml"))
    struct.pack_into("<I", data, at + 24, 10)
    assert refusal(write(liar, bytes(data)), limits=few)
    for part in ("document", "styles", "numbering", "footnotes"):
        path = make_word(tmp_path / f"{part}.docx", paragraph("x"), **{part: ENTITIES})
        assert "unpacks to far more" in refusal(path)
    book = make_book(tmp_path / "b.epub", ["<p>x"], {"book/package.opf": ENTITIES})
    assert "unpacks to far more" in refusal(book)


def test_an_outside_entity_is_not_fetched(tmp_path):
    secret = write(tmp_path / "secret.txt", b"the secret")
    xml = f'<!DOCTYPE w [<!ENTITY s SYSTEM "{secret.as_uri()}">]><p><t>&s;</t></p>'
    assert "secret.txt" not in refusal(make_word(tmp_path / "a.docx", "", document=xml))


def test_too_much_text_and_too_long_a_reading_are_refused(tmp_path):
    word = make_word(tmp_path / "a.docx", paragraph("Some words. " * 100))
    assert "1,000 characters" in refusal(word, limits=Limits(max_characters=1000))
    table = write(tmp_path / "a.csv", b"a long name,b\n" + b"1,2\n" * 500)
    assert "5,000 characters" in refusal(table, limits=Limits(max_characters=5000))
    long = make_looping_pdf(tmp_path / "a.pdf")
    assert "too long to read" in refusal(long, limits=Limits(timeout_s=1))


@pytest.mark.parametrize("markup", ["<div>", "<ul><li>", "<section><b>", "<span>"])
def test_a_page_nested_without_end_is_read(tmp_path, markup):
    path = write(tmp_path / "a.html", (markup * 50_000 + "Deep.<p>Down.").encode())
    begin = time.monotonic()
    assert read_document(path).text.replace("- ", "").split() == ["Deep.", "Down."]
    assert time.monotonic() - begin < 10


def test_a_page_of_five_megabytes_in_one_line_is_read(tmp_path):
    sentence = "<p>The <b>whale</b> is blue &amp; large. "
    path = write(tmp_path / "a.html", (sentence * (5_000_000 // len(sentence))).encode())
    begin = time.process_time()
    document = read_document(path)
    assert document.text.startswith("The whale is blue & large.\n\nThe whale")
    assert time.process_time() - begin < 15


def test_a_hundred_megabytes_are_refused_before_they_are_read(tmp_path):
    path = write(tmp_path / "a.pdf", b"%PDF-1.7")
    with path.open("ab") as file:
        file.truncate(100 * 2**20)
    assert "larger than 20 MB; split it" in refusal(path)


def test_five_thousand_pages_are_refused_with_their_number(tmp_path):
    path = make_pdf(tmp_path / "a.pdf", ["A page."] * 5000)
    assert "5,000 pages, more than the 3,000 allowed; split it" in refusal(path)


def test_what_is_no_file_is_told(tmp_path):
    assert "not a file" in refusal(tmp_path)
    os.mkfifo(tmp_path / "pipe.txt")
    assert "not a file" in refusal(tmp_path / "pipe.txt")
    assert "not valid" in refusal(Path("a\0b.txt"), name="ab.txt")


def test_the_wrong_suffix_is_seen_through_or_told(tmp_path):
    pdf = make_pdf(tmp_path / "a.pdf", ["Here."]).read_bytes()
    word = make_word(tmp_path / "a.docx", paragraph("Here.")).read_bytes()
    for suffix in ("txt", "docx", "html", "csv", "md"):
        assert read_document(write(tmp_path / f"pdf.{suffix}", pdf)).kind == "pdf"
    for suffix in ("txt", "epub", "html"):
        assert read_document(write(tmp_path / f"word.{suffix}", word)).kind == "word"
    assert "not a PDF but a ZIP archive" in refusal(write(tmp_path / "word.pdf", word))
    assert "not a PDF but plain text" in refusal(write(tmp_path / "text.pdf", b"Here."))


@pytest.mark.parametrize("script", ["right to left", "Chinese", "Japanese", "Thai"])
@pytest.mark.parametrize("suffix", ["txt", "md", "html", "csv", "docx", "epub"])
def test_every_script_is_read_from_every_format(tmp_path, script, suffix):
    text = SCRIPTS[script]
    path = tmp_path / f"a.{suffix}"
    if suffix == "docx":
        make_word(path, paragraph(text))
    elif suffix == "epub":
        make_book(path, [f"<h1>{text[:4]}</h1><p>{text}</p>"])
    else:
        path.write_text(f"<p>{text}" if suffix == "html" else text, encoding="utf-8")
    document = read_document(path)
    assert text in document.text
    for passage in split_passages(document, len, 10):
        assert document.text[passage.start : passage.end] == passage.text


def test_a_file_that_vanishes_is_told(tmp_path, monkeypatch):
    path = make_pdf(tmp_path / "a.pdf", ["Here."])
    look = Path.stat

    def vanish(self: Path, **options):
        result = look(self, **options)
        self.unlink()
        return result

    monkeypatch.setattr(Path, "stat", vanish)
    assert "cannot be opened (No such file" in refusal(path)


def test_any_spoiled_archive_is_read_or_refused(tmp_path):
    whole = make_word(tmp_path / "a.docx", paragraph("Some text.")).read_bytes()
    for at in range(10, len(whole), 311):
        path = write(tmp_path / "b.docx", whole[:at] + zlib.compress(whole) + whole[at:])
        try:
            read_document(path)
        except DocumentError as error:
            assert str(error).count("\n") == 0
    with zipfile.ZipFile(tmp_path / "c.docx", "w"):
        pass
    assert refusal(tmp_path / "c.docx")
