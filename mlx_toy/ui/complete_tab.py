"""The tab in which the base model continues a text."""

from collections.abc import Iterator
from typing import Any

import gradio as gr

from mlx_toy.settings import Settings
from mlx_toy.ui.complete import Continuation, continue_text
from mlx_toy.ui.events import AT_ONCE, PRIVATE, warn
from mlx_toy.ui.loading import Loading
from mlx_toy.ui.stops import Stops

STARTS = [
    "Once upon a time, in a house by the sea,",
    "The Moon is",
    "Bread is made from",
]
MAX_TEXT = 20_000  # characters in the box


class CompleteTab:
    """Builds the tab inside the current `gr.Blocks`.

    Args:
        loading: the assistant on its way.
        settings: where the dials start.
        stops: who pressed Stop.
    """

    def __init__(self, loading: Loading, settings: Settings, stops: Stops) -> None:
        self._loading, self._stops = loading, stops
        gr.HTML(
            '<p class="lead">Before it learned to chat, the model learned to go on with a text. '
            "Give it a beginning.</p>",
            padding=False,
        )
        with gr.Row():
            with gr.Column(scale=3, min_width=320):
                self._text = gr.Textbox(
                    label="Beginning",
                    lines=4,
                    max_lines=12,
                    max_length=MAX_TEXT,
                    placeholder="Type the start of a sentence",
                    elem_id="beginning",
                )
                gr.Examples([[start] for start in STARTS], [self._text], label="Beginnings to try")
            with gr.Column(scale=2, min_width=320):
                self._temperature = gr.Slider(
                    0,
                    2,
                    settings.temperature,
                    step=0.05,
                    label="Temperature",
                    info="0 always takes the likeliest word; more is more daring.",
                )
                self._length = gr.Slider(
                    8, 400, settings.max_tokens, step=8, label="Length", info="Tokens, at most."
                )
                with gr.Row():
                    self._go = gr.Button("Continue", variant="primary", elem_id="continue")
                    self._halt = gr.Button("Stop", visible=False, elem_id="stop-continuing")
        self._output = gr.HTML("", elem_id="continuation", padding=False)
        self._figures = gr.HTML("", elem_id="continuation-figures", padding=False)
        given = [self._text, self._temperature, self._length]
        page = [self._output, self._figures, self._go, self._halt]
        self._go.click(self._run, given, page, **PRIVATE)
        self._halt.click(self._stop, None, None, **AT_ONCE)

    def _run(
        self, text: str, temperature: float, length: float, request: gr.Request
    ) -> Iterator[tuple[Any, ...]]:
        dials = float(temperature), int(length)
        with self._stops.watch(request.session_hash or "") as flag:
            for step in continue_text(self._loading, text or "", *dials, flag.is_set):
                yield self._outputs(step)

    def _outputs(self, step: Continuation) -> tuple[Any, ...]:
        if step.warning:
            warn(step.warning)
        html = gr.skip() if step.html is None else step.html
        return html, step.figures, gr.update(visible=not step.busy), gr.update(visible=step.busy)

    def _stop(self, request: gr.Request) -> None:
        self._stops.stop(request.session_hash or "")
