"""What an answer may be copied from: the words that the reader found, each in its sentence.

A language model chooses among `CHOICES` spans, each with the reader's log-probability as its prior.
One leaves it nothing to choose but whether to refuse.
"""

from collections.abc import Sequence
from dataclasses import replace

from mlx_toy.evidence import Sentence
from mlx_toy.reader import FoundSpan
from mlx_toy.regions import Choice, Region, collapse

CHOICES = 1


def region_of(sentence: Sentence, passages: Sequence[str]) -> Region:
    """The whole sentence as a place to copy from."""
    text, offsets = collapse(passages[sentence.passage], sentence.start, sentence.end)
    return Region(sentence.passage + 1, text, offsets)


def likely_first(ranked: Sequence[Sentence], found: Sequence[FoundSpan]) -> list[Sentence]:
    """Sentences that hold a found span, the likeliest span's first; then the others as they were.

    Args:
        ranked: sentences of the passages.
        found: spans of the same passages, the likeliest first.
    """
    places = {id(sentence): len(found) for sentence in ranked}
    for place, span in reversed(list(enumerate(found))):
        sentence = _around(span, ranked)
        if sentence is not None:
            places[id(sentence)] = place
    return sorted(ranked, key=lambda sentence: places[id(sentence)])


def likely_regions(
    found: Sequence[FoundSpan], ranked: Sequence[Sentence], passages: Sequence[str]
) -> list[Region]:
    """The likeliest spans in their sentences; of spans from one word only the likeliest.

    Args:
        found: the likeliest first.
        ranked: sentences of the passages.
        passages: their texts.
    """
    best: dict[tuple[int, int], FoundSpan] = {}
    for span in found:
        best.setdefault((span.passage, span.start), span)
    regions: dict[tuple[int, int], Region] = {}
    for span in list(best.values())[:CHOICES]:
        sentence = _around(span, ranked)
        if sentence is None:
            continue
        place = sentence.passage, sentence.start
        region = regions.get(place) or region_of(sentence, passages)
        start, last = region.offsets.index(span.start), region.offsets.index(span.end - 1)
        choice = Choice(start, last + 1, span.logprob)
        regions[place] = replace(region, choices=(*region.choices, choice))
    return list(regions.values())


def _around(span: FoundSpan, sentences: Sequence[Sentence]) -> Sentence | None:
    for sentence in sentences:
        within = sentence.start <= span.start and span.end <= sentence.end
        if sentence.passage == span.passage and within:
            return sentence
    return None
