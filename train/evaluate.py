"""Measure a model directory on data that it was never trained on.

    python -m train evaluate --model DIR --data DIR --out DIR/report.json
    python -m train evaluate --model DIR --data DIR --questions 0      completion only

Completion: bits per byte, the summed negative log-likelihood over the UTF-8 bytes of the text.
Questions: the answers that the app would give to SQuAD questions, each with its gold passage.
"""

import json
import math
import random
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from corpus.readers import read_json_lines
from mlx_toy.embedder import load_embedder
from mlx_toy.engine import Engine
from mlx_toy.grounding import Answer, answer_question
from train.squad import exact_match, f1

TEXT_SETS = ("simplewiki_public", "stories_public")
QUESTION_SET = "squad_dev_public"


def bits_per_byte(engine: Engine, texts: Sequence[str]) -> float:
    """Bits that the model needs for a byte of the texts, each after bos."""
    bos = [] if engine.tokenizer.bos_id is None else [engine.tokenizer.bos_id]
    scored = engine.score([[*bos, *engine.tokenizer.encode(text)] for text in texts])
    size = sum(len(text.encode()) for text in texts)
    return sum(nats for nats, _ in scored) / math.log(2) / size


def question_figures(engine: Engine, records: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Accuracy on questions with their gold passage; answers as the app gives them.

    Args:
        engine: the chat model.
        records: with `question`, `context` and `answers` (empty when it is unanswerable).

    Returns:
        F1 and EM over answerable ones, the share whose quoted sentence holds a gold answer, false
        refusals of answerable ones, and correct refusals of the others; all in percent.
    """
    answerable: list[tuple[Answer, list[str]]] = []
    refused = unanswerable = 0
    embedder = load_embedder("") if engine.calibration and engine.calibration.embedder else None
    for number, record in enumerate(records, start=1):
        asked = record["question"], [record["context"]]
        answer = answer_question(engine, *asked, embedder=embedder)
        if record["answers"]:
            answerable.append((answer, record["answers"]))
        else:
            unanswerable += 1
            refused += answer.abstained
        if number % 50 == 0:
            print(f"{number}/{len(records)} questions", file=sys.stderr, flush=True)
    count = max(1, len(answerable))
    return {
        "answerable_questions": len(answerable),
        "f1": 100 * sum(f1(a.span or "", gold) for a, gold in answerable) / count,
        "exact_match": 100 * sum(exact_match(a.span or "", gold) for a, gold in answerable) / count,
        "quote_holds_answer": 100
        * sum(any(g in (a.quote or "") for g in gold) for a, gold in answerable)
        / count,
        "false_refusals": 100 * sum(a.abstained for a, _ in answerable) / count,
        "unanswerable_questions": unanswerable,
        "correct_refusals": 100 * refused / max(1, unanswerable),
    }


def evaluate(model: str, data: Path, questions: int = 400, texts: int = 200) -> dict[str, Any]:
    """All figures of a model.

    Args:
        model: a directory, a hub name, or "" for the bundled chat model.
        data: directory that holds `eval/`.
        questions: how many, chosen by a fixed seed.
        texts: of each text set, from its beginning.
    """
    report: dict[str, Any] = {}
    with Engine.load(model) as engine:
        for name in TEXT_SETS:
            chosen = _take(read_json_lines(data / "eval" / f"{name}.jsonl.xz"), texts)
            report[f"bits_per_byte.{name}"] = bits_per_byte(engine, [r["text"] for r in chosen])
            print(f"{name}: {report[f'bits_per_byte.{name}']:.3f} bits per byte", file=sys.stderr)
        if questions:
            records = list(read_json_lines(data / "eval" / f"{QUESTION_SET}.jsonl.xz"))
            random.Random(0).shuffle(records)
            for name, value in question_figures(engine, records[:questions]).items():
                report[f"{QUESTION_SET}.{name}"] = value
    return report


def write_report(report: dict[str, Any], out: Path) -> None:
    """Write the figures as JSON, rounded, atomically."""
    rounded = {k: round(v, 3) if isinstance(v, float) else v for k, v in report.items()}
    partial = out.with_name(out.name + ".partial")
    partial.write_text(json.dumps(rounded, indent=1) + "\n")
    partial.replace(out)


def _take(records: Iterable[dict[str, Any]], count: int) -> list[dict[str, Any]]:
    return [record for _, record in zip(range(count), records, strict=False)]
