"""How well questions that lean on a conversation retrieve, with and without rewriting.

    python -m bench.followup [--embedder NAME] [--show]

`followup.json` holds 12 short documents of five passages each and 60 conversations of two or three
questions, written for this; seven of the last questions stand alone, so that harm would show. A
passage counts as found if it holds the answer and is among the first three.
"""

import argparse
import json
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

from mlx_toy.chat import Message
from mlx_toy.documents import Document
from mlx_toy.embedder import load_embedder
from mlx_toy.followup import leans, standalone_query
from mlx_toy.library import Library
from mlx_toy.passages import Passage

DATA = Path(__file__).with_name("followup.json")
K = 3
Query = Callable[[list[Message]], str]


def last_question(messages: list[Message]) -> str:
    """The question as it was typed."""
    return messages[-1]["content"]


def every_question(messages: list[Message]) -> str:
    """All questions of the conversation, whether the last one leans or not."""
    return " ".join(m["content"] for m in messages if m["role"] == "user")


QUERIES: dict[str, Query] = {
    "as typed": last_question,
    "all questions joined": every_question,
    "rewritten": standalone_query,
}


def conversations() -> Iterator[tuple[list[Message], str]]:
    """The conversations, each with words that stand in the passage that answers alone."""
    for turns, answer in json.loads(DATA.read_text(encoding="utf-8"))["conversations"]:
        roles = ("user", "assistant")
        yield [{"role": roles[i % 2], "content": text} for i, text in enumerate(turns)], answer


class Retriever:
    """The documents in a library of their own.

    Args:
        embedder: directory or hub name; "" for the bundled one.
    """

    def __init__(self, embedder: str = "") -> None:
        self._embedder = load_embedder(embedder)
        embedder_ = self._embedder
        self._library = Library("memory://", embedder_.fingerprint, embedder_.dimensions)
        documents = json.loads(DATA.read_text(encoding="utf-8"))["documents"]
        for name, sections in documents.items():
            self._add(name, sections)

    def close(self) -> None:
        """Close the library."""
        self._library.close()

    def recall(self, query: Query, show: bool = False) -> tuple[int, int]:
        """How many conversations found their passage, and how many there are."""
        found = total = 0
        for messages, answer in conversations():
            text = query(messages)
            vector = self._embedder.embed_queries([text])[0]
            hits = self._library.search("bench", text, vector, K)
            hit = any(answer in hit.text for hit in hits)
            found, total = found + hit, total + 1
            if show and not hit:
                print(f"  missed: {text!r} (leans: {leans(messages[-1]['content'])}) -> {answer!r}")
        return found, total

    def _add(self, name: str, sections: list[list[str]]) -> None:
        passages, text = [], ""
        for heading, body in sections:
            path = heading if not passages else f"{sections[0][0]} > {heading}"
            passages.append(Passage(body, len(text), len(text) + len(body), None, path))
            text += body + "\n\n"
        texts = [f"{passage.heading}\n{passage.text}" for passage in passages]
        vectors = self._embedder.embed_passages(texts)
        self._library.add("bench", Document(name, text), passages, vectors)


def main() -> None:
    """Print recall at 3 for each way to make a query."""
    parser = argparse.ArgumentParser(description="Retrieval on follow-up questions.")
    parser.add_argument("--embedder", default="", help="retriever (default: the bundled one)")
    parser.add_argument("--show", action="store_true", help="name the questions that failed")
    options = parser.parse_args()
    with closing(Retriever(options.embedder)) as retriever:
        for name, query in QUERIES.items():
            found, total = retriever.recall(query, options.show)
            print(f"{name:22} recall@{K} {found / total:.3f}  ({found} of {total})")


if __name__ == "__main__":
    main()
