"""What happens when somebody has a text continued: samples side by side, and other ways to go on.

Generators of `View`s, one for each change of the page; `complete_tab.py` gives them to Gradio. The
samples are written one after the other. Once one is whole, every token of it is looked at again:
how likely it was, and which others were; any of those can be chosen, and the text goes on from it.
"""

import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from mlx_toy.assistant import Assistant, Update
from mlx_toy.engine import Engine
from mlx_toy.errors import UserError
from mlx_toy.replies import Trace
from mlx_toy.token_view import TokenDetail, token_details
from mlx_toy.ui.frames import frames
from mlx_toy.ui.loading import Loading
from mlx_toy.ui.markup import plural, sentence
from mlx_toy.ui.token_view import STEP_NAMES, STEPS, percent, visible

MAX_SAMPLES = 4
TAIL = 300  # characters of the beginning that are shown before each sample

Stopped = Callable[[], bool]
NO_TRACE = Trace(())


@dataclass(frozen=True)
class Dials:
    """What the visitor chose: temperature, most tokens that are added, and number of samples."""

    temperature: float
    max_tokens: int
    samples: int = 1


@dataclass(frozen=True)
class Sample:
    """A continuation.

    Attributes:
        beginning: the text that it continues.
        text: what was added so far.
        trace: the tokens of the beginning, and those that were added.
        details: of each token that was added; empty while it is being written.
        figures: the line below it.
    """

    beginning: str
    text: str = ""
    trace: Trace = NO_TRACE
    details: tuple[TokenDetail, ...] = ()
    figures: str = ""


@dataclass(frozen=True)
class View:
    """What the page shows now.

    Attributes:
        samples: side by side.
        busy: whether more is coming.
        warning: a sentence to be put before the visitor.
    """

    samples: list[Sample]
    busy: bool = True
    warning: str | None = None


def continue_text(
    loading: Loading, text: str, dials: Dials, stopped: Stopped = lambda: False
) -> Iterator[View]:
    """Continue a text with the base model, a few times."""
    count = min(max(dials.samples, 1), MAX_SAMPLES)
    if dials.temperature == 0 and count > 1:
        count = 1  # they would all be the same
    samples = [Sample(text) for _ in range(count)]

    def write(assistant: Assistant) -> Iterator[list[Sample]]:
        for place in range(count):
            for sample in _write(assistant, Sample(text), dials, stopped):
                samples[place] = sample
                yield samples
            if stopped():
                del samples[place + 1 :]  # which nobody has begun
                break

    yield from _guarded(loading, samples, write, stopped)


def continue_from(
    loading: Loading,
    samples: Sequence[Sample],
    chosen: int,
    position: int,
    token: int,
    dials: Dials,
    stopped: Stopped = lambda: False,
) -> Iterator[View]:
    """Put another token into a sample, and let the text go on from there.

    Args:
        loading: the assistant on its way.
        samples: as they stand.
        chosen: place of the sample that changes.
        position: of the token in it that is replaced; what followed it goes.
        token: the id that takes its place.
        dials: of which the temperature and the length count.
        stopped: whether the visitor pressed Stop.
    """
    samples = list(samples)
    before = samples[chosen]
    kept = before.trace.answer_ids[:position]
    stem = replace(before, trace=replace(before.trace, answer_ids=kept), details=(), figures="")

    def write(assistant: Assistant) -> Iterator[list[Sample]]:
        engine = assistant.base_engine
        if token in engine.stop_ids:  # it was chosen that the text ends here
            text, details = _text_of(engine, stem.trace), before.details[:position]
            figures = plural(len(kept), "token")
            samples[chosen] = replace(stem, text=text, details=details, figures=figures)
            yield samples
            return
        longer = replace(stem, trace=stem.trace.grown(token))
        for sample in _write(assistant, longer, dials, stopped):
            samples[chosen] = sample
            yield samples

    yield from _guarded(loading, samples, write, stopped)


