"""What is cleaned, what is dropped and why, and that `corpus.json` says so."""

import fcntl
import json
import random

import pytest

from corpus.__main__ import main
from corpus.build import screen_sources, write_shards
from corpus.catalog import Source
from corpus.clean import complaint, hash_words, normalize
from corpus.parallel import Workers
from mlx_toy.errors import UserError

WORDS = [a + b + c for a in "bdfgklmnprst" for b in "aeiou" for c in "dlmnrst"]


def text(seed, words=60):
    return " ".join(random.Random(seed).choices(WORDS, k=words)).capitalize() + "."


def source(name, kind="text"):
    file = f"{name}.jsonl"
    return Source(f"base/{name}", kind, file, "", 0, "CC0-1.0", "us", "here", {"pretrain": 1.0})


def write(folder, name, texts):
    folder.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps({"id": f"{name}{i}", "text": t}) for i, t in enumerate(texts)]
    (folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n")


def screened(tmp_path, *names):
    """What was dropped of each source, by reason."""
    screening = screen_sources(
        [source(name) for name in names], tmp_path, tmp_path / "out", 10**9, Workers(1)
    )
    return [part.dropped for part in screening.parts]


def test_text_is_normalised():
    assert normalize("e\u0301a\r\nb\rc\u2028d\x00\x1b\ufeff \n\n\n\ne") == "éa\nb\nc\nd\n\ne"
    assert normalize({"a": ["x\x7f", 1]}) == {"a": ["x", 1]}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("Too short.", "too short"),
        ("#### %%%% ---- 1 2 3 4 5 6 = = = = = =", "not text"),
        ("A word of " + "x" * 1200 + " and a few more words" * 50, "not text"),
        ("All work and no play makes Jack a dull boy. " * 20, "repetitive"),
        (text(1), None),
    ],
)
def test_filters_name_their_reason(content, reason):
    assert complaint("text", content, hash_words(content)) == reason


def test_duplicates_are_found_across_sources_and_the_first_is_kept(tmp_path):
    original = text(7, words=300)
    near = original.replace(original.split()[100], "elsewhere", 1) + " The end."
    exact = original.upper()  # case and marks do not make another text
    write(tmp_path, "first", [text(1), original, text(2)])
    write(tmp_path, "second", [near, exact, text(3), text(3)])
    assert screened(tmp_path, "first", "second") == [
        {},
        {"exact duplicate": 2, "near duplicate": 1},
    ]


def test_texts_that_share_half_are_both_kept(tmp_path):
    half = text(8, words=150)
    write(tmp_path, "one", [f"{half} {text(i, words=150)}" for i in range(100, 104)])
    assert screened(tmp_path, "one") == [{}]


def test_nothing_that_shares_13_words_with_an_evaluation_file_is_kept(tmp_path):
    held_out = text(5, words=40)
    words = held_out.split()
    write(tmp_path / "eval", "questions", [held_out])
    write(
        tmp_path,
        "base",
        [
            f"{text(10)} {' '.join(words[4:17])} {text(11)}",  # 13 words
            f"{text(12)} {' '.join(words[4:16])} {text(13)}",  # 12 words
        ],
    )
    assert screened(tmp_path, "base") == [{"in an evaluation set": 1}]


def test_corpus_file_accounts_for_every_record(tmp_path, tiny_tokenizer):
    texts = [text(i) for i in range(300)]
    write(tmp_path, "base", [*texts, texts[0], "Short.", "wow " * 200])
    (tmp_path / "tokenizer.model").write_bytes(tiny_tokenizer.model_proto)
    with Workers(1) as pool:
        screening = screen_sources([source("base")], tmp_path, tmp_path / "out", 10**9, pool)
        headers = write_shards(screening, tmp_path, tmp_path, tmp_path / "out", 10**9, pool)
    report = json.loads((tmp_path / "out" / "corpus.json").read_text())
    entry = report["sources"]["base/base"]
    assert entry["read"] == 303 and entry["documents"] == 300
    assert entry["dropped"] == {"too short": 1, "repetitive": 1, "exact duplicate": 1}
    assert entry["words"] == 60 * 300 and entry["bytes"] == sum(map(len, texts))
    assert entry["tokens"] == report["total"]["tokens"] == sum(h.tokens for h in headers)
    assert entry["shards"]["train"]["sha256"] in {h.sha256 for h in headers}
    assert len(entry["sha256"]) == 64 and report["dropped"]["repetitive"] == 1


def test_file_that_is_not_the_catalogues_is_refused(tmp_path):
    write(tmp_path, "base", [text(1)])
    wrong = Source("base/base", "text", "base.jsonl", "0" * 64, 1, "CC0-1.0", "us", "here", {})
    wrong.stages["pretrain"] = 1
    with pytest.raises(UserError, match="not the file that the catalogue describes"):
        screen_sources([wrong], tmp_path, tmp_path / "out", 10**9, Workers(1))


def test_nothing_left_is_one_clear_sentence(tmp_path):
    write(tmp_path, "base", ["Short.", "wow " * 200])
    with pytest.raises(UserError, match="no record is left"):
        screened(tmp_path, "base")


def test_changed_evaluation_files_are_noticed(tmp_path):
    held_out = text(5, words=40)
    write(tmp_path, "base", [held_out, text(6)])
    assert screened(tmp_path, "base") == [{}]
    write(tmp_path / "eval", "pages", [held_out])
    assert screened(tmp_path, "base") == [{"in an evaluation set": 1}]


def test_second_build_in_one_directory_is_refused(tmp_path, capsys):
    write(tmp_path, "base", [text(1)])
    with open(tmp_path / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert main(["build", "--data", str(tmp_path), "--out", str(tmp_path)]) == 2
    assert "another command is writing" in capsys.readouterr().err
