"""What the tabs share: how events are declared, and how a visitor is told something."""

from typing import Any

import gradio as gr

from mlx_toy.ui.markup import as_text

PRIVATE: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
# Does not wait behind an answer; but in the queue, else a gr.State would not tell its change.
AT_ONCE: dict[str, Any] = {**PRIVATE, "concurrency_limit": None}


def warn(text: str) -> None:
    """Put a sentence before the visitor, as text: the name of a file in it may look like markup."""
    gr.Warning(as_text(text))
