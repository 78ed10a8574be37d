"""From JSON lines to shards: what is read, what is held back, what is learned."""

import json
import lzma
import shutil

import numpy as np
import pytest

from corpus.__main__ import main
from corpus.build import screen_sources, write_shards, write_text_sample
from corpus.catalog import Source, data_directory, load_catalog
from corpus.parallel import Workers
from corpus.readers import read_json_lines, read_source
from corpus.screening import is_validation
from mlx_toy.chat import NOT_IN_PASSAGES
from mlx_toy.errors import UserError
from train.shards import open_mixture, open_shard

STAGES = {"pretrain": 1.0, "decay": 1.0, "finetune": 1.0}
ALL = 10**9  # words or tokens


def source(name, kind, file):
    return Source(name, kind, file, "", 0, "CC0-1.0", "us", "written by us", STAGES)


def number(i):
    """A word of its own for every number, so that no two texts are nearly the same."""
    return "".join("bcdfghjklm"[int(digit)] + "aeiou"[int(digit) % 5] for digit in str(i))


@pytest.fixture
def data(tmp_path):
    """Three small sources: plain text, chats, and questions with their passages."""
    folder = tmp_path / "data"
    folder.mkdir()
    with lzma.open(folder / "text.jsonl.xz", "wt") as file:
        for i in range(1000):
            file.write(json.dumps({"id": f"t{i}", "text": f"The fox number {i} ran home."}) + "\n")
    chats = [
        [
            {"role": "user", "content": f"Hi, I am {number(i)}!"},
            {"role": "assistant", "content": "Hello there."},
        ]
        for i in range(600)
    ]
    (folder / "chat.jsonl").write_text(
        "".join(json.dumps({"id": f"c{i}", "messages": c}) + "\n" for i, c in enumerate(chats))
    )
    (folder / "qa.jsonl").write_text(
        "".join(
            json.dumps(
                {
                    "id": f"q{i}",
                    "title": f"Birds {i // 10}",
                    "context": f"A wren weighs {i} grams. It sings. Owls hunt at night, quietly.",
                    "question": "How much does a wren weigh?",
                    "answers": [f"{i} grams"],
                }
            )
            + "\n"
            for i in range(100, 900)
        )
    )
    return folder


@pytest.fixture
def sources():
    return [
        source("base/text", "text", "text.jsonl.xz"),
        source("chat/hello", "chat", "chat.jsonl"),
        source("qa/birds", "question", "qa.jsonl"),
    ]


@pytest.fixture
def build(data, sources, tiny_tokenizer, tmp_path):
    """A function that screens the sources and writes their shards; it returns the headers."""
    (tmp_path / "tokenizer.model").write_bytes(tiny_tokenizer.model_proto)

    def run(chosen=sources, workers=1):
        with Workers(workers) as pool:
            screening = screen_sources(chosen, data, tmp_path / "out", ALL, pool)
            return write_shards(screening, data, tmp_path, tmp_path / "out", ALL, pool)

    return run


def test_catalogue_names_licence_and_upstream_of_every_source():
    sources = load_catalog()
    assert len(sources) > 30
    for entry in sources:
        assert entry.licence and entry.attribution and entry.upstream
        assert entry.ours or entry.home or len(entry.sha256) == 64


def test_shards_hold_every_record_on_one_side(build, tiny_tokenizer, tmp_path):
    headers = build()
    texts = [h for h in headers if h.name == "base-text"]
    assert sum(h.records for h in texts) == 1000
    valid = open_shard(tmp_path / "out" / "shards", "base-text", "valid")
    held_back = [i for i in range(1000) if is_validation({"id": f"t{i}"})]
    assert len(valid.offsets) - 1 == len(held_back)
    first = valid.tokens[valid.offsets[0] : valid.offsets[1]]
    assert first[0] == tiny_tokenizer.bos_id and first[-1] == tiny_tokenizer.eos_id
    assert tiny_tokenizer.decode(first.tolist()) == f"The fox number {held_back[0]} ran home."


