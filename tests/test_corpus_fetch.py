"""Fetching from a server that breaks off, lies, or is a small Hugging Face hub."""

import gzip
import hashlib
import http.server
import io
import json
import os
import re
import tarfile
import threading

import pyarrow
import pyarrow.parquet
import pytest

import corpus.__main__ as command
from corpus.catalog import Home, Source, load_catalog
from corpus.convert import FORMS
from corpus.download import Remote, check_room, download
from corpus.fetch import fetch, plan
from mlx_toy.errors import UserError

LINES = "".join(
    json.dumps({"text": f"Line number {i} of many."}) + "\n" for i in range(5000)
).encode()


class Server(http.server.ThreadingHTTPServer):
    """Serves `files` (path -> bytes), with `ranges`; breaks off after `limit` bytes, if set."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files, self.headers, self.limit, self.asked = {}, {}, None, []
        self.ranges = True
        self.url = f"http://127.0.0.1:{self.server_port}"


class Handler(http.server.BaseHTTPRequestHandler):
    def do_HEAD(self):
        self.answer(body=False)

    def do_GET(self):
        self.answer(body=True)

    def answer(self, body):
        path = self.path.partition("?")[0]
        content = self.server.files.get(path)
        self.server.asked.append((self.command, path, self.headers.get("Range")))
        if content is None:
            self.send_error(404)
            return
        wanted = self.headers.get("Range") if self.server.ranges else None
        start = int((wanted or "bytes=0-")[6:].split("-")[0])
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content) - start))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        for name, value in self.server.headers.get(path, {}).items():
            self.send_header(name, value)
        self.end_headers()
        if body:
            self.wfile.write(content[start:][: self.server.limit])
        self.close_connection = True

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield running
        running.shutdown()


def sha256(content):
    return hashlib.sha256(content).hexdigest()


def remote(server, content=LINES, checksum=None):
    server.files["/lines.jsonl"] = content
    return Remote("lines", f"{server.url}/lines.jsonl", len(LINES), checksum or sha256(LINES))


def source(home, kind="text"):
    return Source("open/one", kind, "open/one.jsonl.gz", "", 0, "CC0-1.0", "us", "x", {}, home=home)


def records(path):
    with gzip.open(path, "rt") as lines:
        return [json.loads(line) for line in lines]


def test_truncated_transfer_goes_on_where_it_stopped(server, tmp_path):
    wanted, target = remote(server), tmp_path / "lines"
    server.limit = 100_000
    with pytest.raises(UserError, match=r"after 100,000 of [\d,]+ bytes: run the same command"):
        download(wanted, target, lambda _: None)
    assert not target.exists()
    server.limit, got = None, []
    download(wanted, target, got.append)
    assert target.read_bytes() == LINES
    assert sum(got) == len(LINES) - 100_000 and server.asked[-1][2] == "bytes=100000-"
    assert list(tmp_path.iterdir()) == [target]


def test_server_without_ranges_sends_all_of_it_once_more(server, tmp_path):
    wanted, target = remote(server), tmp_path / "lines"
    server.limit, server.ranges = 100_000, False
    with pytest.raises(UserError, match="broke off"):
        download(wanted, target, lambda _: None)
    server.limit = None
    download(wanted, target, lambda _: None)
    assert target.read_bytes() == LINES


def test_interrupted_fetch_goes_on_with_the_same_command(server, tmp_path):
    server.files["/lines.jsonl"], server.limit = LINES, 100_000
    home = Home("url", f"{server.url}/lines.jsonl", "lines", sha256=sha256(LINES))
    (planned,) = plan([source(home)], [], tmp_path)
    with pytest.raises(UserError, match="run the same command again, it goes on"):
        fetch(planned, tmp_path)
    server.limit = None
    (planned,) = plan([source(home)], [], tmp_path)  # it is not there yet
    assert fetch(planned, tmp_path) == 5000
    assert server.asked[-1][2] == "bytes=100000-"
    assert not list((tmp_path / ".fetch").iterdir())


def test_wrong_checksum_is_refused_and_removed(server, tmp_path):
    wanted = remote(server, LINES.replace(b"many", b"some"))
    with pytest.raises(UserError, match="not the file that the catalogue describes"):
        download(wanted, tmp_path / "lines", lambda _: None)
    assert not list(tmp_path.iterdir())


def test_longer_file_than_promised_is_refused(server, tmp_path):
    with pytest.raises(UserError, match="not the file"):
        download(remote(server, LINES + b"more"), tmp_path / "lines", lambda _: None)


def test_missing_page_and_dead_server_are_named(server, tmp_path):
    with pytest.raises(UserError, match="404"):
        download(Remote("x", f"{server.url}/none", 5, ""), tmp_path / "x", lambda _: None)
    with pytest.raises(UserError, match="broke off"):
        download(Remote("x", "http://127.0.0.1:9/x", 5, ""), tmp_path / "x", lambda _: None)


def test_too_little_room_is_said_before_anything_is_fetched(server, tmp_path):
    home = Home("url", f"{server.url}/lines.jsonl", "lines", sha256="0" * 64, bytes=10**18)
    with pytest.raises(UserError, match="make room"):
        plan([source(home)], [], tmp_path)
    assert not server.asked
    check_room(tmp_path, 1)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs Linux's /dev/full")
def test_full_disk_is_one_clear_sentence(server, tmp_path):
    (tmp_path / "lines.part").symlink_to("/dev/full")
    with pytest.raises(UserError, match="the disk is full"):
        download(remote(server), tmp_path / "lines", lambda _: None)


def test_plan_names_size_and_checksum_and_fetches_nothing(server, tmp_path):
    server.files["/lines.jsonl"] = LINES
    home = Home("url", f"{server.url}/lines.jsonl", "lines", sha256=sha256(LINES))
    (planned,) = plan([source(home)], [], tmp_path)
    assert (
        sha256(LINES) in str(planned) and "CC0-1.0" in str(planned) and server.url in str(planned)
    )
    assert planned.files[0].bytes == len(LINES)
    assert {method for method, _, _ in server.asked} == {"HEAD"}
    assert not list(tmp_path.iterdir())


def test_url_becomes_records_with_their_origin_beside_them(server, tmp_path):
    server.files["/lines.jsonl"] = LINES
    home = Home("url", f"{server.url}/lines.jsonl", "lines", sha256=sha256(LINES), most=100)
    (planned,) = plan([source(home)], [], tmp_path)
    assert fetch(planned, tmp_path) == 100
    file = tmp_path / "open" / "one.jsonl.gz"
    assert records(file)[99] == {"text": "Line number 99 of many.", "id": "open-one/99"}
    origin = json.loads((tmp_path / "open" / "one.jsonl.gz.json").read_text())
    assert origin["files"][0]["sha256"] == sha256(LINES) and origin["records"] == 100
    assert plan([source(home)], [], tmp_path) == []  # it is there


def test_archive_gives_the_members_that_are_asked_for(server, tmp_path):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, content in (
            ("repo-abc/data/train.txt", b"Once.\n<|endoftext|>\nTwice.\nThrice.\n"),
            ("repo-abc/data/test.txt", b"Never."),
        ):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    server.files["/abc.tar.gz"] = packed.getvalue()
    home = Home("archive", f"{server.url}/abc.tar.gz", "stories", files=("data/train.txt",))
    (planned,) = plan([source(home)], [], tmp_path)
    fetch(planned, tmp_path)
    texts = [record["text"] for record in records(tmp_path / "open" / "one.jsonl.gz")]
    assert texts == ["Once.", "Twice.\nThrice."]


def test_squad_keeps_questions_without_an_answer(server, tmp_path):
    questions = [
        {"id": "1", "question": "Who?", "answers": [{"text": "Bo"}, {"text": "Bo"}]},
        {"id": "2", "question": "Why?", "answers": [], "is_impossible": True},
    ]
    paragraph = {"context": "Bo is the mayor.", "qas": questions}
    content = json.dumps({"data": [{"title": "T", "paragraphs": [paragraph]}]}).encode()
    server.files["/squad.json"] = content
    home = Home("url", f"{server.url}/squad.json", "squad", sha256=sha256(content))
    fetch(plan([source(home, "question")], ["open/one"], tmp_path)[0], tmp_path)
    found = records(tmp_path / "open" / "one.jsonl.gz")
    assert [record["answers"] for record in found] == [["Bo"], []]


def small_hub(server, content, checksum):
    """One dataset with one file, as far as the hub's client asks for it."""
    commit, file = "c" * 40, "data/train-0.parquet"
    entry = {"rfilename": file, "size": len(content)}
    entry["lfs"] = {"sha256": checksum, "size": len(content), "pointerSize": 1}
    info = {"id": "us/chats", "sha": commit, "siblings": [entry, {"rfilename": "README.md"}]}
    info |= {"private": False, "downloads": 0, "likes": 0, "tags": []}
    server.files[f"/api/datasets/us/chats/revision/{commit}"] = json.dumps(info).encode()
    resolve = f"/datasets/us/chats/resolve/{commit}/{file}"
    server.files[resolve] = content
    server.headers[resolve] = {"X-Repo-Commit": commit, "ETag": f'"{checksum}"'}
    return Home("huggingface", "us/chats", "parquet-chats", ("data/train-*",), commit)


