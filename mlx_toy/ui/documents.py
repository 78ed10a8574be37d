"""The page Documents, as HTML: what is being added, what is there, what a search finds and why."""

import math
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from mlx_toy.quota import Quota, size_line
from mlx_toy.rows import Hit, StoredDocument
from mlx_toy.ui.adding import Item
from mlx_toy.ui.markup import as_text, plural

MAX_ITEMS = 30  # that are listed one by one
LONG_WORD = 4  # letters of a word of the query that is marked; shorter ones stand everywhere
_ORDER = {"working": 0, "failed": 1, "stopped": 2, "added": 3, "waiting": 4}
_WORD = re.compile(r"\w+")


def items_html(items: Sequence[Item]) -> str:
    """How the documents on their way stand; of many, what needs attention comes first."""
    if not items:
        return ""
    shown = list(items)
    if len(shown) > MAX_ITEMS:
        shown = sorted(shown, key=lambda item: _ORDER[item.state])[:MAX_ITEMS]
    more = len(items) - len(shown)
    rest = f'<p class="empty">… and {plural(more, "more file")}</p>' if more else ""
    return f'<div class="items">{"".join(map(_item, shown))}{rest}</div>'


def _item(item: Item) -> str:
    bar = ""
    if item.state == "working":
        width = f'style="width:{item.part:.0%}"' if item.part is not None else 'class="unknown"'
        bar = f'<div class="track"><span {width}></span></div>'
    name = "" if item.name in item.line else f'<span class="name">{as_text(item.name)}</span> '
    return (
        f'<div class="item {item.state}">{name}'
        f'<span class="line">{as_text(item.line)}</span>{bar}</div>'
    )


def usage_html(documents: Sequence[StoredDocument], quota: Quota) -> str:
    """How much is there, of how much there may be."""
    passages = sum(document.passages for document in documents)
    size = sum(document.bytes for document in documents)
    part = max(passages / quota.passages, size / quota.bytes)
    full = " full" if part > 0.9 else ""
    return (
        f'<div class="usage{full}"><p>{plural(len(documents), "document")} · '
        f"{passages:,} of {quota.passages:,} passages · "
        f"{size_line(size)} of {size_line(quota.bytes)}</p>"
        f'<div class="track"><span style="width:{min(part, 1):.1%}"></span></div></div>'
    )


def document_html(document: StoredDocument, now: datetime | None = None) -> str:
    """A document in the list: its name, how much there is of it, since when."""
    facts = [
        *([plural(document.pages, "page")] if document.pages else []),
        plural(document.passages, "passage"),
        *([size_line(document.bytes)] if document.bytes else []),
        f"added {ago(document.added, now or datetime.now(UTC))}",
    ]
    notes = "".join(f'<span class="size">{as_text(note)}</span>' for note in document.notes)
    return (
        f'<span class="name">{as_text(document.name)}</span>'
        f'<span class="size">{as_text(" · ".join(facts))}</span>{notes}'
    )


def ago(moment: str, now: datetime) -> str:
    """How long ago a moment was (UTC, ISO 8601), or its date if that is long."""
    try:
        then = datetime.fromisoformat(moment)
    except ValueError:
        return "some time ago"
    seconds = (now - then).total_seconds()
    for limit, unit, noun in ((60, 0, ""), (3600, 60, "minute"), (86400, 3600, "hour")):
        if seconds < limit:
            return f"{plural(int(seconds // unit), noun)} ago" if unit else "just now"
    return f"on {then.day} {then:%B %Y}"


# --- search ---------------------------------------------------------------------------------------


def hits_html(hits: Sequence[Hit], query: str, is_near: Callable[[Hit], bool]) -> str:
    """What a search found, best first, with why each passage stands where it does.

    Args:
        hits: as the library gives them.
        query: whose words are marked.
        is_near: whether the chat takes a passage for near.
    """
    if not hits:
        return '<p class="empty">Nothing was found: are there documents yet?</p>'
    words = {word.lower() for word in _WORD.findall(query) if len(word) >= LONG_WORD}
    cards = "".join(
        _hit(place, hit, words, is_near(hit)) for place, hit in enumerate(hits, start=1)
    )
    return f'<div class="passages found">{cards}</div>'


def _hit(place: int, hit: Hit, words: set[str], is_near: bool) -> str:
    page = f'<span class="page">page {hit.page}</span>' if hit.page else ""
    heading = f'<p class="heading">{as_text(hit.heading)}</p>' if hit.heading else ""
    return (
        f'<article class="passage"><header><span class="number">{place}</span>'
        f'<span class="document">{as_text(hit.document)}</span>{page}</header>'
        f'{heading}<p class="text" dir="auto">{_marked(hit.text, words)}</p>'
        f'<footer class="why">{_why(hit, is_near)}</footer></article>'
    )


def _why(hit: Hit, is_near: bool) -> str:
    far = "" if is_near else ", too far to answer from"
    words = "" if hit.text_score is None else f" (BM25 {hit.text_score:.1f})"
    reasons = [
        ("by meaning", ordinal(hit.vector_rank)),
        ("similarity", f"{hit.similarity:.2f}{far}"),
        ("by words", ordinal(hit.text_rank) + words),
        ("both fused", f"{hit.score:.3f}")
        if hit.relevance is None
        else ("holds an answer, says the reranker", f"{hit.relevance:.0%}"),
    ]
    if hit.odds is not None:
        reasons.append(("says the reader", f"{1 / (1 + math.exp(-hit.odds)):.0%}"))
    if hit.nearness is not None:
        reasons.append(("nearest sentence", f"{hit.nearness:.2f}"))
    return "".join(f"<span>{name} <b>{value}</b></span>" for name, value in reasons)


def ordinal(rank: int | None) -> str:
    """A place in a list: "1st"; "not found" for none."""
    if rank is None:
        return "not found"
    ending = (
        "th" if rank % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(rank % 10, "th")
    )
    return f"{rank}{ending}"


def _marked(text: str, words: set[str]) -> str:
    """The text with the words of the query marked."""
    parts, end = [], 0
    for found in _WORD.finditer(text):
        if found.group().lower() in words:
            parts.append(
                f"{as_text(text[end : found.start()])}<mark>{as_text(found.group())}</mark>"
            )
            end = found.end()
    return "".join(parts) + as_text(text[end:])
