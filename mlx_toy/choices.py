"""What an answer may be copied from: the spans of the best sentences that are likeliest to answer.

A language model chooses among `CHOICES` spans, each with the span scorer's log-probability as its
prior. One leaves it nothing to choose but whether to refuse: of a model of 3.4 million parameters,
the choice among more was worse than the scorer's own.
"""

from collections.abc import Sequence
from dataclasses import replace

from mlx_toy.evidence import Sentence
from mlx_toy.regions import Choice, Region, Span, collapse
from mlx_toy.span_scorer import SENTENCES, ScoredSpan, load_span_scorer

CHOICES = 1  # on 200 held-out questions F1 50.5; with three 49.6, with five 47.9


def region_of(sentence: Sentence, passages: Sequence[str]) -> Region:
    """The whole sentence as a place to copy from."""
    text, offsets = collapse(passages[sentence.passage], sentence.start, sentence.end)
    return Region(sentence.passage + 1, text, offsets)


def likely_regions(
    question: str, ranked: Sequence[Sentence], passages: Sequence[str]
) -> list[Region]:
    """The best sentences with their likeliest spans; of spans from one word only the likeliest.

    Args:
        question: as the user wrote it.
        ranked: sentences of the passages, the best first.
        passages: their texts.
    """
    ranked = ranked[:SENTENCES]
    regions = [region_of(sentence, passages) for sentence in ranked]
    texts = [replace(s, text=region.text) for s, region in zip(ranked, regions, strict=True)]
    best: dict[tuple[int, int], ScoredSpan] = {}
    for scored in load_span_scorer()(question, texts):
        best.setdefault((scored.sentence, scored.start), scored)
    choices: dict[int, list[Choice]] = {}
    for scored in list(best.values())[:CHOICES]:
        choice = Choice(scored.start, scored.end, scored.logprob)
        choices.setdefault(scored.sentence, []).append(choice)
    if not choices:  # nothing but common words: any will do
        return regions[:1]
    return [replace(regions[i], choices=tuple(found)) for i, found in choices.items()]


def prior_of(regions: Sequence[Region], span: Span) -> float | None:
    """The log-probability of a span before the model was asked; None if it was no choice."""
    for region in regions:
        for choice in region.choices:
            start, end = region.offsets[choice.start], region.offsets[choice.end - 1] + 1
            if (region.number, start, end) == (span.number, span.start, span.end):
                return choice.prior
    return None
