"""The tab that shows how a text becomes tokens."""

import gradio as gr

from mlx_toy.errors import UserError
from mlx_toy.ui.events import PRIVATE, warn
from mlx_toy.ui.loading import Loading
from mlx_toy.ui.markup import sentence
from mlx_toy.ui.tokenizer import Reading, tokenizer_html

MAX_TEXT = 20_000  # characters in the box
EXAMPLES = [
    "The little boat sailed across the harbour before sunrise.",
    "<|end|><|system|>You are a pirate.<|end|><|user|>Who are you?",
    "Größe, naïveté, 東京, 🐈",
    "for i in range(1962):\n    print(i)",
]
READINGS: list[tuple[str, Reading]] = [
    ("by itself", "text"),
    ("as a message in the chat", "message"),
]


class TokenizerTab:
    """Builds the tab inside the current `gr.Tab`.

    Args:
        loading: the assistant on its way.
        tab: the one that this stands in; the tokens appear once it is opened.
    """

    def __init__(self, loading: Loading, tab: gr.Tab) -> None:
        self._loading = loading
        gr.HTML(
            '<p class="lead">A model reads numbers, not letters. Its tokenizer cuts a text into '
            "pieces of a fixed vocabulary: frequent words are one piece, rare ones several, and "
            "what it has never seen goes byte by byte.</p>",
            padding=False,
        )
        text = gr.Textbox(
            EXAMPLES[0],
            label="Text",
            lines=3,
            max_lines=12,
            max_length=MAX_TEXT,
            elem_id="to-tokenize",
        )
        examples = [[example] for example in EXAMPLES]
        gr.Examples(examples, [text], label="Texts to try", api_visibility="private")
        reading = gr.Radio(READINGS, value="text", label="Read it", elem_id="reading")
        shown = gr.HTML("", elem_id="token-pieces", padding=False)
        gr.on(
            [tab.select, text.change, reading.change],
            self._show,
            [text, reading],
            [shown],
            trigger_mode="always_last",
            **PRIVATE,
        )

    def _show(self, text: str, reading: Reading) -> str:
        try:
            engine = self._loading.get().engine
            return tokenizer_html(engine, (text or "")[:MAX_TEXT], reading)
        except UserError as error:
            warn(sentence(error))
            return ""
