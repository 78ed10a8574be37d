"""The engine runs many requests side by side in one thread, and each as if it were alone."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from mlx_toy.backend import mx

import pytest
from engine_fixtures import NO_STOP, TEXTS, Gate, greedy, prompt_of, tokens_of

from mlx_toy.chat import Message, render
from mlx_toy.engine import GREEDY, Engine, Sampling
from mlx_toy.errors import UserError
from mlx_toy.model import Model
from mlx_toy.tokenizer import Tokenizer


@pytest.fixture
def engine(tiny_engine: Engine) -> Engine:
    return tiny_engine


def continue_greedily(model: Any, ids: list[int], tokens: int) -> list[int]:
    """The plainest decoding there is: no cache, one call of the model a token."""
    ids = list(ids)
    for _ in range(tokens):
        ids.append(int(mx.argmax(model(mx.array([ids]))[0, -1]).item()))
    return ids[-tokens:]


def test_greedy_output_is_the_models_own(engine: Engine, tiny_model: Model) -> None:
    prompt = prompt_of(engine, TEXTS[0])
    generation = engine.generate(prompt, greedy(12), NO_STOP)
    assert tokens_of(generation) == continue_greedily(tiny_model, prompt, 12)
    stats = generation.stats
    assert (stats.prompt_tokens, stats.tokens, stats.finish) == (len(prompt), 12, "length")
    assert stats.time_to_first_token_s > 0 and stats.tokens_per_s > 0


def test_many_threads_get_the_same_output_as_one_alone(engine: Engine) -> None:
    def answer(text: str) -> list[int]:
        return tokens_of(engine.generate(prompt_of(engine, text), greedy(20), NO_STOP))

    alone = [answer(text) for text in TEXTS]
    with ThreadPoolExecutor(len(TEXTS) * 3) as pool:
        assert list(pool.map(answer, TEXTS * 3)) == alone * 3


def test_requests_take_turns(engine: Engine) -> None:
    prompt, both_wait, order = prompt_of(engine, "a"), threading.Event(), []

    def note(name: str) -> Callable[[mx.array, mx.array], mx.array]:
        def processor(tokens: mx.array, logits: mx.array) -> mx.array:
            assert both_wait.wait(20)
            order.append(name)
            return logits

        return processor

    first = engine.generate(prompt, greedy(6), NO_STOP, [note("first")])
    second = engine.generate(prompt, greedy(6), NO_STOP, [note("second")])
    both_wait.set()
    assert len(tokens_of(first)) == len(tokens_of(second)) == 6
    assert "fsfsfs" in "".join(name[0] for name in order)


def test_a_seed_gives_the_same_text_whatever_else_runs(engine: Engine) -> None:
    prompt = prompt_of(engine, TEXTS[0])
    sampling = Sampling(temperature=1.5, seed=7, max_tokens=20)
    alone = tokens_of(engine.generate(prompt, sampling, NO_STOP))
    others = [engine.generate(prompt, Sampling(seed=seed), NO_STOP) for seed in range(3)]
    assert tokens_of(engine.generate(prompt, sampling, NO_STOP)) == alone
    assert tokens_of(engine.generate(prompt, Sampling(seed=8, max_tokens=20), NO_STOP)) != alone
    for other in others:
        other.cancel()


def test_it_stops_at_a_stop_token_and_leaves_it_out(engine: Engine) -> None:
    prompt = prompt_of(engine, TEXTS[1])
    tokens = tokens_of(engine.generate(prompt, greedy(30), NO_STOP))
    stop = tokens[10]
    generation = engine.generate(prompt, greedy(30), {stop})
    assert tokens_of(generation) == tokens[: tokens.index(stop)]
    assert generation.stats.finish == "stop"


def test_chunks_hold_whole_characters(engine: Engine, tiny_tokenizer: Tokenizer) -> None:
    text = "naïve 🦜▁"
    forced = [*tiny_tokenizer.encode(text), tiny_tokenizer.end_id]
    prompt = prompt_of(engine, "say")

    def force(tokens: mx.array, logits: mx.array) -> mx.array:
        done = tokens.shape[0] - len(prompt)
        wanted = forced[min(done, len(forced) - 1)]
        return mx.where(mx.arange(logits.shape[-1]) == wanted, logits, -mx.inf)

    chunks = list(engine.generate(prompt, greedy(50), logits_processors=[force]))
    assert [chunk.token for chunk in chunks] == forced[:-1]
    assert "".join(chunk.text for chunk in chunks) == text
    assert all("\ufffd" not in chunk.text for chunk in chunks)
    assert all(chunk.logprob == 0 for chunk in chunks)  # nothing else was possible


def test_a_cancelled_request_stops_within_a_token(engine: Engine) -> None:
    gate = Gate(after=10)
    generation = engine.generate(prompt_of(engine, "a"), greedy(200), NO_STOP, [gate])
    assert gate.reached.wait(20)
    generation.cancel()
    gate.open.set()
    assert len(tokens_of(generation)) == 9  # the step under way is finished, no other begun
    assert generation.stats.finish == "cancelled"
    assert gate.calls == 10


def test_leaving_the_loop_cancels(engine: Engine) -> None:
    gate = Gate(after=10)
    generation = engine.generate(prompt_of(engine, "a"), greedy(200), NO_STOP, [gate])
    for _ in generation:
        break
    gate.open.set()
    list(generation)
    assert generation.stats.finish == "cancelled"


def test_an_error_ends_that_request_only(engine: Engine) -> None:
    prompt = prompt_of(engine, TEXTS[2])
    expected = tokens_of(engine.generate(prompt, greedy(20), NO_STOP))

    def fail(tokens: mx.array, logits: mx.array) -> mx.array:
        if tokens.shape[0] > len(prompt) + 3:
            raise ZeroDivisionError("in the processor")
        return logits

    good = engine.generate(prompt, greedy(20), NO_STOP)
    bad = engine.generate(prompt, greedy(20), NO_STOP, [fail])
    with pytest.raises(ZeroDivisionError, match="in the processor"):
        tokens_of(bad)
    assert bad.stats.finish == "error"
    assert tokens_of(good) == expected


def test_a_prompt_longer_than_the_context_is_refused(engine: Engine) -> None:
    with pytest.raises(UserError, match="256 tokens but this model reads at most 255"):
        engine.generate([5] * 256)
    generation = engine.generate([5] * 254, greedy(100), NO_STOP)
    assert len(tokens_of(generation)) == 2
    assert generation.stats.finish == "length"


@pytest.mark.parametrize("ids", [[], [400], [-1]])
def test_ids_that_the_model_does_not_have_are_refused(engine: Engine, ids: list[int]) -> None:
    with pytest.raises(ValueError, match="id"):
        engine.generate(ids)


def test_render_is_the_chat_format(engine: Engine, tiny_tokenizer: Tokenizer) -> None:
    messages: list[Message] = [{"role": "user", "content": "hi"}]
    assert engine.render(messages) == render(messages, tiny_tokenizer, True).ids


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("temperature", -1),
        ("top_p", 0),
        ("top_k", -1),
        ("repetition_penalty", 0),
        ("max_tokens", 0),
        ("temperature", float("nan")),
        ("temperature", 10**400),
        ("repetition_penalty", float("inf")),
        ("max_tokens", 1.5),
        ("top_k", 2.5),
        ("top_k", True),
        ("seed", 2**64),
        ("seed", "one"),
    ],
)
def test_settings_out_of_range_are_refused(field: str, value: float) -> None:
    with pytest.raises(UserError, match=field):
        Sampling(**{field: value})


def test_greedy_is_the_most_likely_token_without_penalty() -> None:
    assert (GREEDY.temperature, GREEDY.repetition_penalty) == (0, 1)


@pytest.mark.parametrize(
    "name", ["/nowhere/model", "./model", "model", "tests/no-such-model", "a b"]
)
def test_a_path_that_does_not_exist_is_one_sentence(name: str) -> None:
    with pytest.raises(UserError, match=r"no model at .*: give a model directory or a name"):
        Engine.load(name)