def chats():
    def turns(*roles):
        return [{"role": role, "content": f"I am {role}."} for role in roles]

    table = pyarrow.table(
        {"messages": [turns("system", "user", "assistant"), turns("user"), turns("assistant")]}
    )
    stream = io.BytesIO()
    pyarrow.parquet.write_table(table, stream)
    return stream.getvalue()


def test_dataset_of_the_hub_is_checked_and_converted(server, tmp_path):
    content = chats()
    home = small_hub(server, content, sha256(content))
    (planned,) = plan([source(home, "chat")], [], tmp_path, endpoint=server.url)
    assert [file.name for file in planned.files] == ["data/train-0.parquet"]
    assert planned.files[0].sha256 == sha256(content)
    fetch(planned, tmp_path, endpoint=server.url)
    (record,) = records(tmp_path / "open" / "one.jsonl.gz")
    assert [turn["role"] for turn in record["messages"]] == ["user", "assistant"]


def test_dataset_that_is_not_what_the_hub_promised_is_refused(server, tmp_path):
    home = small_hub(server, chats(), "0" * 64)
    (planned,) = plan([source(home, "chat")], [], tmp_path, endpoint=server.url)
    with pytest.raises(UserError, match="not what us/chats@"):
        fetch(planned, tmp_path, endpoint=server.url)


