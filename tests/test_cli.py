"""The command line, as a person and as a script use it."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from cli_fixtures import PAGES, QUESTION, REPOSITORY, Run, is_one_sentence, make_run
from documents_fixtures import make_looping_pdf, make_pdf, make_scanned_pdf

VERBS = ("complete", "chat", "add", "list", "remove", "search", "ask", "serve", "doctor", "score")
VERBS += ("answer", "reembed", "rebuild")


@pytest.fixture
def run(
    tiny_model_dir: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Run:
    return make_run(tiny_model_dir, tmp_path / "library", capsys, monkeypatch)


@pytest.fixture
def pdf(tmp_path: Path) -> Path:
    return make_pdf(tmp_path / "brenn.pdf", PAGES)


def test_help_names_every_verb(run: Run) -> None:
    result = run("--help")
    assert result.code == 0 and all(f"    {verb} " in result.out for verb in VERBS)
    for verb in VERBS:
        assert run(verb, "--help").code == 0
    assert run("--version").out.startswith("mlx-toy ")


@pytest.mark.parametrize("arguments", [[], ["nonsense"], ["ask"], ["list", "--nonsense"]])
def test_a_wrong_command_is_explained(run: Run, arguments: list[str]) -> None:
    result = run(*arguments)
    assert result.code == 2 and "usage:" in result.err and result.out == ""


def test_nothing_heavy_is_imported_before_the_verb_is_known() -> None:
    code = (
        "import sys, mlx_toy.cli as c; c.parser(); print(*{m.split('.')[0] for m in sys.modules})"
    )
    out = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, stdout=-1, check=True)
    assert not {b"mlx", b"mlx_lm", b"lancedb", b"gradio", b"numpy"} & set(out.stdout.split())


def test_a_script_adds_lists_searches_asks_and_removes(run: Run, pdf: Path) -> None:
    [added] = run("add", pdf, "--json").json
    assert (added["file"], added["name"], added["pages"]) == (str(pdf), "brenn.pdf", 2)
    assert run("add", pdf, "--json").json[0]["already"]
    [listed] = run("list", "--json").json
    assert listed["id"] == added["id"]
    [hit] = run("search", "lighthouse", "--count", 1, "--json").json
    assert (hit["document"], hit["page"]) == ("brenn.pdf", 1) and "1874" in hit["text"]
    reply = run("ask", QUESTION, "--json").json
    assert reply["question"] == QUESTION and reply["answer"]
    assert {source["document"] for source in reply["sources"]} == {"brenn.pdf"}
    if not reply["abstained"]:
        [cited] = [source for source in reply["sources"] if source["quote"]]
        assert cited["span"] in cited["quote"] or cited["span"] in cited["text"]
    [removed] = run("remove", "brenn.pdf", "--json").json
    assert removed["id"] == added["id"]
    assert run("list", "--json").json == []


def test_a_person_reads_the_same(run: Run, pdf: Path) -> None:
    assert run("add", pdf).out == "brenn.pdf: added, 2 pages, 2 passages\n"
    listed = run("list").out
    assert listed.endswith("brenn.pdf  (2 pages, 2 passages)\n")
    assert run("search", "lighthouse").out.startswith("1. brenn.pdf, page 1 (similarity ")
    answer, _, sources = run("ask", QUESTION).out.partition("\n\n")
    assert answer and "\n[1] brenn.pdf, page 1: " in sources
    assert run("remove", listed.split()[0]).out == "brenn.pdf: removed\n"  # by the id it shows
    assert "there are no documents in" in run("list").err


def test_text_is_piped_into_the_library(run: Run) -> None:
    assert run("add", "-", stdin=PAGES[0].encode()).out == "Pasted text: added, 1 passage\n"
    assert "has no text" in run("add", "-", stdin=b" \n").err


def test_a_bad_file_does_not_stop_the_others(run: Run, pdf: Path, tmp_path: Path) -> None:
    scan = make_scanned_pdf(tmp_path / "scan.pdf")
    result = run("add", scan, tmp_path / "missing.txt", pdf, "--json")
    assert result.code == 2
    assert [set(item) & {"error", "id"} for item in result.json] == [{"error"}, {"error"}, {"id"}]
    assert [line[:15] for line in result.err.splitlines()] == ["error: scan.pdf", "error: missing."]


def test_a_folder_is_added_and_added_again(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "notes"
    for name in ("a.txt", "deep/a.txt", "deep/b.md", ".git/c.txt", "d.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"These are the words of {name}.")
    result = run("add", folder)
    assert result.out.splitlines() == [
        *("a.txt: added, 1 passage", "deep › a.txt: added, 1 passage"),
        "deep › b.md: added, 1 passage",
    ]
    assert "1 file left out, hidden or of another format" in result.err
    (folder / "deep/a.txt").write_text("These are other words.")
    again = run("add", folder, "--replace").out
    assert [line.split(": ")[1][:7] for line in again.splitlines()] == [
        *("already", "replace", "already"),
    ]
    assert len(run("list", "--json").json) == 3
    (folder / "a.txt").write_text("The first words are others too.")
    assert "--replace would have replaced it" in run("add", folder / "a.txt").err
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "no file to read" in run("add", empty).err


def test_a_library_is_embedded_anew_and_repaired(run: Run, pdf: Path, tmp_path: Path) -> None:
    assert "there are no documents" in run("rebuild").err
    run("add", pdf)
    assert run("reembed").out == "nothing to do: all passages are embedded by this embedder\n"
    assert run("rebuild").out == "the library is not damaged\n"
    for file in (tmp_path / "library" / "default.lance" / "data").iterdir():
        file.write_bytes(b"")
    result = run("list")
    assert is_one_sentence(result) and "python -m mlx_toy rebuild" in result.err
    assert run("rebuild").out == "the library: 1 document read anew\n"
    assert run("list", "--json").json[0]["name"] == "brenn.pdf"


def test_adding_needs_no_weights_of_the_model(
    run: Run, pdf: Path, tiny_model_dir: Path, tmp_path: Path
) -> None:
    light = Path(shutil.copytree(tiny_model_dir, tmp_path / "light"))
    (light / "model.safetensors").unlink()
    assert run("add", pdf, "--model", light).code == 0
    assert is_one_sentence(run("ask", QUESTION, "--model", light))


def test_what_to_remove_must_be_clear(run: Run, pdf: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    run("add", pdf, make_pdf(tmp_path / "other" / "brenn.pdf", PAGES[:1]))
    for arguments in ([], ["brenn.pdf"], ["nothing.pdf"], ["brenn.pdf", "--all"]):
        assert is_one_sentence(run("remove", *arguments))
    assert len(run("list", "--json").json) == 2
    assert len(run("remove", "--all", "--json").json) == 2
    assert run("list", "--json").json == []


def test_asking_named_files_leaves_the_library_alone(run: Run, pdf: Path, tmp_path: Path) -> None:
    (tmp_path / "sheep.md").write_text("# Sheep\n\nSheep graze at the lighthouse of Brenn.\n")
    reply = run("ask", QUESTION, "--document", pdf, tmp_path / "sheep.md", "--json").json
    assert {source["document"] for source in reply["sources"]} == {"brenn.pdf", "sheep.md"}
    assert run("list", "--json").json == []
    assert is_one_sentence(run("ask", QUESTION, "--document", tmp_path / "missing.pdf"))


def test_asking_an_empty_library_says_what_to_do(run: Run) -> None:
    result = run("ask", QUESTION)
    assert is_one_sentence(result) and "python -m mlx_toy add FILE" in result.err


def test_a_text_is_continued(run: Run) -> None:
    arguments = ("complete", "Once upon", "--max-tokens", 9, "--seed", 1)
    result = run(*arguments, "--json").json
    assert result["text"] == "Once upon" and result["completion"]
    assert run(*arguments).out.startswith("Once upon")
    assert run(*arguments, "--json").json["completion"] == result["completion"]
    read = run("complete", "-", *arguments[2:], "--json", stdin=b"Once upon").json
    assert read["completion"] == result["completion"]


def test_a_conversation_of_a_program(run: Run) -> None:
    result = run("chat", "--json", "--max-tokens", 4, stdin=b"Hello.\n\n\xff\xfe?\nBye.")
    assert result.code == 2  # one message was empty
    assert ["error" in line for line in result.lines] == [False, True, False, False]
    prompts = [line["stats"]["prompt_tokens"] for line in result.lines if "stats" in line]
    assert prompts == sorted(set(prompts))  # each turn is read with those before it


def test_a_conversation_reads_documents_unless_it_is_plain(run: Run, pdf: Path) -> None:
    run("add", pdf)
    message = QUESTION.encode()
    [reply] = run("chat", "--json", stdin=message).lines
    assert reply["sources"]
    [reply] = run("chat", "--json", "--plain", "--max-tokens", 4, stdin=message).lines
    assert reply["sources"] == []
    assert "brenn.pdf, page 1" in run("chat", stdin=message).out


@pytest.mark.parametrize(
    "arguments",
    [
        ("complete", ""),
        ("complete", "x", "--model", "/nowhere"),
        ("complete", "x", "--temperature", 9),
        ("complete", "x", "--seed", -1),
        ("ask", " "),
        ("ask", "-", "--json"),
        ("search", ""),
        ("list", "--embedder", "/nowhere"),
        ("list", "--library", __file__),
        ("score", "/nowhere.jsonl"),
        ("score", REPOSITORY),
        ("answer", __file__, "--out", "/nowhere/out.jsonl"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(run: Run, arguments: tuple[object, ...]) -> None:
    result = run(*arguments, stdin=b"a" * 1_000_000)
    assert is_one_sentence(result) and result.out == ""


def test_doctor_reports(run: Run) -> None:
    lines = {line["name"]: line["value"] for line in run("doctor", "--json").json["lines"]}
    assert "GFLOP/s" in lines["matmul"] and lines["lancedb"]


def start(*arguments: object, **pipes: Any) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "mlx_toy", *map(str, arguments)]
    return subprocess.Popen(command, cwd=REPOSITORY, stdout=-1, stderr=-1, **pipes)


def test_a_reader_that_leaves_early_is_no_accident(tmp_path: Path, tiny_model_dir: Path) -> None:
    file = tmp_path / "texts.jsonl"
    file.write_text('{"text": "a"}\n' * 5000)
    with start("score", file, "--model", tiny_model_dir) as process:
        assert process.stdout and process.stdout.readline()
        process.stdout.close()
        assert process.stderr and b"Traceback" not in process.stderr.read()
    assert process.returncode == 141


@pytest.mark.skipif(os.name == "nt", reason="Windows sends no SIGINT to one process")
def hear_ctrl_c() -> None:
    """Listen to Ctrl-C, which a shell's background job is told to ignore."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_an_interrupted_add_keeps_what_is_whole_and_goes_on(
    tmp_path: Path, tiny_model_dir: Path
) -> None:
    make_pdf(tmp_path / "a.pdf", PAGES)
    make_looping_pdf(tmp_path / "b.pdf")
    add = ("add", tmp_path / "a.pdf", tmp_path / "b.pdf", "--library", tmp_path / "library")
    add = (*add, "--model", tiny_model_dir)
    with start(*add, preexec_fn=hear_ctrl_c) as process:
        assert process.stdout and process.stderr
        assert process.stdout.readline().startswith(b"a.pdf: added")
        time.sleep(1)
        process.send_signal(signal.SIGINT)
        assert b"stopped after 1 file:" in process.stderr.read()
    assert process.returncode == 130
    make_pdf(tmp_path / "b.pdf", PAGES[:1])
    with start(*add) as process:
        assert process.stdout
        said = process.stdout.read().splitlines()
    assert said == [
        b"a.pdf: already there, 2 pages, 2 passages",
        b"b.pdf: added, 1 page, 1 passage",
    ]


def test_an_interrupted_conversation_ends_quietly(tiny_model_dir: Path) -> None:
    chat = ("chat", "--plain", "--json", "--max-tokens", 3, "--model", tiny_model_dir)

    with start(*chat, stdin=-1, preexec_fn=hear_ctrl_c) as process:
        assert process.stdin and process.stdout and process.stderr
        process.stdin.write(b"Hello.\n")
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["stats"]["tokens"] <= 3
        process.send_signal(signal.SIGINT)
        assert process.stderr.read() == b""
    assert process.returncode == 130
