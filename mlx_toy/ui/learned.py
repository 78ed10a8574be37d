"""How the model learned, as HTML: what it is, what it read, what it wrote on the way, its limits.

Everything comes from the files of the model's own directory. A model that others trained has none
of them, and the page says so.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlx_toy.errors import UserError
from mlx_toy.loaded_model import BUNDLED
from mlx_toy.settings import Settings
from mlx_toy.training_history import Stage, read_history
from mlx_toy.ui.markup import as_text, plural, sentence
from mlx_toy.ui.source_names import source_kind, source_title

MAX_FILE = 1 << 20  # characters of a file of the directory that are read
MAX_CARD = 20_000  # characters of a model card that are shown
STAGES = {"pretrain": "Pretraining", "decay": "Last third of it", "finetune": "Fine-tuning"}
OURS = (
    "<p>mlx-toy was trained from an empty folder: tokenizer, weights and retriever are its own, "
    "and the code that made them stands in the same repository as this page. It looks up the "
    "passages of your documents that are nearest to a question, and its answer is copied from them "
    "word by word, so that you can see where it comes from.</p>"
)
OTHER = (
    "<p>The app runs a model that mlx-toy did not train, so there are no records of its training "
    "here. Without <code>--model</code> it runs its own, which has.</p>"
)
LIMITS = """
<ul>
<li>It is tiny. Without documents it writes simple English and gets most facts wrong.</li>
<li>From documents it quotes short spans. It does not reason, count or summarise.</li>
<li>It may quote the wrong sentence: read the passage beside the answer.</li>
<li>It reads the text of a PDF, not its pictures; a scan has no text.</li>
<li>It knows English alone, and nothing that was not in what it read.</li>
</ul>
"""


@dataclass(frozen=True)
class ModelFiles:
    """What a model's directory tells of it; each part is empty where there is no such file."""

    config: dict[str, Any]
    report: dict[str, Any]
    lineage: dict[str, Any]
    retriever: dict[str, Any]
    stages: list[Stage]
    problem: str
    card: str


def read_files(settings: Settings) -> ModelFiles:
    """Read the directory of the model that the settings name; broken files count as none."""
    path = Path(settings.model).expanduser() if settings.model else BUNDLED
    retriever = Path(settings.embedder).expanduser() if settings.embedder else BUNDLED.parent
    try:
        stages, problem = read_history(path), ""
    except UserError as error:
        stages, problem = [], sentence(error)
    return ModelFiles(
        _object(path / "config.json"),
        _object(path / "report.json"),
        _object(path / "lineage.json"),
        _object((retriever if settings.embedder else retriever / "embedder") / "report.json"),
        stages,
        problem,
        _without_front_matter(_text(path / "README.md"))[:MAX_CARD],
    )


def introduction_html(files: ModelFiles) -> str:
    """What the model is, in two paragraphs."""
    if not files.lineage:
        return f"<h2>A model of others</h2>{OTHER}"
    title = "<h2>A language model small enough to understand</h2>"
    return f"{title}{OURS}<p>{as_text(_numbers(files))}</p>"


def _numbers(files: ModelFiles) -> str:
    """Size, reading and time in one paragraph."""
    lineage, config = files.lineage, files.config
    stages = [stage for stage in lineage.get("stages") or [] if isinstance(stage, dict)]
    tokens = sum(int(stage.get("tokens") or 0) for stage in stages)
    hours = sum(float(stage.get("seconds") or 0) for stage in stages) / 3600
    parts = [f"It has {lineage.get('parameters', 0):,} parameters"]
    if config.get("num_hidden_layers"):
        parts.append(
            f" in {config['num_hidden_layers']} layers of width {config.get('hidden_size')}, "
            f"{config.get('vocab_size', 0):,} pieces in its vocabulary, "
            f"and reads up to {config.get('max_position_embeddings', 0):,} tokens at a time"
        )
    parts.append(f". It learned from {tokens:,} tokens in {hours:.1f} hours")
    if lineage.get("hardware"):
        parts.append(f" on one machine ({lineage['hardware']})")
    return "".join(parts) + "."


