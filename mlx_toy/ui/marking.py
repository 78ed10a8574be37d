"""Text with places marked in it, as HTML: the words of an answer, and the sentences around them."""

from collections.abc import Iterator, Sequence
from itertools import groupby, pairwise

from mlx_toy.sentences import split_sentences
from mlx_toy.ui.markup import as_text

Span = tuple[int, int]  # offsets of the first character and after the last one


def sentences_around(text: str, spans: Sequence[Span]) -> list[Span]:
    """The sentences of a text in which spans stand."""
    return [
        (start, end)
        for start, end in split_sentences(text)
        if any(start < last and first < end for first, last in spans)
    ]


def marked_html(text: str, spans: Sequence[Span], sentences: Sequence[Span] = ()) -> str:
    """The text, the spans in `<mark>` and the sentences in `<span class="quote">`."""
    html = ""
    for quoted, pieces in groupby(_pieces(text, spans, sentences), key=lambda piece: piece[2]):
        inner = "".join(
            f"<mark>{as_text(piece)}</mark>" if marked else as_text(piece)
            for piece, marked, _ in pieces
        )
        html += f'<span class="quote">{inner}</span>' if quoted else inner
    return html


def _pieces(
    text: str, spans: Sequence[Span], sentences: Sequence[Span]
) -> Iterator[tuple[str, bool, bool]]:
    """The text in pieces: (piece, whether it is in a span, whether it is in a sentence)."""
    cuts = {0, len(text), *(cut for span in [*spans, *sentences] for cut in span)}
    for start, end in pairwise(sorted(cut for cut in cuts if 0 <= cut <= len(text))):
        is_in = [any(a <= start and end <= b for a, b in group) for group in (spans, sentences)]
        yield text[start:end], is_in[0], is_in[1]
