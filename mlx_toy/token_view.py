"""An answer token by token: how sure the model was, what else it thought of, where it looked.

    for detail in token_details(engine, prompt_ids, answer_ids, passage_tokens(engine, prompt_ids)):
        print(detail.text, detail.probability, detail.attention)

Probabilities are the model's own: before the temperature, and before the grammar that holds answers
to their passages. So a token of low rank in such an answer was not the model's first thought but
the likeliest that a passage allowed.
"""

import math
import re
from collections.abc import Collection, Generator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

from mlx_toy.backend import mx

import numpy as np

from mlx_toy.attention_view import attention_share_steps
from mlx_toy.engine import Engine
from mlx_toy.errors import UserError
from mlx_toy.generation import PREFILL_TOKENS
from mlx_toy.worker import Job

ALTERNATIVES = 10
CHUNK_LOGITS = 2**22  # logits that are looked at together at most: 17 MB in float32
MIN_COPIED_WORDS = 2  # in a row: single words stand in any passage

_CITATION = re.compile(r"\[\d+\]")
_WORD = re.compile(r"\w+")


class PassageTokens(NamedTuple):
    """Where a passage stands in a prompt: tokens `start` to `end` are passage `number` (from 1)."""

    number: int
    start: int
    end: int


class Alternative(NamedTuple):
    """A token that might have come, and its probability."""

    text: str
    id: int
    probability: float


@dataclass(frozen=True)
class TokenDetail:
    """A token of an answer, and what the model thought when it wrote it.

    Attributes:
        text: for people: control tokens and parts of a character by name.
        id: its id.
        probability: its own.
        rank: 1 if it was the likeliest.
        entropy_bits: of the whole distribution: 0 if only one token was possible.
        alternatives: the ten likeliest tokens, itself among them if it was one, likeliest first.
        attention: for each passage (number, share from 0 to 1) of the attention that the position
            which gives this token pays to the passage, by the head that pays it most (see
            `attention_view.py`). Empty without passages and for models that are not ours.
    """

    text: str
    id: int
    probability: float
    rank: int
    entropy_bits: float
    alternatives: list[Alternative]
    attention: list[tuple[int, float]]


def token_details(
    engine: Engine,
    prompt_ids: Sequence[int],
    answer_ids: Sequence[int],
    passages: Sequence[tuple[int, int, int]] = (),
) -> list[TokenDetail]:
    """Look at every token of an answer; waits for the result, and an interrupted wait cancels.

    Args:
        engine: whose model wrote it.
        prompt_ids: what it read.
        answer_ids: what it wrote.
        passages: (number, start, end) of each passage in the prompt, see `passage_tokens`.

    Raises:
        UserError: prompt and answer together do not fit the model's context.
    """
    return submit_token_details(engine, prompt_ids, answer_ids, passages).result()


def submit_token_details(
    engine: Engine,
    prompt_ids: Sequence[int],
    answer_ids: Sequence[int],
    passages: Sequence[tuple[int, int, int]] = (),
) -> Job[list[TokenDetail]]:
    """`token_details` as a job, with `result()` and `cancel()`.

    Raises:
        UserError: as there.
        ValueError: no prompt, an id that the tokenizer does not have, or a passage outside.
    """
    ids = [*prompt_ids, *answer_ids]
    if not prompt_ids or min(ids) < 0 or max(ids) >= engine.tokenizer.vocab_size:
        raise ValueError("give a prompt, and ids of the model's own tokenizer only")
    if any(not 0 <= start <= end <= len(prompt_ids) for _, start, end in passages):
        raise ValueError(f"a passage outside of the {len(prompt_ids)} tokens of the prompt")
    if len(ids) > engine.context_length:
        raise UserError(
            f"prompt and answer have {len(ids)} tokens but this model reads at most "
            f"{engine.context_length}: look at a shorter answer"
        )
    asked = list(passages) if engine.is_ours else []

    def look(model: Any, tokenizer: Any) -> Generator[None, None, list[TokenDetail]]:
        details = yield from _detail_steps(model, tokenizer, ids, len(prompt_ids), asked)
        return details

    return engine.submit(look)


def passage_tokens(engine: Engine, prompt_ids: Sequence[int]) -> list[PassageTokens]:
    """Where the numbered passages stand in a prompt of our chat format; none for other models."""
    tokenizer = engine.tokenizer
    if not engine.is_ours or tokenizer.context_id not in prompt_ids:
        return []
    begin = len(prompt_ids) - list(reversed(prompt_ids)).index(tokenizer.context_id)
    end = list(prompt_ids).index(tokenizer.end_id, begin)
    # The question, then one passage a line (`chat.format_passages`), whatever tokens spell a number
    breaks = [i + 1 for i in range(begin, end) if b"\n" in tokenizer.token_bytes(prompt_ids[i])]
    edges = [*breaks, end]
    return [PassageTokens(number, *edge) for number, edge in enumerate(pairwise(edges), start=1)]


