"""Answers tied to their sources: what to ask the model, and where its answer stands.

The steps, in reading order: rank the sentences of the passages (`evidence.py`) and find the likely
answers in them (`reader.py`), fit the passages into the context, let the model copy what was found
(`span_grammar.py`), decide whether that is an answer (`confidence.py`), say which passages and
sentences it comes from, and check it (`answers.py`). In free mode the model writes what it likes,
and its words are looked up afterwards.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from mlx_toy.answers import (
    ABSTAINED,
    Answer,
    as_quoted,
    closest,
    make_answer,
    quote_at,
    segments,
    sentence_at,
    verify,
)
from mlx_toy.chat import NOT_IN_PASSAGES, Message, format_passages
from mlx_toy.choices import likely_first, likely_regions, region_of
from mlx_toy.confidence import Signals, decide, evidence_signals, with_model
from mlx_toy.embedder import Embedder, bundled_embedder
from mlx_toy.engine import GREEDY, Chunk, Engine, Generation, Sampling
from mlx_toy.evidence import Sentence, rank_sentences
from mlx_toy.passages import below_headings
from mlx_toy.reader import FoundSpan, bundled_reader
from mlx_toy.second_look import Standing, priors
from mlx_toy.span_grammar import ONE_SPAN, QUOTES, SpanGrammar
from mlx_toy.span_processor import SpanProcessor

__all__ = [
    "ABSTAINED",
    "Answer",
    "Plan",
    "answer_question",
    "conclude",
    "plan",
    "retriever_for",
    "sentence_at",
    "start_answer",
    "verify",
]

SENTENCES = 24  # that another model may copy from
MIN_EVIDENCE = 1.2  # score of a sentence under which a question points at none (see `evidence`)
LEAST_ODDS = 0.0  # of the reader's best span under which the passages do not answer, in nats
OWN_TOKENS, OTHER_TOKENS, FREE_TOKENS = 48, 240, 160  # room for an answer in the context
INSTRUCTION = (
    "Answer the question with words copied from the passages, each time followed by the number of "
    f"the passage, such as [1]. If the passages do not answer it, write: {NOT_IN_PASSAGES}"
)
FREE_INSTRUCTION = (
    "Answer the question from the passages. "
    f"If the passages do not answer it, write: {NOT_IN_PASSAGES}"
)


@dataclass(frozen=True)
class Plan:
    """How a question is put to the model; for one answer.

    Attributes:
        prompt_ids: the passages and the question, as the model reads them.
        passages: what may be cited, numbered from 1.
        ranked: their sentences, best first.
        signals: what is known before the model is asked.
        sampling: how the answer is chosen.
        processor: enforces what may be answered, and notes how sure it is; None in free mode.
        refused: the answer, where it is clear before the model is asked that there is none.
        may_be_withheld: whether what the model writes may turn out to be no answer.
    """

    prompt_ids: list[int]
    passages: list[str]
    ranked: list[Sentence]
    signals: Signals
    sampling: Sampling
    processor: SpanProcessor | None = None
    refused: Answer | None = None
    may_be_withheld: bool = False


def plan(
    engine: Engine,
    question: str,
    passages: Sequence[str],
    strict: bool = True,
    sampling: Sampling | None = None,
    embedder: Embedder | None = None,
    least_odds: float | None = None,
    query: str = "",
    headings: Sequence[str] = (),
    standings: Sequence[Standing] = (),
) -> Plan:
    """Prepare a question: rank sentences, fit the context, say what may be answered.

    Args:
        engine: whose context length and chat format count.
        question: as the user wrote it.
        passages: at least one, the most relevant first.
        strict: whether the answer may only consist of spans of the passages.
        sampling: of a free answer; the likeliest tokens if None, as always for a strict one.
        embedder: the retriever, for how near a sentence is; None does without.
        least_odds: of a span of the reader under which our own model is not let answer, in nats;
            None for the calibration's rule, or `LEAST_ODDS` without one.
        query: the question with what the conversation adds to it; the passages are read with it
            where the question's own words point at no sentence ("And when did it end?").
        headings: what stands above each passage. Its words are read with the passage, but nothing
            is copied from them.
        standings: what the search says of each passage; none where they were given. They count
            only where the passages are read with the question.

    Raises:
        UserError: the question alone is too long for the model.
    """
    asked = question
    if query and not any(
        sentence.score >= MIN_EVIDENCE for sentence in rank_sentences(question, passages)
    ):
        asked = query
    if asked != question:  # the passages were read with another question
        standings = ()
    ranked, found = find_spans(asked, passages, headings, standings)
    sampling = GREEDY if strict or sampling is None else sampling
    most = min(_longest_answer(engine, strict), sampling.max_tokens)
    prompt = _fit(engine, question, passages, headings, ranked, strict, most)
    near = _nearness(engine, asked, ranked, embedder, headings)
    signals = evidence_signals(asked, passages, ranked, near, found, headings, standings)
    sampling = replace(sampling, max_tokens=most)
    ready = Plan(prompt, list(passages), ranked, signals, sampling)
    if not strict:
        return ready
    if least_odds is None:
        least_odds = LEAST_ODDS if engine.calibration is None else -math.inf
    likely = [span for span in found if span.odds >= least_odds]
    grammar = _grammar(engine, passages, ranked, likely)
    refusal_id = engine.tokenizer.encode(NOT_IN_PASSAGES)[0]
    processor = SpanProcessor(grammar, len(prompt), refusal_id)
    return replace(
        ready,
        processor=processor,
        refused=_refused(engine, signals),
        may_be_withheld=engine.is_ours and engine.calibration is not None,
    )


def find_spans(
    question: str,
    passages: Sequence[str],
    headings: Sequence[str] = (),
    standings: Sequence[Standing] = (),
) -> tuple[list[Sentence], list[FoundSpan]]:
    """The sentences of the passages and the reader's spans in them, the likeliest to answer first.

    Args:
        question, passages, headings, standings: as in `plan`.
    """
    ranked = rank_sentences(question, passages, headings)
    beside = priors(question, passages, headings, standings)
    found = bundled_reader()(question, passages, headings, beside)
    return likely_first(ranked, found), found


def room_for_passages(engine: Engine, question: str, strict: bool) -> int:
    """Tokens that the passages of a prompt may have together, beside the question and an answer."""
    asked = len(engine.render(_messages(engine, question, [], strict)))
    return engine.context_length - _longest_answer(engine, strict) - asked


def _longest_answer(engine: Engine, strict: bool) -> int:
    most = OWN_TOKENS if engine.is_ours and strict else OTHER_TOKENS if strict else FREE_TOKENS
    return min(most, engine.context_length // 4)


def _refused(engine: Engine, signals: Signals) -> Answer | None:
    """The refusal, if the passages alone say enough; of our own model we ask how sure it is."""
    if engine.is_ours:
        return None
    decision, confidence = decide(engine.calibration, signals)
    return replace(ABSTAINED, confidence=confidence) if decision == "refuse" else None


def _nearness(
    engine: Engine,
    question: str,
    ranked: Sequence[Sentence],
    embedder: Embedder | None,
    headings: Sequence[str],
) -> float | None:
    """Cosine of the question and the best sentence, if it is the one that was calibrated."""
    wanted = engine.calibration and engine.calibration.embedder
    if embedder is None or embedder.fingerprint != wanted or not ranked:
        return None
    return nearness(embedder, question, below_heading(ranked[0], headings))


def retriever_for(engine: Engine) -> Embedder | None:
    """The bundled retriever, where the model's calibration wants to know how near a sentence is."""
    wanted = engine.calibration is not None and engine.calibration.embedder
    return bundled_embedder() if wanted else None