def sources_read_html(lineage: dict[str, Any]) -> str:
    """Each source with its share of every stage, its licence and whom to thank."""
    mixture = lineage.get("mixture") or {}
    sources = lineage.get("sources") or {}
    stages = [stage for stage in STAGES if mixture.get(stage)]
    shares = {stage: _shares(mixture[stage]) for stage in stages}
    used = [name for name in sources if any(shares[stage].get(name) for stage in stages)]
    if not used:
        return "<p class='empty'>The model's directory does not tell what it read.</p>"
    used.sort(key=lambda name: -sum(shares[stage].get(name, 0) for stage in stages))
    heads = "".join(f"<th>{STAGES[stage]}</th>" for stage in stages)
    rows = "".join(_source_row(name, sources[name], stages, shares) for name in used)
    return (
        f"<p>{plural(len(used), 'source')}. The figures are shares of the tokens of each stage; "
        "nothing of what the model is measured on was read.</p>"
        f'<table class="sources-read"><thead><tr><th>Source</th>{heads}<th>Licence</th></tr>'
        f"</thead><tbody>{rows}</tbody></table>"
    )


def _shares(parts: dict[str, float]) -> dict[str, float]:
    whole = sum(parts.values()) or 1
    return {name: part / whole for name, part in parts.items()}


def _source_row(
    name: str, source: dict[str, Any], stages: list[str], shares: dict[str, dict[str, float]]
) -> str:
    cells = "".join(_share_cell(STAGES[stage], shares[stage].get(name, 0)) for stage in stages)
    return (
        f"<tr><td><b>{as_text(source_title(name))}</b> "
        f"<span class='kind'>{source_kind(name)}</span>"
        f"<div class='attribution'>{as_text(str(source.get('attribution') or ''))}</div></td>"
        f"{cells}<td class='licence'>{as_text(str(source.get('licence') or 'unknown'))}</td></tr>"
    )


def _share_cell(stage: str, share: float) -> str:
    if not share:
        return f'<td class="share none" data-stage="{stage}">–</td>'
    return (
        f'<td class="share" data-stage="{stage}"><span class="bar" style="width:{share:.1%}">'
        f"</span>{share:.1%}</td>"
    )


def card_html(card: str) -> str:
    """The model card as it is published, folded up."""
    return (
        f"<details><summary>Model card</summary><pre>{as_text(card)}</pre></details>"
        if card
        else ""
    )


# --- what it wrote on the way ---------------------------------------------------------------------


@dataclass(frozen=True)
class Moment:
    """A checkpoint that one can look at.

    Attributes:
        stage: "pretrain" or "finetune".
        step, tokens: of the stage.
        bits_per_byte: mean over the held-out sets; None if it was not measured.
        texts: (prompt, continuation) each.
    """

    stage: str
    step: int
    tokens: int
    bits_per_byte: float | None
    texts: list[tuple[str, str]]


def moments(stages: Iterable[Stage]) -> list[Moment]:
    """All checkpoints that have samples, in the order of time."""
    found = []
    for stage in stages:
        measured = {m.step: m.bits_per_byte for m in stage.metrics if m.bits_per_byte}
        for sample in stage.samples:
            sets = measured.get(sample.step, {})
            mean = sum(sets.values()) / len(sets) if sets else None
            found.append(Moment(stage.name, sample.step, sample.tokens, mean, sample.texts))
    return found


def moment_html(moment: Moment) -> str:
    """What the model wrote at a checkpoint."""
    facts = [
        STAGES.get(moment.stage, moment.stage),
        f"step {moment.step:,}",
        f"{moment.tokens:,} tokens read",
    ]
    if moment.bits_per_byte is not None:
        facts.append(f"{moment.bits_per_byte:.2f} bits per byte of unseen text")
    texts = "".join(
        f'<p dir="auto"><span class="prompt">{as_text(_one_line(prompt))}</span>'
        f"{as_text(_one_line(text))}</p>"
        for prompt, text in moment.texts
    )
    return f'<div class="moment"><header>{as_text(" · ".join(facts))}</header>{texts}</div>'


def _one_line(text: str) -> str:
    """The text without its line ends, of which a young model writes many."""
    return re.sub(r"\s+", " ", text)


# --- files ----------------------------------------------------------------------------------------


def _object(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(_text(path) or "null")
    except ValueError:  # a broken directory is told of when it is loaded
        return {}
    return content if isinstance(content, dict) else {}


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")[:MAX_FILE]
    except OSError:
        return ""


def _without_front_matter(card: str) -> str:
    if card.startswith("---\n") and (end := card.find("\n---\n", 4)) > 0:
        card = card[end + 5 :]
    return card.strip()
