"""The model card: what the model is, what it read, what was measured, what it cannot do.

Made from `lineage.json` (written by export) and `report.json` (written by evaluate), so that no
figure in it is typed by hand.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlx_toy.errors import UserError
from train import presets
from train.evaluation import report_card
from train.evaluation.measures import MEASURES
from train.evaluation.report import FILE as REPORT_FILE
from train.from_model import LINEAGE_FILE
from train.records import write_text

CARD_FILE = "README.md"
SHARE_ALIKE = ("SA", "Sharing")
LAYOUTS = {"llama": "A Llama", "qwen3": "A Llama with normalised queries and keys (Qwen3's layout)"}
CO2_G_PER_KWH = 400  # about the mean of the world's grids
GPU_PRESET = "toy"  # what a GPU would train with the same recipe
OVERHEAD = 1.2  # a data centre draws so many times what its computers do


@dataclass(frozen=True)
class Machine:
    """What an hour of a kind of machine is taken to need.

    Attributes:
        kind: in words.
        watts: under load.
        dollars: to rent it for an hour.
    """

    kind: str
    watts: int
    dollars: float


MACHINES = {  # by what the lineage's hardware says; the last one is for all others
    "cuda": Machine("one data-centre GPU with its part of the server", 900, 3.0),
    "metal": Machine("a Mac under load", 40, 0.0),
    "": Machine("two cores of a server", 15, 0.08),
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
    write_text(_card(lineage, report, chat), out)
    return out


def _card(lineage: dict[str, Any], report: dict[str, Any], chat: bool) -> str:
    architecture = lineage["architecture"]
    read = _sources_read(lineage, chat)
    licence, reason = _licence(read)
    kind = "chats and answers from passages" if chat else "continues English text"
    return f"""---
language: en
license: {licence}
library_name: mlx
pipeline_tag: text-generation
tags: [mlx, {architecture["model_type"]}, tiny, trained-from-scratch]
---

# mlx-toy {"chat" if chat else "base"}

{LAYOUTS[architecture["model_type"]]} of {lineage["parameters"]:,} parameters,
trained from nothing. It {kind}. `mlx_lm.generate --model DIR`, transformers and others
load it unchanged; the app that it was made for adds retrieval, citations and the rule that an
answer stands verbatim in its passage.

## Intended use

{_use(chat)}

## Figures

{_figures(report, chat)}

## Training

{_stages(lineage)}
{_averaged(lineage)}
Hardware: {lineage["hardware"]}. Architecture:
{_architecture(architecture)}. Code: {_code(lineage)}; seeds
{", ".join(str(stage["seed"]) for stage in lineage["stages"])}, a stage each.

{_cost(lineage)}

{_limited_by(lineage)}

## Data

Parts of the tokens in each stage; nothing of the evaluation sets was read, and training text that
shares 13 words in a row with them was left out.

{_source_table(lineage, read, chat)}

## Licence

{reason} The code is Apache-2.0.{_machine_written(read)}

## Limits

