"""The tab in which the base model continues a text, and shows what else might have followed."""

from collections.abc import Iterator
from typing import Any

import gradio as gr

from mlx_toy.settings import Settings
from mlx_toy.ui.complete import (
    MAX_SAMPLES,
    Dials,
    Sample,
    View,
    alternatives,
    continue_from,
    continue_text,
    highlighted,
    position_line,
)
from mlx_toy.ui.events import AT_ONCE, PRIVATE, warn
from mlx_toy.ui.loading import Loading
from mlx_toy.ui.markup import as_text
from mlx_toy.ui.stops import Stops
from mlx_toy.ui.token_view import STEP_NAMES

STARTS = [
    "Once upon a time, in a house by the sea,",
    "The Moon is",
    "Bread is made from",
]
MAX_TEXT = 20_000  # characters in the box
MOST_TOKENS = 400  # of a continuation
COLOURS = dict(zip(STEP_NAMES[1:], ("#fde68a", "#fbbf24", "#fb923c", "#ef4444"), strict=True))

Chosen = tuple[int, int] | None  # the sample and the position of the token that was clicked


class CompleteTab:
    """Builds the tab inside the current `gr.Tab`.

    Args:
        loading: the assistant on its way.
        settings: where the dials start.
        stops: who pressed Stop here.
    """

    def __init__(self, loading: Loading, settings: Settings, stops: Stops) -> None:
        self._loading, self._stops = loading, stops
        self._samples = gr.State([])
        self._chosen = gr.State(None)
        gr.HTML(
            '<p class="lead">Before it learned to chat, the model learned to go on with a text. '
            "Give it a beginning, then click any word that it wrote to see what else it thought "
            "of.</p>",
            padding=False,
        )
        with gr.Row():
            with gr.Column(scale=3, min_width=320):
                self._build_beginning()
            with gr.Column(scale=2, min_width=320):
                self._build_dials(settings)
        self._build_samples()
        self._build_alternatives()
        self._connect()

    # --- layout -----------------------------------------------------------------------------------

    def _build_beginning(self) -> None:
        self._text = gr.Textbox(
            label="Beginning",
            lines=4,
            max_lines=12,
            max_length=MAX_TEXT,
            placeholder="Type the start of a sentence",
            elem_id="beginning",
        )
        starts = [[start] for start in STARTS]
        gr.Examples(starts, [self._text], label="Beginnings to try", api_visibility="private")
        with gr.Row():
            self._go = gr.Button("Continue", variant="primary", elem_id="continue")
            self._halt = gr.Button("Stop", visible=False, elem_id="stop-continuing")

    def _build_dials(self, settings: Settings) -> None:
        self._temperature = gr.Slider(
            0,
            2,
            settings.temperature,
            step=0.05,
            label="Temperature",
            info="0 always takes the likeliest word; more is more daring.",
            elem_id="temperature",
        )
        length = min(settings.max_tokens, MOST_TOKENS)
        self._length = gr.Slider(
            8,
            MOST_TOKENS,
            length,
            step=8,
            label="Length",
            info="Tokens, at most.",
            elem_id="length",
        )
        self._count = gr.Slider(
            1,
            MAX_SAMPLES,
            1,
            step=1,
            label="Samples",
            info="Side by side, each with other dice.",
            elem_id="samples-count",
        )

    def _build_samples(self) -> None:
        self._columns, self._shown, self._figures = [], [], []
        with gr.Row(elem_id="samples"):
            for place in range(MAX_SAMPLES):
                with gr.Column(visible=False, min_width=280) as column:
                    shown = gr.HighlightedText(
                        label=f"Sample {place + 1}",
                        show_label=False,
                        color_map=COLOURS,
                        show_inline_category=False,
                        show_legend=False,
                        combine_adjacent=False,
                        elem_classes="sample",
                        buttons=[],
                    )
                    figures = gr.HTML("", padding=False, elem_classes="sample-figures")
                self._columns.append(column)
                self._shown.append(shown)
                self._figures.append(figures)
        legend = "".join(
            f'<span><i style="background:{colour}"></i>{name}</span>'
            for name, colour in COLOURS.items()
        )
        self._legend = gr.HTML(
            f'<div class="odds">How likely the model thought each word: {legend}</div>',
            visible=False,
            padding=False,
        )

    def _build_alternatives(self) -> None:
        with gr.Column(visible=False, elem_id="alternatives") as self._panel:
            self._line = gr.HTML("", padding=False)
            self._others = gr.Radio([], show_label=False, container=False, elem_id="others")

    # --- events -----------------------------------------------------------------------------------

    def _connect(self) -> None:
        dials = [self._temperature, self._length]
        page = [self._samples, self._chosen, self._go, self._halt, self._panel, self._legend]
        page += [*self._columns, *self._shown, *self._figures]
        given = [self._text, *dials, self._count]
        gr.on([self._go.click, self._text.submit], self._run, given, page, **PRIVATE)
        self._halt.click(self._stop, None, None, **AT_ONCE)
        panel = [self._chosen, self._panel, self._line, self._others]
        for place, shown in enumerate(self._shown):
            shown.select(self._select(place), [self._samples], panel, **AT_ONCE)
        chosen = [self._samples, self._chosen, self._others, *dials]
        self._others.input(self._go_on, chosen, page, **PRIVATE)

    def _run(
        self, text: str, temperature: float, length: float, count: float, request: gr.Request
    ) -> Iterator[tuple[Any, ...]]:
        dials = Dials(float(temperature), int(length), int(count))
        with self._stops.watch(request.session_hash or "") as flag:
            for view in continue_text(self._loading, text or "", dials, flag.is_set):
                yield self._outputs(view)
        if temperature == 0 and count > 1 and not view.warning:
            gr.Info("At temperature 0 all samples are the same, so one was written.")

    def _go_on(
        self,
        samples: list[Sample],
        chosen: Chosen,
        token: int | None,
        temperature: float,
        length: float,
        request: gr.Request,
    ) -> Iterator[tuple[Any, ...]]:
        if chosen is None or token is None:
            return
        dials = Dials(float(temperature), int(length))
        with self._stops.watch(request.session_hash or "") as flag:
            views = continue_from(self._loading, samples, *chosen, int(token), dials, flag.is_set)
            for view in views:
                yield self._outputs(view)

    def _outputs(self, view: View) -> tuple[Any, ...]:
        """A view as new values of all that `_connect` calls the page."""
        if view.warning:
            warn(view.warning)
        samples = [sample for sample in view.samples if sample.text or not view.warning]
        empty = [None] * (MAX_SAMPLES - len(samples))
        return (
            samples,
            None,
            gr.update(visible=not view.busy),
            gr.update(visible=view.busy),
            gr.update(visible=False),
            gr.update(visible=any(sample.details for sample in samples)),
            *(gr.update(visible=place < len(samples)) for place in range(MAX_SAMPLES)),
            *(highlighted(sample) for sample in samples),
            *empty,
            *(as_text(sample.figures) for sample in samples),
            *("" for _ in empty),
        )

    def _select(self, place: int) -> Any:
        def select(samples: list[Sample], clicked: gr.SelectData) -> tuple[Any, ...]:
            index = clicked.index[0] if isinstance(clicked.index, (list, tuple)) else clicked.index
            position = int(index) - 1  # the beginning is the first piece
            details = samples[place].details if place < len(samples) else ()
            if not 0 <= position < len(details):
                return (gr.skip(),) * 4
            line = f"<p>{as_text(position_line(samples[place], position))}</p>"
            choices = gr.update(choices=alternatives(details[position]), value=None)
            return (place, position), gr.update(visible=True), line, choices

        return select

    def _stop(self, request: gr.Request) -> None:
        self._stops.stop(request.session_hash or "")
