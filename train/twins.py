"""Our own questions on passages of SQuAD, in pairs: one that the passage answers, one it does not.

Models learn to see that a passage does not answer only from questions that look as if it did
(Rajpurkar, Jia and Liang 2018, arXiv:1806.03822), and those of the data all have answers. So these
were written for this project, with the help of an AI assistant, each beside an answerable twin of
like form, so that form tells nothing. An unanswerable one asks for another person or thing that the
passage names or might name, for another fact about the right one, for the opposite of what is said,
under another condition (a year, a place, a cause), or for what goes together with what is said; in
each case words of the right kind stand there to be taken for the answer. A line names a question of
the data whose passage is meant; the passages stay where they are:

    {"id": "twins/00001", "of": "squad/72a11d49aa57", "question": "…", "answer": [120, 131]}

The answer is its offsets in the passage, null for none: no text of the data is in the file.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

FILE = Path(__file__).parents[1] / "corpus" / "twins.jsonl"


def read_twins(records: Iterable[dict[str, Any]], file: Path = FILE) -> list[dict[str, Any]]:
    """The twins of passages that are at hand, as records of questions with `is_twin`.

    Args:
        records: with title, context and id.
        file: of the twins.
    """
    known = {record["id"]: record for record in records}
    twins = map(json.loads, file.read_text(encoding="utf-8").splitlines())
    return [_record(twin, known[twin["of"]]) for twin in twins if twin["of"] in known]


def _record(twin: dict[str, Any], asked: dict[str, Any]) -> dict[str, Any]:
    """A twin as a record of questions, on the passage of a record of the data."""
    passage = asked["context"]
    return {
        "title": asked["title"],
        "context": passage,
        "question": twin["question"],
        "answers": [passage[slice(*twin["answer"])]] if twin["answer"] else [],
        "id": twin["id"],
        "is_twin": True,
    }