def copied_from(
    pieces: Sequence[str], passages: Sequence[str], preferred: Collection[int] = ()
) -> list[int | None]:
    """Which passage each piece of an answer stands in word for word, by its text alone.

    The longest run of words that a passage has, from the left, is taken to be copied from it.

    Args:
        pieces: of the answer, such as the texts of its tokens; joined, they are the answer.
        passages: their texts; the first is number 1.
        preferred: numbers of the passages that the answer cites; they win where several have a run.

    Returns:
        For each piece the number of a passage, or None.
    """
    text = "".join(pieces)
    shown = _CITATION.sub(lambda found: " " * len(found.group()), text)
    words = list(_WORD.finditer(shown))
    order = sorted(range(1, len(passages) + 1), key=lambda number: number not in preferred)
    spelled = [f" {' '.join(_WORD.findall(passages[number - 1].lower()))} " for number in order]
    numbers: list[int | None] = [None] * len(text)
    needed = min(MIN_COPIED_WORDS, len(words))
    at = 0
    while at < len(words):
        length, number = _longest_run([word.group().lower() for word in words[at:]], spelled)
        if length >= needed:
            start, end = words[at].start(), words[at + length - 1].end()
            numbers[start:end] = [order[number]] * (end - start)
        at += max(1, length)
    found: list[int | None] = []
    place = 0
    for piece in pieces:
        mine = [number for number in numbers[place : place + len(piece)] if number is not None]
        found.append(mine[-1] if mine else None)
        place += len(piece)
    return found


def _longest_run(words: Sequence[str], texts: Sequence[str]) -> tuple[int, int]:
    """How many of the first words stand together in a text, and in which; (0, 0) if none does."""
    best, where = 0, 0
    for index, text in enumerate(texts):
        while best < len(words) and f" {' '.join(words[: best + 1])} " in text:
            best, where = best + 1, index
    return best, where


def _detail_steps(
    model: Any,
    tokenizer: Any,
    ids: Sequence[int],
    prompt_length: int,
    passages: Sequence[tuple[int, int, int]],
) -> Generator[None, None, list[TokenDetail]]:
    """The details of the tokens behind the prompt; pauses after each piece of work."""
    answer = ids[prompt_length:]
    if not answer:
        return []
    shares = np.zeros((len(answer), 0))
    if passages:
        first = prompt_length - 1  # the position that gives the first token of the answer
        stretches = [(start, end) for _, start, end in passages]
        shares = yield from attention_share_steps(model, ids[:-1], first, stretches)
    details: list[TokenDetail] = []
    names: dict[int, str] = {}
    steps = _log_probability_steps(model, ids, prompt_length)
    for start, log_probabilities in steps:
        for row, values in enumerate(log_probabilities):
            place = start + row
            share = zip((number for number, _, _ in passages), shares[place].tolist(), strict=True)
            details.append(_detail(tokenizer, names, answer[place], values, list(share)))
        yield
    return details


def _log_probability_steps(
    model: Any, ids: Sequence[int], prompt_length: int
) -> Generator[tuple[int, np.ndarray], None, None]:
    """For each token behind the prompt the distribution that it was taken from.

    Yields:
        (place of the first of some tokens in the answer, log-probabilities [N, V]).
    """
    from mlx_lm.models.cache import make_prompt_cache

    cache = make_prompt_cache(model)
    read = mx.array(list(ids[:-1]))
    first = prompt_length - 1
    for start in range(0, first, PREFILL_TOKENS):
        model(read[start : min(start + PREFILL_TOKENS, first)][None], cache=cache)
        mx.eval([layer.state for layer in cache])
        yield 0, np.zeros((0, 0))
    at, size = first, 1  # the first chunk is one token: it shows how many logits a token has
    while at < len(ids) - 1:
        logits = model(read[at : at + size][None], cache=cache)[0].astype(mx.float32)
        yield at - first, np.array(logits - mx.logsumexp(logits, axis=-1, keepdims=True))
        at += size
        size = max(1, min(PREFILL_TOKENS, CHUNK_LOGITS // logits.shape[-1]))


def _detail(
    tokenizer: Any,
    names: dict[int, str],
    token: int,
    log_probabilities: np.ndarray,
    attention: list[tuple[int, float]],
) -> TokenDetail:
    """One token; `names` remembers texts, `log_probabilities` are [V]."""

    def name(token_id: int) -> str:
        if token_id not in names:
            names[token_id] = tokenizer.token_text(token_id)
        return names[token_id]

    probabilities = np.exp(log_probabilities)
    known = log_probabilities[: tokenizer.vocab_size]  # an embedding may be padded with more rows
    likeliest = np.argsort(-known, kind="stable")[:ALTERNATIVES].tolist()
    possible = probabilities > 0
    nats = -float((probabilities[possible] * log_probabilities[possible]).sum())
    return TokenDetail(
        text=name(token),
        id=token,
        probability=float(probabilities[token]),
        rank=1 + int((known > known[token]).sum()),
        entropy_bits=max(0.0, nats / math.log(2)),
        alternatives=[Alternative(name(i), i, float(probabilities[i])) for i in likeliest],
        attention=attention,
    )
