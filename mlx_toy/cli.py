"""The command line: `python -m mlx_toy VERB …`, because people script things.

    python -m mlx_toy add report.pdf notes.md
    python -m mlx_toy add ~/Documents --replace
    python -m mlx_toy ask "When does the ferry run?"
    python -m mlx_toy ask "Who signed it?" --document contract.pdf --json
    python -m mlx_toy score texts.jsonl --out nats.jsonl

Results go to stdout, all else to stderr; `--json` makes the results one JSON value, or one a line
where they come one after another (`chat`, `score`, `answer`). Exit codes: 0 is done, 1 is done but
for malformed lines, 2 is an error that the user can put right, 130 is interrupted.

This file knows the verbs and their flags. What they do is imported once the flags are known, so
that `--help` answers at once.
"""

import argparse
import errno
import importlib
import os
import sys
from collections.abc import Sequence
from contextlib import suppress

from mlx_toy import __version__
from mlx_toy.errors import UserError
from mlx_toy.settings import add_arguments, from_options

PARTLY, FAILED, INTERRUPTED, CLOSED_PIPE = 1, 2, 130, 141  # exit codes; 0 is success
STORE = ("library", "embedder")
RETRIEVAL = ("passages", "threshold", "reranker")
SAMPLING = ("max_tokens", "temperature", "top_p", "top_k", "repetition_penalty")
STDIN = "; - reads it from standard input"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        arguments: those behind the program's name; the process's own if None.

    Returns:
        The exit code.
    """
    options = parser().parse_args(arguments)
    _accept_any_text()
    try:
        settings = from_options(options)
        module, _, function = options.run.partition(":")
        code: int = getattr(importlib.import_module(f"mlx_toy.{module}"), function)(
            options, settings
        )
        sys.stdout.flush()
        return code
    except UserError as error:
        with suppress(BrokenPipeError):
            print("error:", " ".join(str(error).split()), file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED
    except OSError as error:
        if error.errno not in (errno.EPIPE, errno.ENOSPC):
            raise
        _drop_output()
        if error.errno == errno.EPIPE:  # whoever read our output has seen enough
            return CLOSED_PIPE
        print("error: the output cannot be written: the disk is full", file=sys.stderr)
        return FAILED


def parser() -> argparse.ArgumentParser:
    """The verbs and their flags."""
    program = argparse.ArgumentParser(
        prog="python -m mlx_toy",
        description="A tiny open language model that answers from your documents.",
        epilog="`python -m mlx_toy VERB --help` says more about a verb; `python app.py` opens the "
        "same in a browser.",
        allow_abbrev=False,
    )
    program.add_argument("--version", action="version", version=f"mlx-toy {__version__}")
    verbs = program.add_subparsers(metavar="VERB", required=True)

    def verb(name: str, run: str, about: str, *flags: str) -> argparse.ArgumentParser:
        added = verbs.add_parser(name, help=about, description=about, allow_abbrev=False)
        added.set_defaults(run=run)
        added.add_argument("--json", action="store_true", help="results as JSON")
        add_arguments(added, flags)
        return added

    complete = verb("complete", "verbs:complete", "continue a text", "model", *SAMPLING)
    complete.add_argument("text", metavar="TEXT", help="the beginning" + STDIN)
    about = "have a conversation, from the documents of the library if there are any"
    chat = verb("chat", "terminal_chat:chat", about, "model", *STORE, *RETRIEVAL, *SAMPLING)
    chat.add_argument("--plain", action="store_true", help="leave the documents aside")
    about = "find all words itself, where else a reply written beforehand may be given"
    chat.add_argument("--own-words", action="store_true", help=about)
    for samples in (complete, chat):
        samples.add_argument("--seed", type=int, help="the same seed gives the same text")

    add = verb("add", "document_verbs:add", "add documents", *STORE, "model", "max_file_mb")
    formats = "PDF, Word, EPUB, HTML, CSV or text, or a folder of such files" + STDIN
    add.add_argument("files", nargs="+", metavar="FILE", help=formats)
    about = "let a file take the place of documents of the same name"
    add.add_argument("--replace", action="store_true", help=about)
    verb("list", "document_verbs:list_documents", "list the documents", *STORE)
    remove = verb("remove", "document_verbs:remove", "remove documents", *STORE)
    remove.add_argument("documents", nargs="*", metavar="DOCUMENT", help="its id or its name")
    remove.add_argument("--all", action="store_true", help="remove every document")
    about = "embed the library anew, after a change of the embedder or of mlx-toy"
    verb("reembed", "document_verbs:reembed", about, *STORE)
    about = "repair a damaged library from the files that were kept in it"
    verb("rebuild", "document_verbs:rebuild", about, *STORE, "model", "max_file_mb")
    search = verb("search", "verbs:search", "find passages of the documents", *STORE, "reranker")
    search.add_argument("query", metavar="QUERY", help="a question or some words" + STDIN)
    search.add_argument("--count", type=_count, default=5, help="passages, at most (default: 5)")
    about = "answer a question from documents, with the passages that the answer comes from"
    ask = verb("ask", "verbs:ask", about, "model", *STORE, *RETRIEVAL, "max_file_mb")
    ask.add_argument("question", metavar="QUESTION", help="what to answer" + STDIN)
    ask.add_argument(
        "--document",
        nargs="+",
        action="extend",
        metavar="FILE",
        help="answer from these files alone, and leave the library aside",
    )
    about = "offer the model and the library to any client of OpenAI's chat protocol"
    verb("serve", "serve:run", about, "model", *STORE, *RETRIEVAL, *SAMPLING, "host", "port")
    verb("doctor", "verbs:doctor", "say what this machine computes with and what is wrong")

    about = 'for each {"text"} write {"nats", "tokens", "bytes"}: how surprised the base model is'
    score = verb("score", "batch:score", about, "model")
    about = 'for each {"question", "passages": [texts]} write the answer and where it stands'
    answer = verb("answer", "batch:answer", about, "model")
    for batch in (score, answer):
        batch.add_argument("file", metavar="FILE.jsonl", help="one JSON object a line" + STDIN)
        batch.add_argument("--out", metavar="FILE", help="write to a file, whole or not at all")
    return program


def _count(text: str) -> int:
    number = int(text)
    if not 1 <= number <= 1000:
        raise argparse.ArgumentTypeError("use 1 to 1000")
    return number


def _accept_any_text() -> None:
    """Let no odd character in a name, a message or an answer stop a command."""
    streams = (sys.stdin, "replace"), (sys.stdout, "backslashreplace"), (sys.stderr, None)
    for stream, errors in streams:
        if errors and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors=errors)


def _drop_output() -> None:
    """Let what is left in the buffers go nowhere, so that the end of the process is quiet."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
