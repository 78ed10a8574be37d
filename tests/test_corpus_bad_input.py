"""Bad input is one clear sentence, before any time is spent on the rest."""

import json
import lzma

import pytest

import corpus.__main__ as command
from corpus import own_text, readers
from corpus.build import screen_sources
from corpus.catalog import Source
from corpus.parallel import Workers
from corpus.readers import parse_record, read_lines
from mlx_toy.errors import UserError

PROSE = "The miller of Alm grinds rye, and sells it at the market every other week. "


@pytest.fixture
def refused(tmp_path, capsys):
    """A function that builds from own files and returns the sentence that refuses them."""

    def build(*files, more=()):
        texts = [str(file) for file in files]
        arguments = ["build", "--text", *texts, "--out", str(tmp_path / "run"), "--workers", "1"]
        assert command.main([*arguments, *more]) == 2
        captured = capsys.readouterr()
        assert captured.err.startswith("error: ") and captured.err.count("\n") == 1
        assert not captured.out
        assert not list((tmp_path / "run").glob("own_text*"))
        return captured.err

    return build


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("empty.txt", b"", "0 words are too little to learn from"),
        ("blank.txt", b" \r\n\t\n" * 9000, "0 words are too little to learn from"),
        ("short.txt", b"A few words only. " * 20, "80 words are too little to learn from"),
        ("binary.txt", b"\x00\x01\x02\x03" * 4000, "is binary data: save it as plain text"),
        ("paper.txt", b"%PDF-1.7 " * 4000, "is a PDF: save it as plain text"),
        ("archive.txt", lzma.compress(PROSE.encode() * 99), "is binary data"),
        ("records.jsonl", b'{"text": "' + PROSE.encode() * 400 + b'"}\n', "is JSON, not plain"),
        ("blob.txt", b"x" * 4_000_000, "0 words are too little to learn from"),
    ],
)
def test_own_file_without_text_is_refused(tmp_path, refused, name, content, sentence):
    (tmp_path / name).write_bytes(content)
    assert sentence in refused(tmp_path / name)


def test_missing_file_and_directory_are_refused(tmp_path, refused):
    assert "No such file or directory" in refused(tmp_path / "none.txt")
    assert "is a directory: give the files in it" in refused(tmp_path)


def test_last_of_many_files_is_looked_at_before_the_first_is_read(tmp_path, refused, monkeypatch):
    monkeypatch.setattr(own_text, "_parts", lambda text: pytest.fail("read before all was checked"))
    (tmp_path / "good.txt").write_text(PROSE * 400)
    (tmp_path / "bad.txt").write_bytes(b"\x00\x01\x02\x03" * 4000)
    assert "bad.txt is binary data" in refused(tmp_path / "good.txt", tmp_path / "bad.txt")
    (tmp_path / "large.txt").touch()
    monkeypatch.setattr(own_text, "MAX_BYTES", 40_000)
    with open(tmp_path / "large.txt", "wb") as file:
        file.truncate(40_001)
    said = refused(tmp_path / "large.txt", tmp_path / "good.txt")
    assert "large.txt is larger than 40,000 bytes: split it" in said


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1252"])
def test_own_text_in_any_common_encoding_is_read(tmp_path, encoding):
    text = ("Der Käse ist für müde Öfen: ein Ärger, größer als die Übung. " * 12 + "\r\n\r\n") * 40
    (tmp_path / "notes.txt").write_bytes(text.encode(encoding))
    own_text.own_source([tmp_path / "notes.txt"], tmp_path)
    lines = (tmp_path / own_text.FILE).read_text(encoding="utf-8").splitlines()
    assert "Der Käse ist für müde Öfen" in json.loads(lines[0])["text"]
    assert "\r" not in json.loads(lines[0])["text"]


