"""Train one tiny model and record what it reached; several at once make a sweep.

    python -m bench.ablations --text out/text.jsonl --work work    (a sweep of these)

Why: which recipe is better is a question for many short runs under one measure, not for opinions.
A run is described by an `Experiment`, uses the training code as it is, on one core, and ends in one
flat JSON record. A sweep gives each core a process, appends the records as they come and skips what
is recorded already, so Ctrl-C loses only the runs in progress.
"""

import argparse
import json
import math
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from mlx_toy.backend import cpu_count, mx

import numpy as np
from mlx.utils import tree_flatten

from bench import experiment_text
from bench.experiment_batches import held_out_batches, training_batches
from mlx_toy.errors import UserError
from mlx_toy.model import Model, ModelArgs
from train import records
from train.batches import MicroBatch
from train.initial import initial_weights
from train.lanes import Lanes, counted_targets
from train.optimizer import OptimizerSettings, initial_state, update
from train.presets import preset
from train.progress import say, step_flops
from train.schedule import WarmupStableDecay

ROOT = Path(__file__).parent.parent
WARMUP, DECAY = 0.05, 0.3  # of the steps


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """One run: all that decides its result, but for the text.

    Attributes:
        name: what the run is about; runs of one name differ by their seeds.
        hidden_size, layers: width, a multiple of 64, and depth.
        kv_heads: key and value heads.
        vocab_size: pieces of the tokenizer.
        window: tokens of a row.
        steps: of the optimizer.
        tokens_per_step: a multiple of `window`.
        optimizer: of the matrices of the blocks, "muon" or "adamw".
        qk_norm: whether queries and keys are normalised.
        curriculum: whether easy documents come first.
        zero_residual: whether the projections that write to the residual stream begin at zero.
        matrix_rate: peak rate for the matrices of the blocks.
        other_rate: peak rate for embedding and norms.
        seed: of the initial weights and of the draws.
    """

    name: str
    hidden_size: int = 128
    layers: int = 4
    kv_heads: int = 2
    vocab_size: int = 4096
    window: int = 256
    steps: int
    tokens_per_step: int = 2048
    optimizer: str = "muon"
    qk_norm: bool = False
    curriculum: bool = False
    zero_residual: bool = True
    matrix_rate: float = 0.02
    other_rate: float = 4e-3
    seed: int = 0

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> "Experiment":
        """The experiment that a record is of."""
        return cls(**{f.name: record[f.name] for f in fields(cls) if f.name in record})

    def model_args(self) -> ModelArgs:
        """The architecture, by the rules of the presets."""
        size = replace(
            preset("nano"),
            hidden_size=self.hidden_size,
            layers=self.layers,
            kv_heads=self.kv_heads,
            context=self.window,
        )
        model_type = "qwen3" if self.qk_norm else "llama"
        return replace(size.model_args(self.vocab_size), model_type=model_type)

    def flops_per_step(self) -> float:
        """Floating-point operations of a step, forward and backward."""
        row = np.zeros((1, self.window + 1), dtype=np.int32)
        batch = MicroBatch(row, np.ones((1, self.window), dtype=np.float32))
        rows = self.tokens_per_step // self.window
        args = self.model_args()
        return rows * step_flops(args, parameter_count(args), [batch])

    def with_flops(self, flops: float) -> "Experiment":
        """The same with as many steps as spend about so many operations."""
        return replace(self, steps=max(1, round(flops / self.flops_per_step())))


def parameter_count(args: ModelArgs) -> int:
    """Parameters of a model, the embedding once; nothing is computed."""
    return sum(array.size for _, array in tree_flatten(Model(args).parameters()))


