"""How well questions that lean on a conversation retrieve, with and without rewriting.

    python -m bench.followup [--embedder NAME] [--show]

`followup.json` holds 12 short documents of five passages each and 82 conversations of two or three
questions, written for this. Of the last questions 23 stand alone, so that harm would show: seven
with a name, and 16 that are as short as those that lean, but ask about another document. Six lean
and would fit two documents. A passage counts as found if it holds the answer and is among the first
of the app's search.
"""

import argparse
import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np

from mlx_toy.assistant import Assistant
from mlx_toy.chat import Message
from mlx_toy.followup import leans, standalone_query
from mlx_toy.settings import Settings
from train.retrieval_sets import join
from train.searched_questions import store

DATA = Path(__file__).with_name("followup.json")
CUTOFFS = 1, 3
WORKSPACE = "bench"
Query = Callable[[list[Message]], str]


def last_question(messages: list[Message]) -> str:
    """The question as it was typed."""
    return messages[-1]["content"]


def every_question(messages: list[Message]) -> str:
    """All questions of the conversation, whether the last one leans or not."""
    return " ".join(m["content"] for m in messages if m["role"] == "user")


WAYS: dict[str, tuple[Query, Query | None]] = {
    "as typed": (last_question, None),
    "all questions joined": (every_question, None),
    "rewritten": (standalone_query, None),
    "rewritten, ordered as typed, as the app": (standalone_query, last_question),
}


def conversations() -> Iterator[tuple[list[Message], str]]:
    """The conversations, each with words that stand in the passage that answers alone."""
    for turns, answer in json.loads(DATA.read_text(encoding="utf-8"))["conversations"]:
        roles = ("user", "assistant")
        yield [{"role": roles[i % 2], "content": text} for i, text in enumerate(turns)], answer


class Documents:
    """The app with the documents in a library of their own.

    Args:
        directory: of the library.
        embedder: directory or hub name; "" for the bundled one.
    """

    def __init__(self, directory: str, embedder: str = "") -> None:
        self._assistant = Assistant(Settings(library=directory, embedder=embedder))
        documents = json.loads(DATA.read_text(encoding="utf-8"))["documents"]
        for name, sections in documents.items():
            self._add(name, sections)

    def close(self) -> None:
        """Close the app."""
        self._assistant.close()

    def found(self, query: Query, asked: Query | None = None, show: bool = False) -> np.ndarray:
        """In how many conversations the passage is among the first hits, for each of `CUTOFFS`.

        Args:
            query: what is looked up.
            asked: by what the order goes beside it; by nothing else without.
            show: print those that the last cutoff misses.
        """
        found = np.zeros(len(CUTOFFS), int)
        for messages, answer in conversations():
            text, question = query(messages), asked(messages) if asked else ""
            hits = self._assistant.search(WORKSPACE, text, CUTOFFS[-1], question)
            right = [any(answer in hit.text for hit in hits[:k]) for k in CUTOFFS]
            found += right
            if show and not right[-1]:
                leaning = leans(messages[-1]["content"])
                print(f"  missed: {text!r} (leans: {leaning}) -> {answer!r}")
        return found

    def _add(self, name: str, sections: list[list[str]]) -> None:
        first = sections[0][0]
        paths = [first, *(f"{first} > {heading}" for heading, _ in sections[1:])]
        document, passages = join(name, [body for _, body in sections])
        headed = [replace(p, heading=path) for p, path in zip(passages, paths, strict=True)]
        store(self._assistant, WORKSPACE, document, headed)


def main() -> None:
    """Print recall for each way to make a query, and for what the app does."""
    parser = argparse.ArgumentParser(description="Retrieval on follow-up questions.")
    parser.add_argument("--embedder", default="", help="retriever (default: the bundled one)")
    parser.add_argument("--show", action="store_true", help="name the questions that failed")
    options = parser.parse_args()
    total = len(list(conversations()))
    with (
        tempfile.TemporaryDirectory() as directory,
        closing(Documents(directory, options.embedder)) as documents,
    ):
        for name, (query, asked) in WAYS.items():
            found = documents.found(query, asked, options.show)
            cells = [
                f"recall@{k} {count / total:.3f} ({count} of {total})"
                for k, count in zip(CUTOFFS, found, strict=True)
            ]
            print(f"{name:38}", *cells, sep="  ")


if __name__ == "__main__":
    main()
