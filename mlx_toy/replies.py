"""What a reply is made of: the text so far and the passages that it comes from."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from mlx_toy.answers import Answer, NotVerbatimError, Segment, is_closest, sentence_bounds
from mlx_toy.engine import Generation, Stats
from mlx_toy.exchanges import Exchange
from mlx_toy.library import Library
from mlx_toy.rows import Hit

MERGED = 8  # stored passages that a hit may reach over


@dataclass(frozen=True)
class Source:
    """A passage that was put before the model.

    Attributes:
        number: as cited, from 1.
        hit: the passage, its document, page and similarity.
        quote: the sentence that the answer stands in; None if the answer cites another passage.
        start, end: offsets of the quoted answer in the passage's text; None likewise.
        spans: offsets of every piece that the answer took from the passage, this one first.
    """

    number: int
    hit: Hit
    quote: str | None = None
    start: int | None = None
    end: int | None = None
    spans: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class Trace:
    """What a model read and wrote, for those who want to look at it token by token.

    Attributes:
        prompt_ids: the tokens of the prompt.
        answer_ids: the tokens of the answer.
    """

    prompt_ids: tuple[int, ...]
    answer_ids: tuple[int, ...] = ()

    def grown(self, token: int | None) -> "Trace":
        """With one more token of the answer, if there is one."""
        if token is None:
            return self
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
        query: what was looked up, where that is not just the question.
        segments: of a finished free answer, what stands in the sources and what does not.
        confidence: probability that the sources answer the question; None if it is not known.
        exchange: of a finished reply that was written beforehand, the one it is from.
    """

    text: str
    sources: list[Source] = field(default_factory=list)
    done: bool = False
    abstained: bool = False
    stats: Stats | None = None
    dropped: int = 0
    trace: Trace | None = None
    query: str | None = None
    segments: tuple[Segment, ...] = ()
    confidence: float | None = None
    exchange: Exchange | None = None


def stream(generation: Generation, dropped: int = 0) -> Iterator[Update]:
    """The updates of a generation that stands for itself."""
    text, trace = "", Trace(generation.prompt_ids)
    for chunk in generation:
        text, trace = text + chunk.text, trace.grown(chunk.token)
        yield Update(text, stats=generation.stats, dropped=dropped, trace=trace)
    yield Update(text, done=True, stats=generation.stats, dropped=dropped, trace=trace)


def with_quotes(sources: list[Source], answer: Answer) -> list[Source]:
    """The sources, the cited ones with what the answer took from them.

    Of the closest passage that is the whole sentence that is shown, not the words in it that the
    model guessed at and the answer leaves out.
    """
    whole = is_closest(answer)
    located = []
    for source in sources:
        quotes = [quote for quote in answer.quotes if quote.number == source.number]
        if quotes:
            spans = tuple(
                sentence_bounds(source.hit.text, quote.start) if whole else (quote.start, quote.end)
                for quote in quotes
            )
            start, end = spans[0]
            source = replace(source, quote=quotes[0].sentence, start=start, end=end, spans=spans)
        located.append(source)
    return located


def confirm(library: Library, workspace: str, sources: Sequence[Source], answer: Answer) -> None:
    """Read every quoted piece again in the stored document, at its offsets there.

    Raises:
        NotVerbatimError: the document has other words there.
    """
    for quote in answer.quotes:
        hit = sources[quote.number - 1].hit
        start, end = hit.start + quote.start, hit.start + quote.end
        last_passage = hit.passage + MERGED
        stored = library.passages(workspace, hit.document_id, hit.passage, last_passage)
        pieces = [
            (there, quote.text[first - start : last - start])
            for passage in stored
            if (first := max(start, passage.start)) < (last := min(end, passage.end))
            for there in [passage.text[first - passage.start : last - passage.start]]
        ]
        # A document that was removed meanwhile says nothing, neither for nor against.
        if stored and not (pieces and all(there == quoted for there, quoted in pieces)):
            raise NotVerbatimError(f"{quote.text!r} does not stand in {hit.document}")