def below_heading(sentence: Sentence, headings: Sequence[str]) -> str:
    """A sentence as it is embedded: below what stands above its passage."""
    return below_headings(headings[sentence.passage] if headings else "", sentence.text)


def nearness(embedder: Embedder, question: str, sentence: str) -> float:
    """Cosine of the vectors of a question and of a sentence."""
    return float(embedder.embed_queries([question])[0] @ embedder.embed_passages([sentence])[0])


def _grammar(
    engine: Engine,
    passages: Sequence[str],
    ranked: Sequence[Sentence],
    found: Sequence[FoundSpan],
) -> SpanGrammar:
    if not engine.is_ours:
        regions = [region_of(sentence, passages) for sentence in ranked[:SENTENCES]]
        return SpanGrammar(engine.token_bytes, regions, may_refuse=True, form=QUOTES)
    regions = likely_regions(found, ranked, passages)
    # Whether to refuse is decided by the evidence: a small model refuses nearly everything,
    # because one fixed sentence is likelier than any one span.
    return SpanGrammar(engine.token_bytes, regions, may_refuse=not regions, form=ONE_SPAN)


def _messages(engine: Engine, question: str, shown: Sequence[str], strict: bool) -> list[Message]:
    messages: list[Message] = []
    if not engine.is_ours:  # ours has learned it
        messages.append({"role": "system", "content": INSTRUCTION if strict else FREE_INSTRUCTION})
    asked = question if engine.is_ours else None
    messages.append({"role": "context", "content": format_passages(shown, asked)})
    messages.append({"role": "user", "content": question})
    return messages


