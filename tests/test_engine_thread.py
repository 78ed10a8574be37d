"""The engine's thread scores texts, lends itself to functions, and ends cleanly."""

import math
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from mlx_toy.backend import mx

import mlx.nn as nn
import pytest
from engine_fixtures import NO_STOP, TEXTS, Gate, greedy, prompt_of, tokens_of

from mlx_toy.engine import Engine, Sampling
from mlx_toy.model import Model
from mlx_toy.tokenizer import Tokenizer
from mlx_toy.worker import JobCancelled


@pytest.fixture
def engine(tiny_engine: Engine) -> Engine:
    return tiny_engine


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
