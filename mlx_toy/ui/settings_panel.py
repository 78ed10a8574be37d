"""The settings panel: how the model answers, kept in the browser.

The browser keeps only what was changed, so that a dial nobody touched follows the server's default.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gradio as gr

from mlx_toy.errors import UserError
from mlx_toy.options import MAX_PASSAGES, MAX_SYSTEM_PROMPT, AnswerOptions
from mlx_toy.settings import Settings
from mlx_toy.ui.conversation_store import STORAGE_SECRET
from mlx_toy.ui.events import AT_ONCE
from mlx_toy.ui.markup import as_text

STORAGE_KEY = "mlx-toy-settings"
OTHER_MODEL = "Start with <code>--model</code> for another."


@dataclass(frozen=True)
class Dial:
    """A number that can be set: its field in `AnswerOptions`, its range, and words for people."""

    name: str
    low: float
    high: float
    step: float
    label: str
    info: str


DIALS = (
    Dial("temperature", 0, 2, 0.05, "Temperature", "0 always takes the likeliest word."),
    Dial("top_p", 0.05, 1, 0.05, "Top-p", "Choose among the likeliest words up to this share."),
    Dial("top_k", 0, 200, 1, "Top-k", "Choose among so many of the likeliest words; 0: all."),
    Dial(
        "repetition_penalty", 1, 2, 0.05, "Repetition penalty", "Above 1, it repeats itself less."
    ),
    Dial("max_tokens", 8, 1024, 8, "Answer length", "In tokens, at most."),
    Dial("passages", 1, MAX_PASSAGES, 1, "Passages", "So many are put before the model."),
)
_WHOLE = ("top_k", "max_tokens", "passages")
_KINDS: dict[str, Callable[[Any], Any]] = {
    "strict": bool,
    "written_replies": bool,
    "system_prompt": lambda value: str(value or ""),  # an empty field may come as None
}


class SettingsPanel:
    """Builds the panel inside the current `gr.Blocks`.

    Args:
        settings: where the dials stand at first.

    Attributes:
        inputs: the components whose values `options` takes, in this order.
    """

    def __init__(self, settings: Settings) -> None:
        self._defaults = AnswerOptions.of(settings)
        # Beside the accordion: what is inside exists only once it was opened.
        self._kept = gr.BrowserState({}, storage_key=STORAGE_KEY, secret=STORAGE_SECRET)
        with gr.Accordion("Settings", open=False, elem_id="settings") as self._accordion:
            self._build(as_text(settings.model or "the bundled one"))
        # By hand only: a page that is opened changes its components, too, before they are restored.
        # A text that is pasted with the mouse is no input to Gradio; leaving the field is seen.
        changes = [*(component.input for component in self.inputs), self._system_prompt.blur]
        gr.on(
            changes, self.changed, self.inputs, [self._kept], trigger_mode="always_last", **AT_ONCE
        )
        reset = [*self.inputs, self._kept]
        self._reset.click(lambda: [*self._values(), {}], None, reset, **AT_ONCE)

    def _build(self, model: str) -> None:
        gr.HTML(f'<p class="model">Model: {model}. {OTHER_MODEL}</p>', padding=False)
        strict = gr.Checkbox(
            self._defaults.strict,
            label="Strict: only words of the documents",
            info="An answer from documents may then consist only of their words.",
            elem_id="strict",
        )
        written = gr.Checkbox(
            self._defaults.written_replies,
            label="Written replies",
            info="In a chat, a reply that was written beforehand may be given where one fits. "
            "Off: the model finds all words itself, more freely and less to the point.",
            elem_id="written-replies",
        )
        self._system_prompt = gr.Textbox(
            self._defaults.system_prompt,
            label="System prompt",
            info="What the model is told before a chat; it then finds all words itself. "
            "Small models hardly follow it.",
            lines=2,
            max_lines=6,
            max_length=MAX_SYSTEM_PROMPT,
            elem_id="system-prompt",
        )
        sliders = [self._slider(dial) for dial in DIALS]
        self._names = ["strict", "written_replies", "system_prompt"]
        self._names += [dial.name for dial in DIALS]
        self.inputs: list[Any] = [strict, written, self._system_prompt, *sliders]
        self._reset = gr.Button("Reset to defaults", size="sm", elem_id="reset-settings")

    def connect(self, page: gr.Blocks) -> None:
        """Put the dials where this browser left them, when the page is opened.

        And when the panel is: Gradio loses what it is told of a component that is just coming into
        being, which happens where the panel is opened while the page is still restored.
        """
        for opened in (page.load, self._accordion.expand):
            opened(self.restored, [self._kept], self.inputs, **AT_ONCE)

    def options(self, *values: Any) -> AnswerOptions:
        """What the dials say.

        Raises:
            UserError: a value outside its range, which only a forged request has.
        """
        return _options(dict(zip(self._names, values, strict=True)))

    def changed(self, *values: Any) -> dict[str, Any]:
        """The values that differ from the defaults."""
        chosen = zip(self._names, values, strict=True)
        return {name: value for name, value in chosen if value != getattr(self._defaults, name)}

    def restored(self, kept: object) -> list[Any]:
        """The values that the browser kept, if they are values of these dials.

        The others are left alone: a visitor may have moved one before this is answered.
        """
        known = kept if isinstance(kept, dict) else {}
        chosen = {name: value for name, value in known.items() if name in self._names}
        defaults = dict(zip(self._names, self._values(), strict=True))
        try:
            values = self._values(_options(defaults | chosen))
        except UserError:
            return [gr.skip() for _ in self._names]
        pairs = zip(self._names, values, strict=True)
        return [value if name in chosen else gr.skip() for name, value in pairs]

    def _slider(self, dial: Dial) -> gr.Slider:
        value = getattr(self._defaults, dial.name)
        return gr.Slider(
            dial.low,
            max(dial.high, value),
            value,
            step=dial.step,
            label=dial.label,
            info=dial.info,
            buttons=[],
            elem_id=f"dial-{dial.name.replace('_', '-')}",
        )

    def _values(self, options: AnswerOptions | None = None) -> list[Any]:
        return [getattr(options or self._defaults, name) for name in self._names]


def _options(values: dict[str, Any]) -> AnswerOptions:
    """Options of values that a browser sent."""
    chosen: dict[str, Any] = {}
    for name, value in values.items():
        kind: Callable[[Any], Any] = _KINDS.get(name, int if name in _WHOLE else float)
        try:
            chosen[name] = kind(value)
        except (TypeError, ValueError, OverflowError) as error:
            raise UserError(f"{name} is {value!r}: reset the settings") from error
    return AnswerOptions(**chosen)