def _fit(
    engine: Engine,
    question: str,
    passages: Sequence[str],
    headings: Sequence[str],
    ranked: Sequence[Sentence],
    strict: bool,
    answer_tokens: int,
) -> list[int]:
    """The prompt with the passages, or what fits of them: then the best sentences, in order.

    Headings are left out where they do not fit.
    """
    budget = engine.context_length - answer_tokens
    tries = [passages]
    if any(headings):
        tries.insert(0, list(map(below_headings, headings, passages)))
    for shown in tries:
        prompt = engine.render(_messages(engine, question, shown, strict))
        if len(prompt) <= budget:
            return prompt
    left = budget - len(engine.render(_messages(engine, question, [], strict)))
    kept: list[Sentence] = []
    left -= 5 * len(passages)
    for sentence in ranked:
        tokens = len(engine.tokenizer.encode(sentence.text)) + 1
        if tokens <= left:
            kept.append(sentence)
            left -= tokens
    kept.sort(key=lambda sentence: (sentence.passage, sentence.start))
    shown = [
        " ".join(sentence.text for sentence in kept if sentence.passage == index)
        for index in range(len(passages))
    ]
    return engine.render(_messages(engine, question, shown, strict))


def start_answer(engine: Engine, question_plan: Plan) -> Generation:
    """Let the model answer: the tokens that the grammar allows, or any in free mode."""
    processors = [question_plan.processor] if question_plan.processor else []
    return engine.generate(
        question_plan.prompt_ids, question_plan.sampling, logits_processors=processors
    )


def conclude(engine: Engine, question_plan: Plan, chunks: Sequence[Chunk]) -> Answer:
    """Say what a finished answer is worth, and where it stands.

    Args:
        engine: the model that wrote it.
        question_plan: from `plan`.
        chunks: what it wrote.

    Raises:
        NotVerbatimError: the answer fails its own check, which would be a bug here.
    """
    if question_plan.processor is None:
        answer = _free_answer("".join(chunk.text for chunk in chunks), question_plan)
    else:
        answer = _strict_answer(engine, question_plan, question_plan.processor, chunks)
    verify(answer, question_plan.passages)
    return answer


def _strict_answer(
    engine: Engine, question_plan: Plan, processor: SpanProcessor, chunks: Sequence[Chunk]
) -> Answer:
    """The spans of an answer, or the sentence around them, or the refusal."""
    tokens = [chunk.token for chunk in chunks if chunk.token is not None]
    reading = processor.grammar.read(tokens)
    signals = signals_of(engine, question_plan, chunks)
    decision, confidence = decide(engine.calibration, signals)
    passages = question_plan.passages
    quotes = [quote_at(passages, span.number, span.start, span.end) for span in reading.spans]
    if decision == "refuse" or not quotes:
        return replace(ABSTAINED, confidence=confidence)
    if decision == "closest":
        return make_answer(closest(quotes[0]), quotes[:1], confidence=confidence)
    if reading.whole:
        text = b"".join(engine.token_bytes[token] for token in tokens).decode().strip()
    else:  # the room for an answer ended before it did
        text = "; ".join(f"{as_quoted(quote.text)} [{quote.number}]" for quote in quotes)
    return make_answer(text, quotes, confidence=confidence)


def signals_of(engine: Engine, question_plan: Plan, chunks: Sequence[Chunk]) -> Signals:
    """What speaks for a finished strict answer; of a model that is not ours, the evidence alone."""
    processor = question_plan.processor
    if not engine.is_ours or processor is None:
        return question_plan.signals
    chosen = [chunk.logprob for chunk in chunks if chunk.token is not None]
    refusal = processor.refusal_logprob
    return with_model(question_plan.signals, chosen, processor.logprobs, refusal)


def _free_answer(text: str, question_plan: Plan) -> Answer:
    """What the model wrote, with what the passages have of it."""
    text = text.strip()
    if not text or NOT_IN_PASSAGES.lower() in text.lower():
        return replace(ABSTAINED, strict=False)
    marked = segments(text, question_plan.passages)
    quotes = [
        quote_at(question_plan.passages, part.number, part.start, part.end)
        for part in marked
        if part.number is not None and part.start is not None and part.end is not None
    ]
    return make_answer(text, quotes, strict=False, marked=marked)


def answer_question(
    engine: Engine,
    question: str,
    passages: Sequence[str],
    strict: bool = True,
    sampling: Sampling | None = None,
    embedder: Embedder | None = None,
) -> Answer:
    """Answer a question from given passages and wait for the end of the answer.

    Args:
        engine, question, passages, strict, sampling, embedder: as in `plan`.

    Raises:
        UserError: the question is too long for the model.
    """
    question_plan = plan(engine, question, passages, strict, sampling, embedder)
    if question_plan.refused is not None:
        return question_plan.refused
    return conclude(engine, question_plan, list(start_answer(engine, question_plan)))
