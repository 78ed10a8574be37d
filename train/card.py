"""The model card: what the model is, what it read, what was measured, what it cannot do.

Made from `lineage.json` (written by export) and `report.json` (written by evaluate), so that no
figure in it is typed by hand.
"""

import json
from pathlib import Path
from typing import Any

from mlx_toy.errors import UserError
from train.export import LINEAGE_FILE

REPORT_FILE = "report.json"
CARD_FILE = "README.md"
WATTS = 15  # a guess for two cores of a server under load, to turn hours into energy
SHARE_ALIKE = ("SA", "Sharing")
LAYOUTS = {"llama": "A Llama", "qwen3": "A Llama with normalised queries and keys (Qwen3's layout)"}

ROWS = {
    "bits_per_byte.simplewiki_public": ("Simple English Wikipedia pages, bits per byte", "{:.3f}"),
    "bits_per_byte.stories_public": ("simple stories, bits per byte", "{:.3f}"),
    "squad_dev_public.f1": ("SQuAD answers from the gold passage, F1", "{:.1f}"),
    "squad_dev_public.exact_match": ("the same, exact match", "{:.1f}"),
    "squad_dev_public.quote_holds_answer": ("quoted sentence holds a gold answer, %", "{:.1f}"),
    "squad_dev_public.false_refusals": ("answerable questions refused, %", "{:.1f}"),
    "squad_dev_public.correct_refusals": ("unanswerable questions refused, %", "{:.1f}"),
}


def write_card(directory: Path, chat: bool) -> Path:
    """Write `README.md` into a model directory.

    Args:
        directory: with `lineage.json` and, if it was measured, `report.json`.
        chat: whether it is the chat model or the base model.

    Raises:
        UserError: the directory was not made by `python -m train export`.
    """
    try:
        lineage = json.loads((directory / LINEAGE_FILE).read_text())
    except (OSError, ValueError) as error:
        raise UserError(
            f"no {LINEAGE_FILE} in {directory}: export it with `python -m train export`"
        ) from error
    report_path = directory / REPORT_FILE
    report = json.loads(report_path.read_text()) if report_path.is_file() else {}
    out = directory / CARD_FILE
    partial = out.with_suffix(".partial")
    partial.write_text(_card(lineage, report, chat), encoding="utf-8")
    partial.replace(out)
    return out


def _card(lineage: dict[str, Any], report: dict[str, Any], chat: bool) -> str:
    architecture = lineage["architecture"]
    kind = "chats and answers from passages" if chat else "continues English text"
    return f"""---
language: en
license: cc-by-sa-4.0
library_name: mlx
pipeline_tag: text-generation
tags: [mlx, {architecture["model_type"]}, tiny, trained-from-scratch]
---

# mlx-toy {"chat" if chat else "base"}

{LAYOUTS[architecture["model_type"]]} of {lineage["parameters"]:,} parameters,
trained from nothing. It {kind}. `mlx_lm.generate --model DIR`, transformers and others
load it unchanged; the app that it was made for adds retrieval, citations and the rule that an
answer stands verbatim in its passage.

## Figures

{_figures(report)}

## Training

{_stages(lineage)}

Hardware: {lineage["hardware"]}. Architecture:
{_architecture(architecture)}.

{_cost(lineage)}

## Data

Share of tokens in each stage, in parts; nothing of the evaluation sets was read.

{_sources(lineage, chat)}

## Licence

The weights are offered under CC BY-SA 4.0, because sources with a share-alike licence are among the
data: {_share_alike(lineage)}. The code is Apache-2.0.

## Limits

It is tiny. It writes simple English and loses the thread after a few sentences; it knows next to
nothing, and what it states without a passage is often wrong. From passages it picks words that
stand there, not always the right ones: read the quoted sentence beside the answer. English only. It
was not made for advice of any kind, and it has not been tested for bias; children's books of
earlier centuries carry the attitudes of their time.
"""


def _figures(report: dict[str, Any]) -> str:
    lines = [
        f"| {label} | {pattern.format(report[key])} |"
        for key, (label, pattern) in ROWS.items()
        if key in report
    ]
    if not lines:
        return "Not measured yet."
    asked = report.get("squad_dev_public.answerable_questions", 0)
    others = report.get("squad_dev_public.unanswerable_questions", 0)
    note = f"\n\nQuestions: {asked} answerable, {others} not." if asked else ""
    made = "\n\nMeasured by `python -m train evaluate --model DIR --data DIR`."
    return "\n".join(["| measured on held-out data | |", "|---|---:|", *lines]) + note + made


def _stages(lineage: dict[str, Any]) -> str:
    rows = [
        f"| {s['stage']} | {s['preset']} | {s['steps']:,} | {s['tokens']:,} "
        f"| {s['seconds'] / 3600:.1f} | {s['flops']:.1e} |"
        for s in lineage["stages"]
    ]
    return "\n".join(
        [
            "| stage | preset | steps | tokens | hours | FLOPs |",
            "|---|---|---:|---:|---:|---:|",
            *rows,
        ]
    )


def _architecture(args: dict[str, Any]) -> str:
    return (
        f"width {args['hidden_size']}, {args['num_hidden_layers']} layers, "
        f"{args['num_attention_heads']} heads, vocabulary {args['vocab_size']:,}, "
        f"context {args['max_position_embeddings']} tokens"
    )


def _cost(lineage: dict[str, Any]) -> str:
    hours = sum(stage["seconds"] for stage in lineage["stages"]) / 3600
    return (
        f"Energy: about {hours * WATTS / 1000:.2f} kWh ({hours:.1f} hours, taken as {WATTS} W), "
        f"some {hours * WATTS / 1000 * 400:.0f} g of CO2 at 400 g/kWh."
    )


def _sources(lineage: dict[str, Any], chat: bool) -> str:
    stages = ("pretrain", "decay", "finetune") if chat else ("pretrain", "decay")
    rows = []
    for name, source in lineage["sources"].items():
        parts = [lineage["mixture"][stage].get(name, 0) for stage in stages]
        if any(parts):
            shares = " | ".join(f"{part:g}" for part in parts)
            rows.append(f"| {name} | {shares} | {source['licence']} | {source['attribution']} |")
    head = f"| source | {' | '.join(stages)} | licence | attribution |"
    return "\n".join([head, "|---|" + "---:|" * len(stages) + "---|---|", *rows])


def _share_alike(lineage: dict[str, Any]) -> str:
    names = [
        name
        for name, source in lineage["sources"].items()
        if any(mark in source["licence"] for mark in SHARE_ALIKE)
    ]
    return ", ".join(names)