def run(experiment: Experiment, text: Path, work: Path) -> dict[str, Any]:
    """Train one model, on one core.

    Args:
        experiment: what to train.
        text, work: as for `sweep`.

    Returns:
        The experiment's fields; `parameters`, `tokens`, `bytes_read` (UTF-8 bytes that the tokens
        stand for), `flops`, `bits_per_byte` of the held-out text, `seconds`, `text_sha256`.
    """
    began = time.perf_counter()
    data = experiment_text.load(text, work, experiment.vocab_size)
    args, steps = experiment.model_args(), experiment.steps
    schedule = WarmupStableDecay(steps, round(WARMUP * steps), round(DECAY * steps))
    rates = OptimizerSettings(
        experiment.matrix_rate, experiment.other_rate, matrices=experiment.optimizer
    )
    batches = training_batches(
        data,
        schedule,
        window=experiment.window,
        rows=experiment.tokens_per_step // experiment.window,
        seed=experiment.seed,
        curriculum=experiment.curriculum,
    )
    held_out = held_out_batches(data, experiment.window)
    weights = _initial_weights(experiment, args)
    state = initial_state(weights)
    tokens = bytes_read = 0
    with Lanes(args, lanes=1) as team:
        for step in range(steps):
            micro_batches = batches(step)
            gradients, _, counted = team.gradients(weights, micro_batches)
            weights, state, _ = update(weights, gradients, state, rates, step, schedule(step))
            mx.eval(weights, state)
            tokens += counted
            bytes_read += sum(int(data.bytes_of_id[b.tokens[:, 1:]].sum()) for b in micro_batches)
        nats = team.loss(weights, held_out) * counted_targets(held_out)
    return {
        **asdict(experiment),
        "parameters": sum(array.size for array in weights.values()),
        "tokens": tokens,
        "bytes_read": bytes_read,
        "flops": experiment.flops_per_step() * steps,
        "bits_per_byte": round(nats / math.log(2) / data.held_out_bytes, 5),
        "seconds": round(time.perf_counter() - began, 1),
        "text_sha256": data.sha256,
    }


def sweep(
    experiments: list[Experiment], text: Path, work: Path, results: Path, jobs: int | None = None
) -> list[dict[str, Any]]:
    """Run those experiments that `results` does not hold yet, several at once.

    Args:
        experiments: what to train.
        text: JSON lines of `{"text"}`.
        work: keeps tokenizers and token streams.
        results: JSON lines; each record is added when its run ends.
        jobs: processes; one a core when None.

    Returns:
        The records of all `experiments`, in their order.
    """
    text, work = text.absolute(), work.absolute()
    sha256 = experiment_text.prepare(text, work, sorted({e.vocab_size for e in experiments}))

    def recorded() -> dict[Experiment, dict[str, Any]]:
        found = [r for r in records.read(results) if r["text_sha256"] == sha256]
        return {Experiment.from_record(record): record for record in found}

    known = recorded()
    missing = [e for e in dict.fromkeys(experiments) if e not in known]
    results.parent.mkdir(parents=True, exist_ok=True)
    began = time.perf_counter()
    with ThreadPoolExecutor(jobs or cpu_count()) as pool:
        futures = [pool.submit(_run_in_process, e, text, work) for e in missing]
        try:
            for done, future in enumerate(as_completed(futures), 1):
                record = future.result()
                records.append(results, record)
                left = (time.perf_counter() - began) * (len(missing) - done) / done / 60
                say(
                    f"{done}/{len(missing)}  {record['name']}, seed {record['seed']}: "
                    f"{record['bits_per_byte']:.4f} bits per byte in {record['seconds']:.0f} s; "
                    f"about {left:.0f} min left"
                )
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    known = recorded()
    return [known[e] for e in experiments]


def add_arguments(parser: argparse.ArgumentParser, results: Path) -> None:
    """Add the flags of a command that runs a sweep; `results` is its default file."""
    parser.add_argument("--text", type=Path, help="JSON lines of {'text': …}")
    parser.add_argument("--work", type=Path, help="directory for tokenizers and token streams")
    parser.add_argument("--jobs", type=int, help="processes (default: one a core)")
    parser.add_argument("--results", type=Path, default=results, help="JSON lines (%(default)s)")
    parser.add_argument("--report", action="store_true", help="write the report without training")


def _run_in_process(experiment: Experiment, text: Path, work: Path) -> dict[str, Any]:
    """`run` in a process of its own, with one BLAS thread, which is read when MLX is loaded."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.experiment", str(text), str(work)],
        input=json.dumps(asdict(experiment)),
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode:
        raise UserError(f"the run {experiment.name!r} failed: its error stands above")
    return json.loads(done.stdout.splitlines()[-1])


def _initial_weights(experiment: Experiment, args: ModelArgs) -> dict[str, mx.array]:
    """As every run begins; without zeros, as in GPT-2: 1 / sqrt(fan-in * 2 * layers)."""
    weights = initial_weights(args, experiment.seed)
    if experiment.zero_residual:
        return weights
    key = mx.random.key(experiment.seed + 1_000_000)
    for name, array in weights.items():
        if name.endswith(("o_proj.weight", "down_proj.weight")):
            key, own = mx.random.split(key)
            scale = (array.shape[1] * 2 * experiment.layers) ** -0.5
            weights[name] = mx.random.normal(array.shape, key=own) * scale
    mx.eval(weights)
    return weights


def main() -> None:
    """Run the experiment that stands on standard input; print its record."""
    experiment = Experiment(**json.loads(sys.stdin.read()))
    print(json.dumps(run(experiment, *map(Path, sys.argv[1:]))))


if __name__ == "__main__":
    main()
