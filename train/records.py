"""What a run writes down as it goes: JSON lines, one record a line, each with its step.

A run that goes on from a checkpoint first drops the records after it, for it will write them again.
A line that a crash or a full disk cut in half is skipped.
"""

import json
from pathlib import Path
from typing import Any

from mlx_toy.whole_files import written_at_once

METRICS_FILE = "metrics.jsonl"
SAMPLES_FILE = "samples.jsonl"


def append(path: Path, record: dict[str, Any]) -> None:
    """Add one record at the end of a file."""
    with open(path, "a", encoding="utf-8") as file:
        file.write(json.dumps(record, ensure_ascii=False) + "\n")


def read(path: Path) -> list[dict[str, Any]]:
    """The whole records of a file, none when there is no file."""
    if not path.is_file():
        return []
    records = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            records.append(json.loads(line))
        except ValueError:
            continue
    return records


def rewind(run: Path, step: int) -> None:
    """Drop the records of a run that are later than `step`, or cut in half."""
    for path in (run / METRICS_FILE, run / SAMPLES_FILE):
        if not path.is_file():
            continue
        kept = [record for record in read(path) if record["step"] <= step]
        lines = (json.dumps(record, ensure_ascii=False) + "\n" for record in kept)
        write_text("".join(lines), path)


def write_text(text: str, path: Path) -> None:
    """Write a file so that whoever reads it meanwhile finds the old one or the new one, whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_at_once(path) as partial:
        partial.write_text(text, encoding="utf-8")


def write_json(content: dict[str, Any], path: Path) -> None:
    """The same for a JSON file."""
    write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", path)
