"""What a reply is made of: the text so far and the passages that it comes from."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from mlx_toy.engine import Generation, Stats
from mlx_toy.grounding import Answer
from mlx_toy.rows import Hit


@dataclass(frozen=True)
class Source:
    """A passage that was put before the model.

    Attributes:
        number: as cited, from 1.
        hit: the passage, its document, page and similarity.
        quote: the sentence that the answer stands in; None if the answer cites another passage.
        start, end: offsets of the quoted answer in the passage's text; None likewise.
    """

    number: int
    hit: Hit
    quote: str | None = None
    start: int | None = None
    end: int | None = None


@dataclass(frozen=True)
class Trace:
    """What a model read and wrote, for those who want to look at it token by token.

    Attributes:
        prompt_ids: the tokens of the prompt.
        answer_ids: the tokens of the answer.
    """

    prompt_ids: tuple[int, ...]
    answer_ids: tuple[int, ...] = ()

    def grown(self, token: int) -> "Trace":
        """With one more token of the answer."""
        return replace(self, answer_ids=(*self.answer_ids, token))


@dataclass(frozen=True)
class Update:
    """A reply so far.

    Attributes:
        text: everything written so far.
        sources: the passages that were used, in the order of their numbers.
        done: whether this is the last update.
        abstained: whether the documents do not answer.
        stats: figures of the generation; None if the model was not asked.
        dropped: turns at the start of the conversation that no longer fit.
        trace: the tokens behind the text; None if the model was not asked.
    """

    text: str
    sources: list[Source] = field(default_factory=list)
    done: bool = False
    abstained: bool = False
    stats: Stats | None = None
    dropped: int = 0
    trace: Trace | None = None


def stream(generation: Generation, dropped: int = 0) -> Iterator[Update]:
    """The updates of a generation that stands for itself."""
    text, trace = "", Trace(generation.prompt_ids)
    for chunk in generation:
        text, trace = text + chunk.text, trace.grown(chunk.token)
        yield Update(text, stats=generation.stats, dropped=dropped, trace=trace)
    yield Update(text, done=True, stats=generation.stats, dropped=dropped, trace=trace)


def with_quote(sources: list[Source], answer: Answer) -> list[Source]:
    """The sources, the cited one with its quote and the place of the answer."""
    return [
        replace(source, quote=answer.quote, start=answer.start, end=answer.end)
        if source.number in answer.citations
        else source
        for source in sources
    ]
