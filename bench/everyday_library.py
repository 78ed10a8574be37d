"""Plain questions to a small library of everyday documents, from the search to the answer.

    python -m bench.everyday_library [--embedder DIR] [--rows FILE]

`everyday_library/` holds sixteen invented documents of one to three pages (a rental contract,
manuals, minutes, price lists, guides, stories; as text, Markdown, HTML, CSV and docx) and 160
questions on them, a third of them unanswerable, written as people ask who have not read them: in
other words than stand there. `questions.jsonl` has for each the answers that are right and the
sentences that hold one. All lie in one library, and each question goes through the whole app.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.retrieval_answers import only_shows, quote, span
from corpus.readers import read_json_lines
from mlx_toy.assistant import Assistant
from mlx_toy.replies import Update
from mlx_toy.settings import Settings
from train.squad import exact_match, f1

DATA = Path(__file__).with_name("everyday_library")
WORKSPACE = "benchmark"
RIGHT = 0.5  # F1 of the answer from which on it counts as right
DEPTH = 10  # passages of a search that are looked at


@dataclass(frozen=True)
class Asked:
    """A question with what came of it.

    Attributes:
        record: of `questions.jsonl`.
        rank: place of the first passage that holds the answer, from 1; None if none does.
        update: the reply.
    """

    record: dict[str, Any]
    rank: int | None
    update: Update

    @property
    def outcome(self) -> str:
        """What the reply is worth to who asked.

        "right" and "wrong" of an answer, "shows" and "shows another" of a sentence that is shown
        as the closest, "refused".
        """
        gold, update = self.record["answers"], self.update
        if update.abstained:
            return "refused"
        if only_shows(update):
            shown = quote(update)
            held = any(_holds(one, shown) or _holds(shown, one) for one in self.record["evidence"])
            return "shows" if held else "shows another"
        return "right" if gold and f1(span(update), gold) >= RIGHT else "wrong"


def ask_all(embedder: str = "", data: Path = DATA) -> list[Asked]:
    """Put every question to the app.

    Args:
        embedder: directory or hub name; "" for the bundled one.
        data: directory of `files/` and `questions.jsonl`.
    """
    with (
        tempfile.TemporaryDirectory() as directory,
        closing(Assistant(Settings(library=directory, embedder=embedder))) as assistant,
    ):
        for file in sorted((data / "files").iterdir()):
            assistant.add_document(WORKSPACE, file)
        return [_ask(assistant, r) for r in read_json_lines(data / "questions.jsonl")]


def _ask(assistant: Assistant, record: dict[str, Any]) -> Asked:
    question = record["question"]
    hits = assistant.search(WORKSPACE, question, DEPTH)
    held = [any(_holds(hit.text, sentence) for sentence in record["evidence"]) for hit in hits]
    *_, update = assistant.reply(WORKSPACE, [{"role": "user", "content": question}])
    print(".", end="", file=sys.stderr, flush=True)
    return Asked(record, held.index(True) + 1 if True in held else None, update)


def _holds(text: str, sentence: str) -> bool:
    """Whether a text has a sentence in it, white space aside."""
    return " ".join(sentence.split()) in " ".join(text.split())


def figures(asked: Sequence[Asked]) -> dict[str, float]:
    """Shares in percent: of the answerable questions, and of the unanswerable ones refused.

    Returns:
        Whether the answer's passage was found first, or among the first 4 or 10; F1 and exact match
        of the quoted words, 0 where none are; and how many replies are of which worth (`Asked`).
    """
    known = [one for one in asked if one.record["answers"]]
    unknown = [one for one in asked if not one.record["answers"]]
    spans = [(span(one.update), one.record["answers"]) for one in known]
    found: dict[str, float] = {"answerable": len(known), "unanswerable": len(unknown)}
    for depth in (1, 4, DEPTH):
        found[f"found_among_{depth}"] = _percent([(one.rank or 99) <= depth for one in known])
    found["f1"] = _percent([f1(text, gold) for text, gold in spans])
    found["exact_match"] = _percent([exact_match(text, gold) for text, gold in spans])
    for outcome in ("right", "shows", "shows another", "wrong", "refused"):
        found[outcome] = _percent([one.outcome == outcome for one in known])
    found["unanswerable_refused"] = _percent([one.outcome == "refused" for one in unknown])
    found["unanswerable_answered"] = _percent([one.outcome == "wrong" for one in unknown])
    return found


def _percent(shares: Sequence[float]) -> float:
    return round(100 * sum(shares) / max(1, len(shares)), 1)


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description="Plain questions to everyday documents.")
    parser.add_argument("--embedder", default="", help="retriever (default: the bundled one)")
    parser.add_argument("--rows", type=Path, help="also write what came of each question (jsonl)")
    options = parser.parse_args()
    asked = ask_all(options.embedder)
    if options.rows:
        lines = [
            {**one.record, "rank": one.rank, "outcome": one.outcome, "reply": one.update.text}
            for one in asked
        ]
        text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
        options.rows.write_text(text, encoding="utf-8")
    print(f"\n{json.dumps(figures(asked), indent=1)}")


if __name__ == "__main__":
    main()
