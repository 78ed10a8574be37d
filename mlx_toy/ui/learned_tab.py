"""The tab "How it learned": report card, curves, the model's words on the way, data and limits."""

import gradio as gr

from mlx_toy.settings import Settings
from mlx_toy.ui.curves import curves_html, loss_lines, validation_lines
from mlx_toy.ui.events import AT_ONCE
from mlx_toy.ui.learned import (
    LIMITS,
    STAGES,
    card_html,
    introduction_html,
    moment_html,
    moments,
    read_files,
    sources_read_html,
)
from mlx_toy.ui.report_card import report_card_html

NO_CURVES = "The model's directory does not tell how its training went."


class LearnedTab:
    """Builds the tab inside the current `gr.Tab`; it reads the files of the model's directory.

    Args:
        settings: which model.
    """

    def __init__(self, settings: Settings) -> None:
        files = read_files(settings)
        self._moments = moments(files.stages)
        with gr.Column(elem_id="learned"):
            _html(introduction_html(files))
            _html("<h2>Report card</h2>" + report_card_html(files.report, files.retriever))
            _html("<h2>How the loss fell</h2>")
            if files.stages:
                losses = curves_html(
                    loss_lines(files.stages, STAGES), "In training", "loss, nats per token"
                )
                unseen = curves_html(
                    validation_lines(files.stages), "On text that it did not read", "bits per byte"
                )
                _html(f'<div class="charts">{losses}{unseen}</div>')
            else:
                _html(f'<p class="empty">{files.problem or NO_CURVES}</p>')
            if self._moments:
                _html("<h2>What it wrote on the way</h2>")
                self._build_moments()
            _html("<h2>What it read</h2>" + sources_read_html(files.lineage))
            _html(f"<h2>What it cannot do</h2>{LIMITS}{card_html(files.card)}")

    def _build_moments(self) -> None:
        place = gr.Slider(
            1,
            len(self._moments),
            value=1,
            step=1,
            label="Checkpoint",
            info="Drag to the right to see it learn; the beginnings in bold are ours.",
            elem_id="checkpoint",
        )
        shown = gr.HTML(moment_html(self._moments[0]), elem_id="moment", padding=False)
        place.change(self._show, [place], [shown], trigger_mode="always_last", **AT_ONCE)

    def _show(self, place: float) -> str:
        index = min(max(int(place), 1), len(self._moments)) - 1
        return moment_html(self._moments[index])


def _html(content: str) -> None:
    gr.HTML(content, padding=False)
