"""What a trained retriever is worth, and its directory: weights, measured figures, model card.

The threshold under which "nothing is near" is chosen on held-out articles of SQuAD: each article is
a library, its own questions should find something, those of the other articles nothing. It is the
largest that keeps `KEPT` of the own questions; its errors are measured on SQuAD dev as well.
"""

import json
import math
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from corpus.readers import read_json_lines
from mlx_toy.bag import BagModel, Features
from mlx_toy.embedder import Embedder, load_embedder, save_embedder
from train.retrieval_card import model_card
from train.retrieval_data import EVERYDAY, Groups, group_records, library_of
from train.retrieval_metrics import (
    COSINE_WEIGHT,
    FUSION_K,
    evaluate,
    evaluate_apart,
    evaluate_library,
)
from train.retrieval_sets import QuestionSet

EVALUATION_FILES = {
    "SQuAD dev": "eval/squad_dev_public.jsonl.xz",
    "FairytaleQA validation": "eval/fairytaleqa_valid.jsonl.xz",
}
THRESHOLD_SOURCE, THRESHOLD_SET = "qa/squad_train", "SQuAD dev"  # chosen on, checked on
KEPT = 0.95  # of real questions must pass the threshold
ROWS = {
    "vectors": "this retriever",
    "bm25": "BM25",
    "fused": f"fused by rank (K={FUSION_K})",
    "summed": f"BM25 + {COSINE_WEIGHT:.0f} cosine",
}


def read_evaluation(data: Path, file: str) -> Groups:
    """Passages with their answerable questions; a passage that has none stays in the library."""
    groups = group_records("question", read_json_lines(data / file))
    answerable = {r["question"] for r in read_json_lines(data / file) if r["answers"]}
    for group in groups.values():
        for passage in group:
            passage.queries = [query for query in passage.queries if query in answerable]
    return groups


def evaluation_table(embedder: Embedder, data: Path) -> tuple[dict[str, Any], str]:
    """Figures on the evaluation sets, and the same as a Markdown table."""
    found = {
        name: evaluate(embedder, read_evaluation(data, file))
        for name, file in EVALUATION_FILES.items()
    }
    return found, to_table(found)


def to_table(found: dict[str, Any], rows: dict[str, str] = ROWS) -> str:
    """Figures by set and way to rank as a Markdown table; `rows` are the ways and their names."""
    lines = [
        "| set | passages | questions | ranked by | R@1 | R@5 | R@10 | MRR |",
        "|---|---:|---:|---|---:|---:|---:|---:|",
    ]
    for name, result in found.items():
        for row, title in rows.items():
            values = " | ".join(f"{value:.3f}" for value in result[row].values())
            size = f"{result['passages']:,} | {result['questions']:,}"
            lines.append(f"| {name} | {size} | {title} | {values} |")
    return "\n".join(lines)


def best_cosines(embedder: Embedder, groups: Groups) -> tuple[np.ndarray, np.ndarray]:
    """Cosines of the nearest passage, each group a library: own questions', and foreign ones'."""
    own, foreign = [], []
    asked = {name: library_of({name: group})[1] for name, group in groups.items()}
    vectors = {name: embedder.embed_queries(texts) for name, texts in asked.items() if texts}
    for name, group in groups.items():
        passages = embedder.embed_passages([passage.text for passage in group])
        for other, questions in vectors.items():
            (own if other == name else foreign).append((questions @ passages.T).max(axis=1))
    return np.concatenate(own), np.concatenate(foreign or [np.zeros(0)])


def choose_threshold(embedder: Embedder, groups: Groups) -> float:
    """The largest cosine, in hundredths, that keeps `KEPT` of the groups' own questions."""
    own, _ = best_cosines(embedder, groups)
    return math.floor(float(np.quantile(own, 1 - KEPT, method="lower")) * 100) / 100


def threshold_figures(embedder: Embedder, groups: Groups) -> dict[str, Any]:
    """How many own and foreign questions pass the embedder's threshold."""
    own, foreign = best_cosines(embedder, groups)
    return {
        "threshold": embedder.default_threshold,
        "libraries": len(groups),
        "own_questions": len(own),
        "own_questions_kept": round(float((own >= embedder.default_threshold).mean()), 4),
        "foreign_questions": len(foreign),
        "foreign_questions_let_in": round(float((foreign >= embedder.default_threshold).mean()), 4),
    }


def write_directory(
    model: BagModel,
    features: Features,
    held_out: dict[str, Groups],
    held_out_sets: Sequence[QuestionSet],
    data: Path,
    facts: dict[str, Any],
    out: Path,
) -> str:
    """Calibrate, measure, and replace `out` whole; returns the table.

    The weights are first saved beside it, so `out` is never half-written, and a failure while
    measuring does not lose what was trained: it stays in `out` + ".unmeasured".
    """
    staged = out.with_name(out.name + ".unmeasured")
    shutil.rmtree(staged, ignore_errors=True)
    staged.mkdir(parents=True)
    save_embedder(model, features, 0.0, staged)
    threshold = choose_threshold(load_embedder(staged), held_out[THRESHOLD_SOURCE])
    save_embedder(model, features, threshold, staged)
    table = write_figures(staged, held_out, held_out_sets, data, facts)
    old = out.with_name(out.name + ".old")
    shutil.rmtree(old, ignore_errors=True)
    replace_directory(out, staged, old)
    shutil.rmtree(old, ignore_errors=True)
    return table


def write_figures(
    path: Path,
    held_out: dict[str, Groups],
    held_out_sets: Sequence[QuestionSet],
    data: Path,
    facts: dict[str, Any],
) -> str:
    """Measure the embedder in a directory, write its report and its card; returns the table."""
    embedder = load_embedder(path)
    held_out_figures = {}
    for name, groups in held_out.items():
        found = (evaluate_apart if name == EVERYDAY else evaluate)(embedder, groups)
        if found["questions"]:
            held_out_figures[name] = found
    for each in held_out_sets:
        questions = [question.text for question in each.questions]
        right = [question.right for question in each.questions]
        if questions:
            found = evaluate_library(embedder, each.texts, questions, right)
            held_out_figures[each.name] = found
    figures, table = evaluation_table(embedder, data)
    unseen = read_evaluation(data, EVALUATION_FILES[THRESHOLD_SET])
    report = {
        **facts,
        "held_out": held_out_figures,
        "evaluation": figures,
        "calibration": threshold_figures(embedder, held_out[THRESHOLD_SOURCE]),
        "threshold": threshold_figures(embedder, unseen),
        "fingerprint": embedder.fingerprint,
        "how": "retrieval: each set's passages are one library; calibration: each held-out "
        "SQuAD article is a library; threshold: the same on SQuAD dev, not used to choose it; "
        "`python -m train embedder --data DIR --evaluate DIR`",
    }
    (path / "report.json").write_text(json.dumps(report, indent=2) + "\n")
    (path / "README.md").write_text(model_card(report, table, to_table(held_out_figures), path))
    return table


def replace_directory(out: Path, new: Path, old: Path) -> None:
    """Put `new` in the place of `out`, which goes to `old`, or comes back if that fails."""
    if out.exists():
        os.replace(out, old)
    try:
        os.replace(new, out)
    except BaseException:
        if old.exists():
            os.replace(old, out)
        raise