def _guarded(
    loading: Loading,
    samples: list[Sample],
    write: Callable[[Assistant], Iterator[list[Sample]]],
    stopped: Stopped,
) -> Iterator[View]:
    """The samples as they are written; what goes wrong becomes a sentence."""
    warning = None
    before = list(samples)
    try:
        yield View(list(samples))
        for written in write(loading.get(stopped)):
            yield View(list(written))
    except UserError as error:
        warning = sentence(error)
    except Exception as error:  # a bug here must not leave the page waiting
        traceback.print_exc()
        warning = f"Something went wrong ({type(error).__name__}); the server's terminal says more."
    yield View(before if warning else list(samples), busy=False, warning=warning)


def _write(
    assistant: Assistant, sample: Sample, dials: Dials, stopped: Stopped
) -> Iterator[Sample]:
    """A sample as it grows from the tokens that it has, then once more with their details."""
    engine, kept = assistant.base_engine, sample.trace.answer_ids
    sampling = replace(
        assistant.sampling(), temperature=dials.temperature, max_tokens=dials.max_tokens
    )
    updates = assistant.complete(sample.beginning, sampling, kept)
    before = _text_of(engine, sample.trace)
    for update, last in frames(updates, stopped):
        if update.trace is not None:
            prompt = update.trace.prompt_ids[: len(update.trace.prompt_ids) - len(kept)]
            sample = replace(sample, trace=Trace(prompt, (*kept, *update.trace.answer_ids)))
        if last:  # all at once, for a character may begin in what was kept and end in what is new
            text = _text_of(engine, sample.trace)
            sample = replace(sample, text=text, figures=_figures(update, sample))
        else:
            sample = replace(sample, text=before + update.text)
        yield sample
    if sample.trace.answer_ids:
        details = token_details(engine, sample.trace.prompt_ids, sample.trace.answer_ids)
        yield replace(sample, details=tuple(details))


def _text_of(engine: Engine, trace: Trace) -> str:
    """The text of the tokens behind the prompt."""
    if not trace.answer_ids:
        return ""
    decode = engine.tokenizer.decode
    return decode([*trace.prompt_ids, *trace.answer_ids])[len(decode(trace.prompt_ids)) :]


def _figures(update: Update, sample: Sample) -> str:
    """The line below a sample."""
    parts = [plural(len(sample.trace.answer_ids), "token")]
    if update.stats is not None and update.stats.tokens_per_s is not None:
        parts.append(f"{update.stats.tokens_per_s:.0f} tokens/s")
    if update.stats is not None and update.stats.finish == "length":
        parts.append("cut off at the length chosen")
    if not update.done:
        parts.append("stopped")
    return " · ".join(parts)


# --- what is shown --------------------------------------------------------------------------------


def highlighted(sample: Sample) -> list[tuple[str, str | None]]:
    """A sample for `gr.HighlightedText`: the end of its beginning, then each token by its odds."""
    beginning = sample.beginning.rstrip()
    shown = beginning if len(beginning) <= TAIL else "…" + beginning[-TAIL:]
    if not sample.details:
        return [(shown, None), (sample.text, None)]
    return [(shown, None), *((detail.text, odds(detail)) for detail in sample.details)]


def odds(detail: TokenDetail) -> str | None:
    """The name of the range of a token's probability; None where it was hardly a choice."""
    step = sum(detail.probability < limit for limit in STEPS)
    return STEP_NAMES[step] if step else None


def alternatives(detail: TokenDetail) -> list[tuple[str, int]]:
    """The likeliest tokens instead of one: a line for people, and the id."""
    return [
        (f"{visible(other.text)}  {percent(other.probability)}", other.id)
        for other in detail.alternatives
    ]


def position_line(sample: Sample, position: int) -> str:
    """What the page says of a token that was clicked."""
    detail = sample.details[position]
    return (
        f"{visible(detail.text)} had {percent(detail.probability)} and was "
        f"{'the first choice' if detail.rank == 1 else f'choice {detail.rank:,}'}. "
        f"The model hesitated as if between {2**detail.entropy_bits:,.0f} equally likely tokens. "
        "Choose another, and the text goes on from there."
    )
