"""The engine runs many requests side by side in one thread, and each as if it were alone."""

import math
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from mlx_toy.backend import mx

import mlx.nn as nn
import pytest

from mlx_toy.chat import Message, render
from mlx_toy.engine import GREEDY, Engine, Generation, Sampling
from mlx_toy.errors import UserError
from mlx_toy.model import Model
from mlx_toy.tokenizer import Tokenizer
from mlx_toy.worker import JobCancelled

TEXTS = ["The chat format", "a token", "One model definition", "shards in, model out", "ids"]
NO_STOP: tuple[int, ...] = ()


@pytest.fixture(scope="module")
def engine(tiny_model_dir: Path) -> Iterator[Engine]:
    with Engine.load(tiny_model_dir) as engine:
        yield engine


def greedy(tokens: int) -> Sampling:
    return Sampling(temperature=0, top_p=1, top_k=0, repetition_penalty=1, max_tokens=tokens)


def prompt_of(engine: Engine, text: str) -> list[int]:
    return [engine.tokenizer.bos_id, *engine.tokenizer.encode(text)]


def tokens_of(generation: Generation) -> list[int]:
    return [chunk.token for chunk in generation]


def continue_greedily(model: Any, ids: list[int], tokens: int) -> list[int]:
    """The plainest decoding there is: no cache, one call of the model a token."""
    ids = list(ids)
    for _ in range(tokens):
        ids.append(int(mx.argmax(model(mx.array([ids]))[0, -1]).item()))
    return ids[-tokens:]


class Gate:
    """A logits processor that changes nothing and, at one call, waits until it is opened."""

    def __init__(self, after: int):
        self.after, self.calls = after, 0
        self.reached, self.open = threading.Event(), threading.Event()

    def __call__(self, tokens: mx.array, logits: mx.array) -> mx.array:
        self.calls += 1
        if self.calls == self.after:
            self.reached.set()
            assert self.open.wait(20)
        return logits


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


def test_score_is_the_summed_log_likelihood(engine: Engine, tiny_model: Model) -> None:
    texts = [prompt_of(engine, text * (i + 1)) for i, text in enumerate(TEXTS)]
    scores = engine.score(texts)
    assert engine.score([[engine.tokenizer.bos_id], *texts]) == [(0.0, 0), *scores]
    for ids, (nats, tokens) in zip(texts, scores, strict=True):
        losses = nn.losses.cross_entropy(tiny_model(mx.array([ids]))[0, :-1], mx.array(ids[1:]))
        assert tokens == len(ids) - 1
        assert math.isclose(nats, losses.sum().item(), rel_tol=1e-5, abs_tol=1e-6)


def test_score_reads_a_long_text_in_overlapping_windows(engine: Engine, tiny_model: Model) -> None:
    length = engine.context_length
    ids = prompt_of(engine, "of tokens and models " * 60)
    assert len(ids) > 2 * length
    expected, counted_to = 0.0, 1
    while counted_to < len(ids):
        end = min(len(ids), length if counted_to == 1 else counted_to + length // 2)
        window = ids[max(0, end - length) : end]
        logits = tiny_model(mx.array([window]))[0, :-1]
        losses = nn.losses.cross_entropy(logits, mx.array(window[1:]))
        expected += losses[-(end - counted_to) :].sum().item()
        counted_to = end
    [(nats, tokens)] = engine.score([ids])
    assert tokens == len(ids) - 1
    assert math.isclose(nats, expected, rel_tol=1e-5)


def test_a_function_runs_in_the_owner_thread(engine: Engine, tiny_model: Model) -> None:
    ids = mx.array([prompt_of(engine, TEXTS[0])])

    def logits(model: Any, tokenizer: Tokenizer) -> dict[str, Any]:
        return {"logits": [model(ids)], "thread": threading.current_thread().name}

    result = engine.run(logits)
    assert result["thread"] == "mlx-toy engine"
    assert mx.allclose(result["logits"][0], tiny_model(ids), atol=1e-4)


def test_a_generator_function_takes_turns(engine: Engine) -> None:
    generation = engine.generate(prompt_of(engine, "a"), greedy(5), NO_STOP)

    def wait_for_it(model: Any, tokenizer: Tokenizer) -> Iterator[None]:
        while generation.stats.finish is None:  # would never end if it had the thread to itself
            yield
        return "done"

    assert engine.run(wait_for_it) == "done"


def test_a_function_can_be_cancelled(engine: Engine) -> None:
    def endless(model: Any, tokenizer: Tokenizer) -> Iterator[None]:
        while True:
            yield

    job = engine.submit(endless)
    job.cancel()
    with pytest.raises(JobCancelled):
        job.result()
    assert engine.run(lambda model, tokenizer: 1) == 1


def test_two_engines_run_at_the_same_time(engine: Engine, tiny_model_dir: Path) -> None:
    sampling = Sampling(temperature=1, seed=3, max_tokens=30)

    def answers(engine: Engine) -> list[list[int]]:
        prompts = [prompt_of(engine, text) for text in TEXTS]
        return [tokens_of(engine.generate(prompt, sampling, NO_STOP)) for prompt in prompts]

    with Engine.load(tiny_model_dir) as other, ThreadPoolExecutor(2) as pool:
        assert list(pool.map(answers, [engine, other])) == [answers(engine)] * 2


def test_a_program_may_end_while_an_answer_is_made(tiny_model_dir: Path) -> None:
    code = (
        "import sys; from mlx_toy.engine import Engine\n"
        "engine = Engine.load(sys.argv[1])\n"
        "next(iter(answer := engine.generate([5], stop_ids=())))\n"
        "answer = engine.generate([5], stop_ids=())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tiny_model_dir)],
        cwd=Path(__file__).parent.parent,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_an_error_in_a_function_reaches_its_caller(engine: Engine) -> None:
    with pytest.raises(KeyError):
        engine.run(lambda model, tokenizer: {}["missing"])
    assert engine.run(lambda model, tokenizer: 1) == 1


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


def test_close_ends_requests_and_the_thread(tiny_model_dir: Path) -> None:
    engine = Engine.load(tiny_model_dir)
    gate = Gate(after=10)
    generation = engine.generate(prompt_of(engine, "a"), greedy(200), NO_STOP, [gate])
    assert gate.reached.wait(20)
    threading.Timer(0.05, gate.open.set).start()
    engine.close()
    assert len(tokens_of(generation)) < 20
    assert generation.stats.finish == "cancelled"
    with pytest.raises(RuntimeError, match="closed"):
        engine.generate([5])
    engine.close()  # once more does no harm


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("temperature", -1),
        ("top_p", 0),
        ("top_k", -1),
        ("repetition_penalty", 0),
        ("max_tokens", 0),
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