def test_unknown_source_is_named(tmp_path):
    with pytest.raises(UserError, match="open/squad_v2"):
        plan(load_catalog(), ["base/none"], tmp_path)


def test_homes_of_the_catalogue_are_pinned():
    """Everyone gets the same bytes: a commit of a dataset, or the checksum of a file."""
    fetched = [source for source in load_catalog() if source.home]
    assert len(fetched) == 5
    for one in fetched:
        home = one.home
        assert home.form in FORMS and one.records and any(one.stages.values())
        assert one.file == f"{one.name}.jsonl.gz"
        if home.kind == "huggingface":
            assert re.fullmatch("[0-9a-f]{40}", home.revision) and home.files
            assert f"https://huggingface.co/datasets/{home.address}" in one.upstream
        else:
            assert re.fullmatch("[0-9a-f]{64}", home.sha256) and home.bytes
            assert home.address.startswith(one.upstream)


def test_without_a_network_a_fetch_is_one_clear_sentence(tmp_path, monkeypatch, capsys):
    closed = Home("huggingface", "us/chats", "parquet-chats", files=("*",))
    monkeypatch.setattr(command, "load_catalog", lambda: [source(closed, "chat")])
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    assert command.main(["fetch", "--data", str(tmp_path), "--yes"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: cannot reach the dataset us/chats (")
    assert "refused" in error and error.count("\n") == 1
