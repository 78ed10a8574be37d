"""How a text falls into tokens, as HTML: pieces in colour, their ids and bytes, and the counts.

Pointing at a piece (or tapping it) shows its id and bytes in the line above; that is CSS alone.
"""

from collections.abc import Sequence
from typing import Literal

from mlx_toy.engine import Engine
from mlx_toy.messages import clean
from mlx_toy.pieces import Piece, pieces_of, runs
from mlx_toy.ui.markup import as_attribute, as_text, plural

COLOURS = 6  # of pieces, in turn; see `style.py`
MAX_SHOWN = 1_500  # tokens that are drawn
MAX_ROWS = 200  # tokens in the table
LINE_END = "⏎\n"

Reading = Literal["text", "message"]


def tokenizer_html(engine: Engine, text: str, reading: Reading = "text") -> str:
    """The tokens of a text.

    Args:
        engine: whose tokenizer.
        text: what was typed.
        reading: "text" by itself, or "message", the way it reaches the model in a conversation,
            where control tokens stand around it.
    """
    text = clean(text)
    if not text:
        return '<p class="empty">Type something above.</p>'
    ids = (
        engine.tokenizer.encode(text)
        if reading == "text"
        else engine.render([{"role": "user", "content": text}])
    )
    pieces = pieces_of(engine.tokenizer, ids)
    return (
        f'<div class="token-sheet">{_counts(text, pieces)}{_pieces(pieces)}'
        f"{_note(text, pieces)}{_ids(pieces)}{_table(pieces)}</div>"
    )


def _counts(text: str, pieces: Sequence[Piece]) -> str:
    size = len(text.encode())
    control = sum(piece.control for piece in pieces)
    figures = [
        (f"{len(pieces):,}", "tokens"),
        (f"{len(text):,}", "characters"),
        (f"{size:,}", "bytes"),
        (f"{size / max(1, len(pieces) - control):.2f}", "bytes per token"),
    ]
    if control:
        figures.insert(1, (f"{control:,}", "of them control tokens"))
    cells = "".join(f"<div><b>{value}</b><span>{name}</span></div>" for value, name in figures)
    return f'<div class="counts">{cells}</div>'


def _pieces(pieces: Sequence[Piece]) -> str:
    spans = []
    for place, (text, group) in enumerate(runs(pieces[:MAX_SHOWN])):
        kind = "control" if group[0].control else f"c{place % COLOURS}"
        shown = as_text(text.replace("\n", LINE_END)) or "∅"
        tip = as_attribute("   ".join(map(_tip, group)))
        spans.append(f'<span class="piece {kind}" tabindex="0" data-tip="{tip}">{shown}</span>')
    more = len(pieces) - MAX_SHOWN
    rest = f'<p class="empty">… and {plural(more, "more token")}</p>' if more > 0 else ""
    return f'<div class="pieces" dir="auto">{"".join(spans)}</div>{rest}'


def _tip(piece: Piece) -> str:
    what = "control token" if piece.control else f"{_hex(piece.data)} in UTF-8"
    return f"{piece.name} · id {piece.id} · {what}"


def _note(text: str, pieces: Sequence[Piece]) -> str:
    """What happens to control tokens that somebody types."""
    if "<|" not in text:
        return ""
    inside = any(piece.control for piece in pieces)
    also = " The outlined ones around it were put there by the program." if inside else ""
    return (
        '<p class="note">What looks like a control token in this text is read as ordinary '
        f"characters, so nobody can forge a turn of the conversation by typing one.{also}</p>"
    )


def _ids(pieces: Sequence[Piece]) -> str:
    ids = ", ".join(str(piece.id) for piece in pieces[:MAX_SHOWN])
    more = ", …" if len(pieces) > MAX_SHOWN else ""
    return f'<h3>What the model reads</h3><p class="ids">[{ids}{more}]</p>'


def _table(pieces: Sequence[Piece]) -> str:
    rows = "".join(
        f"<tr><td>{place}</td><td><code>{as_text(piece.name)}</code></td><td>{piece.id}</td>"
        f"<td><code>{_hex(piece.data) or 'control token'}</code></td></tr>"
        for place, piece in enumerate(pieces[:MAX_ROWS], start=1)
    )
    first = f" (the first {MAX_ROWS})" if len(pieces) > MAX_ROWS else ""
    return (
        f"<details><summary>Piece by piece{first}</summary><table>"
        f"<thead><tr><th>#</th><th>Piece</th><th>Id</th><th>Bytes</th></tr></thead>"
        f"<tbody>{rows}</tbody></table></details>"
    )


def _hex(data: bytes) -> str:
    return data.hex(" ").upper()
