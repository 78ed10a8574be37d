"""An answer as tokens, each coloured by how likely the model thought it; one opened to its details.

Plain HTML: every token is the label of a radio button, so a click or the arrow keys choose one, and
the style sheet shows the details of the chosen one. The less likely a token, the stronger its
colour and the line below it, so that the scale can be read without colours too.
"""

from collections.abc import Iterator, Sequence

import gradio as gr

from mlx_toy.assistant import Assistant
from mlx_toy.errors import UserError
from mlx_toy.token_view import TokenDetail, copied_from, passage_tokens, token_details
from mlx_toy.ui.events import PRIVATE
from mlx_toy.ui.loading import Loading
from mlx_toy.ui.markup import as_text, place, sentence
from mlx_toy.ui.sources import Shown

STEPS = (0.9, 0.5, 0.2, 0.05)  # probabilities at which the colour changes
STEP_NAMES = ("over 90%", "50 to 90%", "20 to 50%", "5 to 20%", "under 5%")
MAX_TOKENS = 400  # that are shown: what an answer may have
NO_TRACE = "Tokens are known only of answers that the model gave since this page was opened."
LOOKING = "Looking at every token…"
CAPTION = (
    "Probabilities are the model's own, before the temperature; in an answer from documents only "
    "words of the passages were allowed, and in a reply written beforehand only its own, so the "
    "model's first choice may differ."
)


class TokenView:
    """Builds the view and its button inside the current `gr.Blocks`.

    Args:
        loading: the assistant on its way.
        shown: the state with the answer that is shown, see `sources.py`.
    """

    def __init__(self, loading: Loading, shown: gr.State) -> None:
        self._loading = loading
        self._button = gr.Button("Show tokens", size="sm", elem_id="show-tokens", visible=False)
        self._view = gr.HTML("", elem_id="tokens", padding=False)
        view = [self._button, self._view]
        shown.change(self._offer, [shown], view, concurrency_limit=None, **PRIVATE)
        self._button.click(self._show, [shown], view, **PRIVATE)

    def _offer(self, shown: Shown) -> tuple[object, str]:
        """Another answer: its tokens are shown when somebody asks for them."""
        return gr.update(visible=shown.trace is not None), ""

    def _show(self, shown: Shown) -> Iterator[tuple[object, str]]:
        yield gr.update(visible=False), f'<p class="empty">{LOOKING}</p>'
        try:
            html = answer_html(self._loading.get(), shown)
        except UserError as error:
            html = f'<p class="empty">{as_text(sentence(error))}</p>'
        yield gr.update(visible=False), html


def answer_html(assistant: Assistant, shown: Shown) -> str:
    """The tokens of an answer with their details.

    Raises:
        UserError: they are not known, or too many.
    """
    if shown.trace is None:
        raise UserError(NO_TRACE)
    engine, trace = assistant.engine, shown.trace
    ids = trace.answer_ids[:MAX_TOKENS]
    spans = passage_tokens(engine, trace.prompt_ids)
    details = token_details(engine, trace.prompt_ids, ids, spans)
    cited = [source.number for source in shown.sources if source.quote is not None]
    texts = [source.hit.text for source in shown.sources]
    copied = copied_from([detail.text for detail in details], texts, cited)
    names = [f"[{source.number}] {place(source)}" for source in shown.sources]
    return tokens_html(details, copied, names)


def tokens_html(
    details: Sequence[TokenDetail], copied: Sequence[int | None] = (), passages: Sequence[str] = ()
) -> str:
    """Tokens in the order of the text, a legend, and the details of the one that is chosen.

    Args:
        details: at least one.
        copied: for each token the number of the passage that it stands in; empty if not known.
        passages: names of the passages; the first is number 1.
    """
    legend = "".join(
        f'<span class="token p{step}">{name}</span>' for step, name in enumerate(STEP_NAMES)
    )
    first = min(range(len(details)), key=lambda i: details[i].probability)
    tokens = "".join(
        _token_html(number, detail, number == first, copied[number : number + 1], passages)
        for number, detail in enumerate(details)
    )
    return (
        f'<p class="token-legend">Choose a token. Its colour is its probability: {legend}</p>'
        f'<div class="token-view" role="radiogroup" aria-label="Tokens" dir="auto">{tokens}</div>'
        f'<p class="empty">{CAPTION}</p>'
    )


def visible(text: str) -> str:
    """A token's text in which spaces and line ends can be seen."""
    return text.replace(" ", "␣").replace("\n", "⏎").replace("\t", "⇥")


def _token_html(
    number: int,
    detail: TokenDetail,
    chosen: bool,
    copied: Sequence[int | None],
    passages: Sequence[str],
) -> str:
    step = sum(detail.probability < limit for limit in STEPS)
    text = as_text(detail.text.replace("\n", "⏎"))
    line_end = "<i></i>" if "\n" in detail.text else ""
    return (
        f'<input type="radio" name="token" id="token-{number}"{" checked" if chosen else ""}>'
        f'<label class="token p{step}" for="token-{number}">{text}'
        f'<span class="said"> {as_text(percent(detail.probability))}</span></label>{line_end}'
        f'<div class="details">{_details_html(detail, copied, passages)}</div>'
    )


def _details_html(
    detail: TokenDetail, copied: Sequence[int | None], passages: Sequence[str]
) -> str:
    choices = "even" if detail.entropy_bits < 0.05 else f"{2**detail.entropy_bits:,.1f} equal"
    sure = "no doubt" if choices == "even" else f"as if among {choices} choices"
    head = (
        f"<p><strong>{as_text(visible(detail.text))}</strong> "
        f"probability {as_text(percent(detail.probability))} · rank {detail.rank:,} · "
        f"entropy {detail.entropy_bits:.2f} bits ({sure})</p>"
    )
    rows = "".join(
        _bar(as_text(visible(other.text)), other.probability, other.id == detail.id)
        for other in detail.alternatives
    )
    parts = [f"<section><h4>The ten likeliest</h4><ul>{rows}</ul></section>"]
    if passages:
        parts.append(f"<section>{_origin_html(detail, copied, passages)}</section>")
    return head + f'<div class="columns">{"".join(parts)}</div>'


def _origin_html(detail: TokenDetail, copied: Sequence[int | None], passages: Sequence[str]) -> str:
    """Which passage a token was copied from, and where the model looked."""
    names = dict(enumerate(passages, start=1))
    source = names.get(copied[0] or 0) if copied else None
    origin = f"Copied from {as_text(source)}." if source else "Not copied from a passage."
    html = f"<h4>Where it comes from</h4><p>{origin}</p>"
    if detail.attention:
        rows = [_bar(as_text(names.get(n, f"[{n}]")), share) for n, share in detail.attention]
        html += (
            f"<h4>Where the model looked</h4><ul>{''.join(rows)}</ul>"
            '<p class="empty">Share of its attention that the most attentive head gave to each.</p>'
        )
    return html


def _bar(html: str, share: float, chosen: bool = False) -> str:
    """A line with a bar behind it as long as the share."""
    return (
        f'<li{" class=chosen" if chosen else ""} style="--share:{share:.3f}">'
        f"<span>{html}</span><span>{as_text(percent(share))}</span></li>"
    )


def percent(share: float) -> str:
    """A probability for people."""
    if 0 < share < 0.001:
        return "< 0.1%"
    return f"{100 * share:.1f}%" if share < 0.0995 else f"{100 * share:.0f}%"
