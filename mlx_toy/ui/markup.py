"""Text to HTML in which nothing of the text can act.

Why: documents and answers are other people's words. In the page they are text and never markup, so
that no script runs and no remote image tells anyone what is being read. Everything the app shows of
them goes through `as_text`.
"""

import html
import re
from collections.abc import Sequence

from mlx_toy.answers import Segment
from mlx_toy.assistant import Source
from mlx_toy.errors import UserError
from mlx_toy.generation import Stats

MAX_UNSUPPORTED = 200  # characters of a free answer that are named below it

# Controls but tab and newline: browsers drop some, replace others, and show none.
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


def as_text(text: str) -> str:
    """HTML that shows exactly this text, for use between tags (not inside an attribute)."""
    return html.escape(_CONTROLS.sub("", text), quote=False)


def as_message(text: str) -> str:
    """HTML that shows exactly this text, in which only what could act is escaped.

    The chat's Copy and Edit buttons take its HTML: so "a < b & c" stays as it was typed.
    """
    text = _CONTROLS.sub("", text)
    return re.sub(r"<(?=[A-Za-z/!?])", "&lt;", re.sub(r"&(?=[A-Za-z#])", "&amp;", text))


def as_attribute(text: str) -> str:
    """The same for use between the double quotes of an attribute."""
    return html.escape(_CONTROLS.sub("", text))


def from_text(shown: str) -> str:
    """The text that `as_text` or `as_message` made HTML of."""
    return html.unescape(shown)


def sentence(error: UserError | str) -> str:
    """A message as a sentence: a capital first, unless a file's name is there; a full stop last."""
    text = str(error).strip()
    first = text.split(maxsplit=1)[0] if text else ""
    capital = text if "." in first or "/" in first else text[:1].upper() + text[1:]
    return capital + ("" if text.endswith((".", "!", "?")) else ".")


def plural(count: int, noun: str) -> str:
    """A number and its noun: "1 page", "2 pages"."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def stats_line(stats: Stats | None, dropped: int = 0, context: int | None = None) -> str:
    """The figures of an answer in one line; "" if there are none.

    Args:
        stats: of its generation.
        dropped: messages at the start of the conversation that the model did not see.
        context: tokens that the model can read.
    """
    parts = []
    if stats is not None:
        if stats.time_to_first_token_s is not None:
            parts.append(f"{stats.time_to_first_token_s:.2f} s to the first token")
        if stats.tokens_per_s is not None:
            parts.append(f"{stats.tokens_per_s:.0f} tokens/s")
        used = stats.prompt_tokens + stats.tokens
        parts.append(
            f"{used:,} of {context:,} tokens of context" if context else plural(used, "token")
        )
        if stats.finish == "length":
            parts.append("cut off at the length limit")
    if dropped:
        parts.append(f"the first {plural(dropped, 'message')} no longer fit and were left out")
    return " · ".join(parts)


def place(source: Source) -> str:
    """Where a passage stands: "report.pdf, page 3"."""
    return source.hit.document + (f", page {source.hit.page}" if source.hit.page else "")


def cited_line(sources: list[Source]) -> str:
    """Which passage an answer was taken from: "From [2] report.pdf, page 3"; "" if from none."""
    cited = [f"[{source.number}] {place(source)}" for source in sources if source.quote]
    return "From " + "; ".join(cited) if cited else ""


def unsupported_line(segments: Sequence[Segment]) -> str:
    """What of a free answer stands in none of its sources; "" if nothing."""
    pieces = [" ".join(segment.text.split()) for segment in segments if segment.unsupported]
    if not pieces:
        return ""
    shown = "”, “".join(pieces)
    shown = shown if len(shown) <= MAX_UNSUPPORTED else shown[:MAX_UNSUPPORTED] + "…"
    return f"not in the documents: “{shown}”"