It is tiny. It writes simple English and loses the thread after a few sentences; it knows next to
nothing, and what it states without a passage is often wrong. From passages it picks words that
stand there, not always the right ones: read the quoted sentence beside the answer. English only. It
was not made for advice of any kind, and it has not been tested for bias; children's books of
earlier centuries carry the attitudes of their time.
"""


def _use(chat: bool) -> str:
    if chat:
        return (
            "To look up answers in one's own documents, with the passage beside each answer, and "
            "to learn how a language model works by reading and training one. Not for decisions "
            "that matter, not as a source of facts, not for people who cannot check an answer."
        )
    return (
        "To complete simple English and to be trained further; to learn how a language model works "
        "by reading and training one. Not as a source of facts."
    )


def _figures(report: dict[str, Any], chat: bool) -> str:
    if not any(measure.name in report for measure in MEASURES):
        return "Not measured yet."
    parts = [
        "On held-out data; ± is one standard error. Targets are those of the project, set before "
        "training.",
        report_card.table(report, missing=chat),
    ]
    if chat:
        parts.append(
            "Answers from passages are those of the app: its reader "
            "(`mlx_toy/reader.py`) says which words to copy, this model copies them, and both "
            "decide whether to refuse. In the app a reply written beforehand is given to a chat "
            "message where one fits (`mlx_toy/selector.py`, card in `selector/`); the replies that "
            "were read stand in `replies.md`, those of the model's own words in `own_words.md`. "
            "Two AI assistants read each page apart from each other; a yes is where both said so. "
            "All other rows are of its own words."
        )
    if report.get("baselines") or report.get("peers"):
        parts += ["Beside others:", report_card.beside_others(report)]
    parts.append(
        "Measured by `python -m train evaluate --model DIR --data DIR`; how each figure was "
        f"obtained stands in `{REPORT_FILE}`."
    )
    return "\n\n".join(parts)


def _averaged(lineage: dict[str, Any]) -> str:
    """Of which fine-tunings the weights are the mean, if they are one."""
    parts = lineage.get("averaged", [])
    if not parts:
        return ""
    last = " and ".join(f"{p['share']:.0%} of that of {p['tokens']:,} tokens" for p in parts)
    return (
        f"\nThe weights are a mean of fine-tunings of one base: {last} "
        "(`python -m train average`; Wortsman et al. 2022, arXiv:2203.05482).\n"
    )


def _stages(lineage: dict[str, Any]) -> str:
    rows = [
        f"| {s['stage']} | {s['preset']} | {s['steps']:,} | {s['tokens']:,} "
        f"| {s['seconds'] / 3600:.1f} | {s['flops']:.1e} |"
        for s in lineage["stages"]
    ]
    tokens, seconds, flops = (
        sum(stage[key] for stage in lineage["stages"]) for key in ("tokens", "seconds", "flops")
    )
    return "\n".join(
        [
            "| stage | preset | steps | tokens | hours | FLOPs |",
            "|---|---|---:|---:|---:|---:|",
            *rows,
            f"| together | | | {tokens:,} | {seconds / 3600:.1f} | {flops:.1e} |",
        ]
    )


def _architecture(args: dict[str, Any]) -> str:
    return (
        f"width {args['hidden_size']}, {args['num_hidden_layers']} layers, "
        f"{args['num_attention_heads']} heads, vocabulary {args['vocab_size']:,}, "
        f"context {args['max_position_embeddings']} tokens"
    )


def _code(lineage: dict[str, Any]) -> str:
    commit = lineage.get("commit")
    return f"commit `{commit[:12]}`" if commit else "not from a checkout"


def _cost(lineage: dict[str, Any]) -> str:
    """Energy, carbon and money, with what was assumed."""
    hours = sum(stage["seconds"] for stage in lineage["stages"]) / 3600
    machine = next(found for mark, found in MACHINES.items() if mark in lineage["hardware"])
    kwh = hours * machine.watts * OVERHEAD / 1000
    money = f", about ${hours * machine.dollars:.2f} of rent" if machine.dollars else ""
    rent = f" and ${machine.dollars:.2f} an hour" if machine.dollars else ""
    return (
        f"Estimated cost: {kwh:.2f} kWh, {kwh * CO2_G_PER_KWH:,.0f} g of CO2{money}. "
        f"Assumed, not measured: {machine.kind} at {machine.watts} W{rent}, times {OVERHEAD} for "
        f"cooling and supply, {CO2_G_PER_KWH} g of CO2 a kWh. FLOPs are six a parameter and token. "
        "Earlier runs and trials are not counted."
    )


def _limited_by(lineage: dict[str, Any]) -> str:
    """What held the model back, and what a GPU would change."""
    tokens = sum(stage["tokens"] for stage in lineage["stages"])
    enough = presets.TOKENS_PER_PARAMETER
    larger = presets.preset(GPU_PRESET)
    ratio = tokens / lineage["parameters"]
    if lineage["parameters"] >= larger.parameters:
        return f"It read {ratio:.1f} tokens a parameter."
    limit = (
        f"What limited it is compute: it read {ratio:.1f} tokens a parameter, where about "
        f"{enough:g} are the best use of a budget, and a model of its size cannot hold much more."
        if ratio < enough
        else f"What limits it is its size: it read {ratio:.1f} tokens a parameter, more than the "
        f"{enough:g} or so that are the best use of a budget, and a larger model needs more "
        "compute than a processor has."
    )
    return (
        f"{limit} On a GPU the preset `{larger.name}` ({larger.parameters:,} "
        f"parameters, {larger.pretrain_tokens:,} tokens) is one command away: `python -m train all "
        f"--preset {larger.name} --data DIR --out run`. `python -m train plan --preset "
        f"{larger.name} --hours 8` times it and says what to expect."
    )


def _parts(lineage: dict[str, Any], chat: bool) -> Mapping[str, Mapping[str, float]]:
    """For each stage of this model, the part of each source."""
    stages = ("pretrain", "decay", "finetune") if chat else ("pretrain", "decay")
    return {stage: lineage["mixture"].get(stage, {}) for stage in stages}


def _sources_read(lineage: dict[str, Any], chat: bool) -> dict[str, dict[str, str]]:
    """The sources that this model has read, with what is known of each."""
    parts = _parts(lineage, chat).values()
    return {
        name: source
        for name, source in lineage["sources"].items()
        if any(stage.get(name) for stage in parts)
    }


def _source_table(lineage: dict[str, Any], read: dict[str, dict[str, str]], chat: bool) -> str:
    parts = _parts(lineage, chat)
    rows = []
    for name, source in read.items():
        shares = " | ".join(f"{stage.get(name, 0):g}" for stage in parts.values())
        about = f"{source['licence']} | {source.get('attribution', '')}"
        rows.append(f"| {name} | {shares} | {about} |")
    head = f"| source | {' | '.join(parts)} | licence | attribution |"
    return "\n".join([head, "|---|" + "---:|" * len(parts) + "---|---|", *rows])


def _licence(read: dict[str, dict[str, str]]) -> tuple[str, str]:
    """The licence of the weights, as the hub spells it, and why."""
    shared = {
        name: source["licence"]
        for name, source in read.items()
        if any(mark in source["licence"] for mark in SHARE_ALIKE)
    }
    if not shared:
        return "apache-2.0", "The weights are Apache-2.0: no source asks for share-alike."
    names = ", ".join(f"{name} ({licence})" for name, licence in shared.items())
    return "cc-by-sa-4.0", (
        "The weights are offered under CC BY-SA 4.0, because sources with a share-alike licence "
        f"are among the data: {names}."
    )


def _machine_written(read: dict[str, dict[str, str]]) -> str:
    names = [name for name, source in read.items() if "machine-written" in str(source)]
    if not names:
        return ""
    return (
        f" Machine-written sources: {', '.join(names)}; the terms of the services that wrote them "
        "may limit how models trained on them are used."
    )