def test_only_the_assistants_words_are_learned(build, tiny_tokenizer, tmp_path):
    build()
    shard = open_shard(tmp_path / "out" / "shards", "chat-hello", "train")
    ids = np.asarray(shard.tokens[: shard.offsets[1]])
    mask = np.asarray(shard.loss_mask[: shard.offsets[1]])
    learned = ids[mask == 1].tolist()
    assert learned == [*tiny_tokenizer.encode("Hello there."), tiny_tokenizer.end_id]


def test_text_sample_is_shared_by_parts(data, sources, tmp_path):
    screening = screen_sources(sources, data, tmp_path / "out", ALL, Workers(1))
    written = write_text_sample(screening, data, tmp_path / "out.jsonl", 6_000)
    lines = (tmp_path / "out.jsonl").read_text().splitlines()
    texts = [json.loads(line)["text"] for line in lines]
    assert 3_000 < written < 7_000
    assert any("fox" in t for t in texts) and any("Hello" in t for t in texts)


def test_mixture_of_a_stage_is_what_the_catalogue_says(build, tmp_path):
    build()
    mixture = open_mixture(tmp_path / "out" / "shards", "finetune")
    assert {s.name for s in mixture.shards} == {"base-text", "chat-hello", "qa-birds"}


def test_several_processes_write_the_same_shards(build, tmp_path):
    alone = build()
    shutil.rmtree(tmp_path / "out")  # so that nothing is finished
    assert [h.sha256 for h in alone] == [h.sha256 for h in build(workers=2)]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b'{"text": "a"}\n["no object"]\n', "line 2"),
        (b'{"text": "a"}\nnot json\n', "line 2"),
    ],
)
def test_broken_lines_are_named(tmp_path, content, expected):
    file = tmp_path / "broken.jsonl"
    file.write_bytes(content)
    with pytest.raises(UserError, match=expected):
        list(read_json_lines(file))


def test_truncated_archive_is_named(tmp_path):
    whole = lzma.compress(b'{"text": "a"}\n' * 5000)
    (tmp_path / "cut.jsonl.xz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match="breaks off"):
        list(read_json_lines(tmp_path / "cut.jsonl.xz"))


def test_missing_data_gives_one_sentence(capsys, tmp_path):
    assert main(["build", "--data", str(tmp_path / "none"), "--out", str(tmp_path / "x")]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: no training data at") and error.count("\n") == 1
    with pytest.raises(UserError, match="--data"):
        data_directory("")


def test_missing_file_is_named_before_any_time_is_spent(tmp_path, capsys):
    arguments = ["build", "--data", str(tmp_path), "--out", str(tmp_path / "s"), "--workers", "1"]
    assert main(arguments) == 2 and "check --data" in capsys.readouterr().err
    assert not list((tmp_path / "s").glob("records/*"))


def test_our_own_dialogues_follow_their_guide():
    """Turns alternate, replies are short, and what is quoted stands in the cited passage."""
    own = next(entry for entry in load_catalog() if entry.ours)
    ids, count = set(), 0
    for record in read_source(own, data=None):
        roles = [m["role"] for m in record["messages"] if m["role"] != "context"]
        assert roles == ["user", "assistant"] * (len(roles) // 2) and roles, record["id"]
        assert record["id"] not in ids
        ids.add(record["id"])
        passages = []
        for message in record["messages"]:
            if message["role"] == "context":
                passages = message["content"].split("\n")
            elif message["role"] == "assistant":
                assert len(message["content"].split()) <= 70, record["id"]
                if passages and message["content"] != NOT_IN_PASSAGES:
                    words, _, number = message["content"].rstrip("]").rpartition(" [")
                    assert words in passages[int(number) - 1], record["id"]
        count += 1
    assert count > 500


def test_second_build_keeps_finished_shards(build, tmp_path):
    out = tmp_path / "out"
    first = build()
    made = (out / "shards" / "base-text.train.bin").stat().st_mtime_ns
    screened = (out / "records" / "base-text.rows").stat().st_mtime_ns
    (out / "shards" / "chat-hello.train.json").unlink()  # as if the build had been interrupted
    second = build()
    assert first == second
    assert (out / "shards" / "base-text.train.bin").stat().st_mtime_ns == made
    assert (out / "records" / "base-text.rows").stat().st_mtime_ns == screened
    assert (out / "shards" / "chat-hello.train.json").is_file()
