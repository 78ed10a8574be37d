"""The page about the model: what it is, what its own directory says of it, and its limits."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mlx_toy.loaded_model import BUNDLED
from mlx_toy.settings import Settings
from mlx_toy.ui.markup import as_text

INTRODUCTION = """
<h2>A language model small enough to understand</h2>
<p>mlx-toy was trained from an empty folder: tokenizer, weights and retriever are its own, and the
code that made them stands in the same repository as this page. It looks up the passages of your
documents that are nearest to a question, and its answer is copied from them word by word, so that
you can see where it comes from.</p>
<h2>What it cannot do</h2>
<ul>
<li>It is tiny. Without documents it writes simple English and gets most facts wrong.</li>
<li>From documents it quotes short spans. It does not reason, count or summarise.</li>
<li>It may quote the wrong sentence: read the passage beside the answer.</li>
<li>It reads the text of a PDF, not its pictures; a scan has no text.</li>
</ul>
"""
CONFIG_FACTS = {
    "num_hidden_layers": "Layers",
    "hidden_size": "Width",
    "num_attention_heads": "Attention heads",
    "vocab_size": "Vocabulary",
    "max_position_embeddings": "Context, in tokens",
}
MAX_CARD = 20_000  # characters of a model card that are shown


def about_html(settings: Settings) -> str:
    """The page, with the facts that the model's directory holds; other models have none here."""
    path = Path(settings.model).expanduser() if settings.model else BUNDLED
    facts = [
        *_facts(_read(path / "config.json"), CONFIG_FACTS),
        *_facts(_read(path / "report.json")),
    ]
    rows = "".join(f"<tr><th>{as_text(k)}</th><td>{as_text(v)}</td></tr>" for k, v in facts)
    table = f"<h2>This model</h2><table>{rows}</table>" if rows else ""
    card = _without_front_matter(_text(path / "README.md"))
    shown = f"<details><summary>Model card</summary><pre>{as_text(card)}</pre></details>"
    return f'<div class="about">{INTRODUCTION}{table}{shown if card else ""}</div>'


def _facts(content: Any, names: dict[str, str] | None = None) -> Iterator[tuple[str, str]]:
    """Name and value of what is a number or a word in a JSON object."""
    if not isinstance(content, dict):
        return
    for key, value in content.items():
        if names is not None and key not in names:
            continue
        if isinstance(value, int | float | str) and not isinstance(value, bool):
            name = names[key] if names else key.replace("_", " ").capitalize()
            yield name, f"{value:,}" if isinstance(value, int | float) else value


def _read(path: Path) -> Any:
    try:
        return json.loads(_text(path) or "null")
    except ValueError:  # a broken directory is told of when it is loaded
        return None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")[:MAX_CARD]
    except OSError:
        return ""


def _without_front_matter(card: str) -> str:
    if card.startswith("---\n") and (end := card.find("\n---\n", 4)) > 0:
        card = card[end + 5 :]
    return card.strip()
