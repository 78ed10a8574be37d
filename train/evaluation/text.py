"""Row "text": how well a model foresees simple prose, in bits a byte."""

import math
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from train.evaluation.figure import Figure, ratio
from train.evaluation.subject import Score, Subject, held_out

SETS = ("simplewiki_public", "stories_public")
HOW = (
    "summed negative log-likelihood in bits over the bytes of the UTF-8 text, each document after "
    "the token that begins a text; long ones in windows that overlap by half"
)


def measure(subject: Subject) -> dict[str, Figure]:
    """Bits per byte of both sets."""
    return text_figures(subject.score, subject.data, subject.sizes.texts)


def text_figures(score: Score, data: Path, count: int) -> dict[str, Figure]:
    """Bits per byte by any function that scores texts."""
    figures = {}
    for name in SETS:
        texts = [record["text"] for record in islice(held_out(data, name), count)]
        figures[f"bits_per_byte.{name}"] = bits_per_byte(score(texts, name), texts)
    return figures


def bits_per_byte(nats: Sequence[float], texts: Sequence[str]) -> Figure:
    """Nats of texts to bits a byte."""
    bits = [value / math.log(2) for value in nats]
    return ratio(bits, [len(text.encode()) for text in texts], "documents", HOW)
