"""A small directory of evaluation sets, made on the spot, in the layout of the real one."""

import json
import lzma
from pathlib import Path

PLACES = ("Orrin", "Belm", "Tarsk", "Wend", "Ustra")
YEARS = (1702, 1811, 1540, 1933, 1677)


def write_sets(data: Path) -> Path:
    """Write the sets that the rows read below `data`/eval."""
    folder = data / "eval"
    folder.mkdir(parents=True)
    texts = [
        {"text": f"A small model reads page {i} of a small book. " * (1 + i)} for i in range(5)
    ]
    _write(folder / "simplewiki_public", texts)
    _write(folder / "stories_public", texts[:3])
    pairs = [
        {"good": f"The cats {i} sleep.", "bad": f"The cats {i} sleeps.", "uid": uid, "term": term}
        for uid, term in (("a", "agreement"), ("b", "agreement"), ("c", "islands"))
        for i in range(4)
    ]
    _write(folder / "blimp_public", pairs)
    questions = []
    for place, year in zip(PLACES, YEARS, strict=True):
        context = f"The mill stands in {place}. It was built there in {year}."
        record = {"title": "Mills", "context": context}
        question = f"When was the mill of {place} built?"
        questions.append({**record, "question": question, "answers": [str(year)]})
        questions.append({**record, "question": "Who sank the ship?", "answers": []})
    _write(folder / "squad_dev_public", questions)
    return data


def _write(path: Path, records: list[dict]) -> None:
    with lzma.open(path.with_name(path.name + ".jsonl.xz"), "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(record) + "\n" for record in records)
