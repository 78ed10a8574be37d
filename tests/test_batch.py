"""The batch verbs: records in order, malformed lines reported, output whole or not at all."""

import json
from pathlib import Path
from typing import Any

import pytest
from cli_fixtures import PAGES, QUESTION, Run, is_one_sentence, make_run

from mlx_toy.engine import Engine

SCORED = (
    b'\xef\xbb\xbf{"text": "Hello world."}\nno json\n[]\n\n{"text": 5}\n{"text": "\\ud800"}\n'
    b'\xff\n{"text": ""}\n' + b"[" * 100_000 + '\n{"text": "naïve 🦜"}\n\n'.encode()
)


@pytest.fixture
def run(
    tiny_model_dir: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Run:
    return make_run(tiny_model_dir, tmp_path / "library", capsys, monkeypatch)


def test_score_is_the_engines_and_keeps_the_order(
    run: Run, tmp_path: Path, tiny_model_dir: Path
) -> None:
    file = tmp_path / "texts.jsonl"
    file.write_bytes(SCORED)
    result = run("score", file)
    assert result.code == 1
    reported = [line.split()[1] for line in result.err.splitlines() if line.startswith("line ")]
    assert reported == ["2", "3", "4", "5", "6", "7", "9"]
    texts = ["Hello world.", "", "naïve 🦜"]
    assert [line["bytes"] for line in result.lines] == [12, 0, 11]
    with Engine.load(tiny_model_dir) as engine:
        bos = engine.tokenizer.bos_id
        scores = engine.score([[bos, *engine.tokenizer.encode(text)] for text in texts])
    assert [line["tokens"] for line in result.lines] == [tokens for _, tokens in scores]
    assert [line["nats"] for line in result.lines] == pytest.approx([nats for nats, _ in scores])
    assert run("score", "-", stdin=SCORED).out == result.out


def test_many_texts_are_scored_in_pieces(run: Run, tmp_path: Path) -> None:
    lines = [json.dumps({"text": "ab " * (number % 7)}) for number in range(2100)]
    file, out = tmp_path / "texts.jsonl", tmp_path / "out.jsonl"
    file.write_text("\n".join(lines))
    result = run("score", file, "--out", out, "--json")
    assert (result.code, result.out) == (0, "")
    sizes = [json.loads(line)["bytes"] for line in out.read_text().splitlines()]
    assert sizes == [3 * (number % 7) for number in range(2100)]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.jsonl", "texts.jsonl"]


def test_a_batch_that_fails_leaves_the_old_output(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    out.write_text("old")
    assert is_one_sentence(run("score", "-", "--model", "/nowhere", "--out", out, stdin=SCORED))
    assert out.read_text() == "old" and list(tmp_path.iterdir()) == [out]


def test_answers_stand_in_the_passages(run: Run) -> None:
    records: list[Any] = [
        {"question": QUESTION, "passages": PAGES},
        {"question": QUESTION, "passages": "no list"},
        {"question": "", "passages": PAGES},
        {"question": QUESTION, "passages": []},
        {"question": QUESTION, "passages": ["", PAGES[1] * 50]},
        {"passages": PAGES},
    ]
    result = run("answer", "-", stdin="\n".join(map(json.dumps, records)).encode())
    assert result.code == 1 and len(result.lines) == 3
    for line, record in zip(result.lines, (records[0], records[3], records[4]), strict=True):
        assert list(line) == ["answer", "span", "quote", "abstained", "citations"]
        if line["abstained"]:
            assert (line["span"], line["quote"], line["citations"]) == (None, None, [])
            continue
        [number] = line["citations"]
        passage = record["passages"][number - 1]
        assert line["span"] in passage and line["quote"] in passage
    assert result.lines[1]["abstained"]
    for number in (2, 3, 6):
        assert f"line {number} skipped: " in result.err