def test_line_of_megabytes_is_cut_into_parts(tmp_path):
    """One line without an end, and in it a word of a megabyte; nothing of it is lost."""
    line = PROSE * (3_000_000 // len(PROSE)) + "x" * 1_000_000
    (tmp_path / "line.txt").write_text(line)
    own_text.own_source([tmp_path / "line.txt"], tmp_path)
    longest = words = 0
    for record in read_lines(tmp_path / own_text.FILE):
        longest = max(longest, len(record.text))
        words += json.loads(record.text)["text"].count("miller")
    assert longest < readers.MAX_LINE / 10 and words == line.count("miller")


def source(name="one", kind="text"):
    return Source(f"base/{name}", kind, f"{name}.jsonl", "", 0, "CC0-1.0", "us", "x", {"decay": 1})


def screened(tmp_path, *sources):
    return screen_sources(list(sources), tmp_path, tmp_path / "out", 10**9, Workers(1))


def test_line_of_20_megabytes_in_a_source_is_named_and_not_read_whole(tmp_path):
    record = json.dumps({"text": PROSE * (20_000_000 // len(PROSE))})
    (tmp_path / "one.jsonl").write_text('{"text": "fine"}\n' + record)
    with pytest.raises(UserError, match=r"one\.jsonl, line 2 is longer than 10,000,000 charact"):
        screened(tmp_path, source())


@pytest.mark.parametrize("encoding", ["utf-16", "latin-1"])
def test_source_in_another_encoding_is_named(tmp_path, encoding):
    (tmp_path / "one.jsonl").write_bytes('{"text": "Café"}\n'.encode(encoding))
    with pytest.raises(UserError, match=r"one\.jsonl is no UTF-8 text after line 0"):
        screened(tmp_path, source())


def test_binary_source_is_named(tmp_path):
    (tmp_path / "one.jsonl").write_bytes(bytes(range(128)) * 100)
    with pytest.raises(UserError, match=r"one\.jsonl, line 1: .* must be a JSON object"):
        screened(tmp_path, source())


def test_own_text_of_which_nothing_is_left_is_refused(tmp_path, capsys):
    """Our own dialogues come with it, and alone they are not what was asked for."""
    (tmp_path / "marks.txt").write_text("12 + 34 = 46 ; == ## == " * 1000)
    arguments = ["build", "--text", str(tmp_path / "marks.txt"), "--out", str(tmp_path / "run")]
    assert command.main([*arguments, "--workers", "1"]) == 2
    assert "error: no record is left after filtering" in capsys.readouterr().err


def test_sources_without_any_document_are_named(tmp_path):
    for name in ("one", "two"):
        (tmp_path / f"{name}.jsonl").touch()
    with pytest.raises(UserError, match="no record is left after filtering"):
        screened(tmp_path, source("one"), source("two", "chat"))


def test_directory_instead_of_a_source_is_named(tmp_path):
    (tmp_path / "one.jsonl").mkdir()
    with pytest.raises(UserError, match=r"no file .*one\.jsonl: check --data"):
        screened(tmp_path, source())


@pytest.mark.parametrize(
    ("kind", "record"),
    [
        ("text", {"text": 5}),
        ("chat", {"messages": "Hello."}),
        ("chat", {"messages": [{"role": "user", "content": None}]}),
        ("question", {"context": "A.", "question": "B?", "answers": "C"}),
        ("pair", {"query": ["A"], "passage": "B"}),
    ],
)
def test_record_of_another_form_is_named(kind, record):
    line = readers.Line("one.jsonl", 7, json.dumps(record))
    with pytest.raises(UserError, match=f"one.jsonl, line 7 has something else .* no {kind}"):
        parse_record(kind, line)


def test_endless_nesting_is_named():
    with pytest.raises(UserError, match="must be a JSON object"):
        readers.parse(readers.Line("one.jsonl", 1, "[" * 200_000))


def test_broken_tokenizer_is_named_before_the_sources_are_read(tmp_path, refused):
    (tmp_path / "good.txt").write_text(PROSE * 400)
    (tmp_path / "tokenizer.model").write_bytes(b"no tokenizer")
    said = refused(tmp_path / "good.txt", more=["--tokenizer", str(tmp_path)])
    assert "tokenizer.model is not a sentencepiece model" in said


def test_output_that_is_a_file_is_named(tmp_path, capsys):
    (tmp_path / "file").touch()
    arguments = ["build", "--data", str(tmp_path), "--out", str(tmp_path / "file")]
    assert command.main(arguments) == 2
    assert "give another directory" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--workers", "--million-tokens"])
@pytest.mark.parametrize("value", ["0", "-1", "many", "nan"])
def test_numbers_that_make_no_sense_are_named(tmp_path, capsys, option, value):
    with pytest.raises(SystemExit):
        command.main(["build", "--out", str(tmp_path), option, value])
    assert f"{value!r} is no number above 0" in capsys.readouterr().err
