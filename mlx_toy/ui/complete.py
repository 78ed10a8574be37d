"""What happens when somebody has a text continued: a stream of the text with what was added."""

import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from mlx_toy.assistant import Update
from mlx_toy.errors import UserError
from mlx_toy.ui.frames import frames
from mlx_toy.ui.loading import Loading
from mlx_toy.ui.markup import as_text, sentence, stats_line


@dataclass(frozen=True)
class Continuation:
    """What the page shows now.

    Attributes:
        html: the text, what was added marked; None leaves what stood there.
        figures: the line below it.
        busy: whether more is coming.
        warning: a sentence to be put before the visitor.
    """

    html: str | None
    figures: str = ""
    busy: bool = True
    warning: str | None = None


def continue_text(
    loading: Loading,
    text: str,
    temperature: float,
    max_tokens: int,
    stopped: Callable[[], bool] = lambda: False,
) -> Iterator[Continuation]:
    """Continue a text with the base model, with the two dials of the page."""
    try:
        yield Continuation(None)
        assistant = loading.get(stopped)
        dials = replace(assistant.sampling(), temperature=temperature, max_tokens=max_tokens)
        updates = assistant.complete(text, dials)
        for update, last in frames(updates, stopped):
            html = continuation_html(text, update.text)
            yield Continuation(html, _figures(update) if last else "", busy=not last)
    except UserError as error:
        yield Continuation(None, busy=False, warning=sentence(error))
    except Exception as error:  # a bug here must not leave the page waiting
        traceback.print_exc()
        said = f"Something went wrong ({type(error).__name__}); the server's terminal says more."
        yield Continuation(None, busy=False, warning=said)


def continuation_html(text: str, added: str) -> str:
    """A text and what was added to it, told apart."""
    return f'<div class="continued" dir="auto">{as_text(text)}<mark>{as_text(added)}</mark></div>'


def _figures(update: Update) -> str:
    """The line below a continuation."""
    parts = [stats_line(update.stats), "" if update.done else "stopped"]
    return " · ".join(part for part in parts if part)
