"""Answers tied to their sources: what to ask the model, and where its answer stands.

The steps, in reading order: rank the sentences of the passages (`evidence.py`), fit the passages
into the context, let the model choose a span of the best sentences (`span_grammar.py`), and say
which passage and which sentence the answer comes from. A model that is not ours writes freely; its
answer is then looked up in the passages.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from mlx_toy.chat import NOT_IN_PASSAGES, Message, format_passages
from mlx_toy.engine import GREEDY, Engine, Generation
from mlx_toy.evidence import Sentence, answer_places, rank_sentences
from mlx_toy.sentences import split_sentences
from mlx_toy.span_grammar import Region, Span, SpanGrammar, SpanProcessor, collapse

FOCUS = 1  # sentences that an answer may be copied from; more made a small model choose worse
MIN_EVIDENCE = 1.2  # score of a sentence under which the passages do not answer (see `evidence`)
ANSWER_TOKENS = 48  # room for an answer in the context


@dataclass(frozen=True)
class Answer:
    """An answer and where it comes from.

    Attributes:
        answer: what the reader sees.
        span: the shortest verbatim piece of a passage that answers; None when abstained.
        quote: the sentence of the passage that it stands in; None when abstained.
        abstained: whether the passages do not answer.
        citations: numbers of the passages, from 1.
        start, end: offsets of the span in the cited passage; None when abstained.
    """

    answer: str
    span: str | None
    quote: str | None
    abstained: bool
    citations: list[int]
    start: int | None = None
    end: int | None = None


ABSTAINED = Answer(NOT_IN_PASSAGES, None, None, True, [])


@dataclass(frozen=True)
class Plan:
    """How a question is put to the model.

    Attributes:
        prompt_ids: the context turn and the question, as the model reads them.
        grammar: what our own model may answer; None for another model.
        ranked: the sentences of the passages, best first.
    """

    prompt_ids: list[int]
    grammar: SpanGrammar | None
    ranked: list[Sentence]


def plan(engine: Engine, question: str, passages: Sequence[str]) -> Plan:
    """Prepare a question: rank sentences, fit the context, say what may be answered.

    Args:
        engine: whose context length and chat format count.
        question: as the user wrote it.
        passages: at least one, the most relevant first.

    Raises:
        UserError: the question alone is too long for the model.
    """
    ranked = rank_sentences(question, passages)
    shown = _fit(engine, question, passages, ranked)
    messages: list[Message] = [
        {"role": "context", "content": format_passages(shown)},
        {"role": "user", "content": question},
    ]
    grammar = None
    if engine.is_ours:
        regions = [
            _region(question, sentence, passages[sentence.passage])
            for sentence in ranked[:FOCUS]
            if sentence.score >= MIN_EVIDENCE
        ]
        # Whether to refuse is decided by the evidence: a small model refuses nearly everything,
        # because one fixed sentence is likelier than any one span.
        grammar = SpanGrammar(engine.tokenizer, regions, may_refuse=not regions)
    return Plan(engine.render(messages), grammar, ranked)


def _region(question: str, sentence: Sentence, passage: str) -> Region:
    text, offsets = collapse(passage, sentence.start, sentence.end)
    return Region(sentence.passage + 1, text, offsets, answer_places(question, text))


def _fit(
    engine: Engine, question: str, passages: Sequence[str], ranked: Sequence[Sentence]
) -> list[str]:
    """The passages, or what fits of them: then the best sentences, in their order."""
    count = len(engine.render([{"role": "user", "content": question}]))
    budget = engine.context_length - count - ANSWER_TOKENS
    cost = 6 + sum(len(engine.tokenizer.encode(passage)) + 5 for passage in passages)
    if cost <= budget:
        return list(passages)
    kept: list[Sentence] = []
    left = budget - 6 - 5 * len(passages)
    for sentence in ranked:
        tokens = len(engine.tokenizer.encode(sentence.text)) + 1
        if tokens <= left:
            kept.append(sentence)
            left -= tokens
    kept.sort(key=lambda sentence: (sentence.passage, sentence.start))
    return [
        " ".join(sentence.text for sentence in kept if sentence.passage == index)
        for index in range(len(passages))
    ]


def conclude(
    question_plan: Plan, passages: Sequence[str], text: str, tokens: Sequence[int]
) -> Answer:
    """Say where a finished answer stands.

    Args:
        question_plan: from `plan`.
        passages: the same as there.
        text: what the model wrote.
        tokens: its ids.
    """
    if question_plan.grammar is not None:
        span = question_plan.grammar.span(tokens)
    else:
        span = _look_up(text, passages, question_plan.ranked)
    if span is None:
        return ABSTAINED
    passage = passages[span.number - 1]
    copied = passage[span.start : span.end]
    if question_plan.grammar is not None:  # whole, also where the room for an answer ended
        text = f"{' '.join(copied.split())} [{span.number}]"
    return Answer(
        answer=text.strip(),
        span=copied,
        quote=sentence_at(passage, span.start),
        abstained=False,
        citations=[span.number],
        start=span.start,
        end=span.end,
    )


def start_answer(engine: Engine, question_plan: Plan) -> Generation:
    """Let the model answer: the likeliest tokens, and only those that the grammar allows."""
    prompt = question_plan.prompt_ids
    processors = []
    if question_plan.grammar is not None:
        processors.append(SpanProcessor(question_plan.grammar, len(prompt)))
    greedy = replace(GREEDY, max_tokens=ANSWER_TOKENS)
    return engine.generate(prompt, greedy, logits_processors=processors)


def answer_question(engine: Engine, question: str, passages: Sequence[str]) -> Answer:
    """Answer a question from given passages and wait for the end of the answer.

    Raises:
        UserError: the question is too long for the model.
    """
    question_plan = plan(engine, question, passages)
    chunks = list(start_answer(engine, question_plan))
    text = "".join(chunk.text for chunk in chunks)
    return conclude(question_plan, passages, text, [chunk.token for chunk in chunks])


def sentence_at(passage: str, offset: int) -> str:
    """The sentence of a passage that holds the character at `offset`."""
    for start, end in split_sentences(passage):
        if start <= offset < end:
            return passage[start:end]
    return passage.strip()


def _look_up(text: str, passages: Sequence[str], ranked: Sequence[Sentence]) -> Span | None:
    """The place of a free answer: its words where a passage has them, else the best sentence."""
    if not text.strip() or NOT_IN_PASSAGES.lower() in text.lower():
        return None
    words = re.sub(r"\s*\[\d+\]", "", text).strip().strip(".").split()
    pattern = r"(?<!\w)" + r"\s+".join(map(re.escape, words)) + r"(?!\w)"
    for number, passage in enumerate(passages, start=1):
        if words and (found := re.search(pattern, passage, re.IGNORECASE)):
            return Span(number, found.start(), found.end())
    best = ranked[0] if ranked else None
    return Span(best.passage + 1, best.start, best.end) if best else None
