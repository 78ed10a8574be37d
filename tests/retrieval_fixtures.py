"""A small made-up world for training retrieval: animals and places, in the catalogue's layout."""

import json
import lzma
from collections.abc import Iterable
from pathlib import Path

from train.retrieval_report import EVALUATION_FILES

ANIMALS = ["fox", "owl", "crow", "bear", "wolf", "hare", "goat", "mole"]
PLACES = ["forest", "meadow", "river", "mountain", "village", "harbour"]


def write_data(folder: Path, records: list[dict], files: Iterable[str]) -> Path:
    """The records under each of these names and those of the evaluation sets; returns `folder`."""
    lines = "".join(json.dumps(record) + "\n" for record in records)
    for name in [*files, *EVALUATION_FILES.values()]:
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(lzma.compress(lines.encode()))
    return folder


def write_everyday(folder: Path) -> Path:
    """A file of our own questions: of eight documents, the first is held out."""
    records = [
        {
            "id": f"everyday/{i}",
            "title": f"House rules {i}",
            "heading": f"Room {i}",
            "text": f"The key of room {i} hangs in cupboard {i + 20}.",
            "questions": [
                {"question": "Where is the key?", "answer": [22, 22 + len("in cupboard 20")]},
                {"question": "Who has the key?", "answer": None},
            ],
        }
        for i in range(8)
    ]
    file = folder / "everyday.jsonl"
    file.write_text("".join(json.dumps(record) + "\n" for record in records))
    return file
