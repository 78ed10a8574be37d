"""The training loop, one for every stage.

A step is: read the micro-batches, sum their gradients over the lanes, update. Around it: progress
with loss, tokens/s and time left; metrics as JSON lines; validation in bits per byte; checkpoints
that are saved before anything else is done with the weights. Ctrl-C saves and says how to go on.
"""

import json
import math
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from mlx_toy.backend import mx

from mlx.utils import tree_flatten

from mlx_toy.errors import UserError
from mlx_toy.model import Model, ModelArgs
from train import checkpoints
from train.batches import Batches, MicroBatch
from train.checkpoints import Checkpoint
from train.lanes import Lanes
from train.optimizer import OptimizerSettings, initial_state, update
from train.schedule import WarmupStableDecay

METRICS_FILE = "metrics.jsonl"
CHECKPOINTS = "checkpoints"
EMBEDDING_SCALE = 0.02


@dataclass(frozen=True)
class RunSettings:
    """One run of one stage.

    Attributes:
        run: directory of the run: checkpoints, metrics, plot.
        model: the architecture.
        schedule: of the rates.
        optimizer: peak rates and constants.
        seed: of the initial weights.
        checkpoint_every: steps between checkpoints and validations.
        report_every: steps between progress lines.
        facts: what to remember with every checkpoint (stage, preset, shards).
    """

    run: Path
    model: ModelArgs
    schedule: WarmupStableDecay
    optimizer: OptimizerSettings
    seed: int = 0
    checkpoint_every: int = 100
    report_every: int = 10
    facts: dict[str, Any] = field(default_factory=dict)


def initial_weights(args: ModelArgs, seed: int) -> dict[str, mx.array]:
    """Weights to begin with.

    Normal with standard deviation 1 / sqrt(fan-in); the projections that write to the residual
    stream (`o_proj`, `down_proj`) begin at zero, so every block begins as the identity. The
    embedding begins small, because it is tied: a large one would begin by predicting each token to
    follow itself.
    """
    key = mx.random.key(seed)
    weights = {}
    for name, array in tree_flatten(Model(args).parameters()):
        key, own = mx.random.split(key)
        if array.ndim == 1:
            weights[name] = mx.ones(array.shape)
        elif name.endswith(("o_proj.weight", "down_proj.weight")):
            weights[name] = mx.zeros(array.shape)
        else:
            scale = EMBEDDING_SCALE if "embed_tokens" in name else array.shape[1] ** -0.5
            weights[name] = mx.random.normal(array.shape, key=own) * scale
    mx.eval(weights)
    return weights


def start(
    settings: RunSettings, init: Path | None = None, branch: Path | None = None
) -> Checkpoint:
    """The checkpoint to go on from: the run's own newest, else `branch`, else `init`, else new.

    Args:
        settings: of the run.
        init: a checkpoint whose weights to begin with, at step 0.
        branch: a checkpoint to go on from exactly, step and optimizer included.

    Raises:
        UserError: the checkpoint was made by another architecture.
    """
    own = checkpoints.latest(settings.run / CHECKPOINTS)
    source = own or branch or init
    if source is None:
        weights = initial_weights(settings.model, settings.seed)
        return Checkpoint(0, weights, initial_state(weights), {"tokens": 0, "seconds": 0.0})
    found = checkpoints.load(source)
    made_for = found.facts.get("model")
    if made_for != asdict(settings.model):
        raise UserError(
            f"{source} was made for another architecture: use the preset it was trained with, "
            "or another --run directory"
        )
    if own is None and branch is None:
        facts = {**found.facts, "tokens": 0, "seconds": 0.0, "before": found.facts}
        return Checkpoint(0, found.weights, initial_state(found.weights), facts)
    return found


def train(
    settings: RunSettings,
    batches: Batches,
    begin: Checkpoint,
    validate: Callable[[Lanes, dict[str, mx.array]], dict[str, float]] | None = None,
    lanes: int | None = None,
) -> Checkpoint:
    """Train from `begin` to the end of the schedule.

    Args:
        settings: of the run.
        batches: what each step reads.
        begin: from `start`.
        validate: gives figures to log at every checkpoint.
        lanes: threads; the device's default when None.

    Returns:
        The last checkpoint, which is also on disk.

    Raises:
        UserError: the loss is no number any more; the last good checkpoint is named.
    """
    settings.run.mkdir(parents=True, exist_ok=True)
    facts = {**begin.facts, **settings.facts, "model": asdict(settings.model)}
    current = Checkpoint(begin.step, begin.weights, begin.optimizer, facts)
    weights, state = begin.weights, begin.optimizer
    report = _Report(settings, tokens=facts["tokens"])
    with Lanes(settings.model, lanes) as team, _Interrupt() as interrupt:
        for step in range(begin.step, settings.schedule.steps):
            micro_batches = batches(step)
            gradients, loss, _ = team.gradients(weights, micro_batches)
            scale = settings.schedule(step)
            weights, state, norm = update(
                weights, gradients, state, settings.optimizer, step, scale
            )
            mx.eval(weights, state, norm)
            _check_finite(settings, step, loss, norm.item())
            done = step + 1
            report.add(done, micro_batches, loss, scale, norm.item())
            last = done == settings.schedule.steps or interrupt.asked
            if last or done % settings.checkpoint_every == 0:
                seconds = begin.facts["seconds"] + report.seconds
                facts = {**facts, "tokens": report.tokens, "seconds": seconds}
                current = Checkpoint(done, weights, state, facts)
                checkpoints.save(settings.run / CHECKPOINTS, current)
                if validate and not interrupt.asked:
                    report.validation(done, validate(team, weights))
            if interrupt.asked:
                _print(f"stopped at step {done}, saved: run the same command again to go on")
                break
    return current


def _check_finite(settings: RunSettings, step: int, loss: float, norm: float) -> None:
    if math.isfinite(loss) and math.isfinite(norm):
        return
    last = checkpoints.latest(settings.run / CHECKPOINTS)
    raise UserError(
        f"the loss is not a number at step {step}: lower the rates; "
        f"the last good checkpoint is {last or 'none yet'}"
    )


class _Report:
    """Metrics as JSON lines and progress for people."""

    def __init__(self, settings: RunSettings, tokens: int):
        self._settings, self.tokens = settings, tokens
        self._began = self._since = time.perf_counter()
        self._unreported = 0

    @property
    def seconds(self) -> float:
        """Since the run began or went on."""
        return time.perf_counter() - self._began

    def add(
        self, step: int, batches: list[MicroBatch], loss: float, scale: float, norm: float
    ) -> None:
        """Count a step; every so often, say how it goes."""
        read = sum(batch.mask.size for batch in batches)
        self.tokens += read
        self._unreported += read
        total = self._settings.schedule.steps
        if step % self._settings.report_every and step != total:
            return
        speed = self._unreported / (time.perf_counter() - self._since)
        self._log(
            step=step,
            tokens=self.tokens,
            loss=round(loss, 4),
            scale=round(scale, 4),
            norm=round(norm, 3),
            tokens_per_s=round(speed),
        )
        left = _clock((total - step) * read / speed)
        _print(f"step {step}/{total}  loss {loss:.3f}  {speed:,.0f} tokens/s  {left} left")
        self._restart()

    def validation(self, step: int, figures: dict[str, float]) -> None:
        """Log what was measured at a checkpoint."""
        self._log(step=step, tokens=self.tokens, **figures)
        _print("  ".join(f"{name} {value:.3f}" for name, value in figures.items()))
        self._restart()

    def _restart(self) -> None:
        self._since, self._unreported = time.perf_counter(), 0

    def _log(self, **figures: Any) -> None:
        with open(self._settings.run / METRICS_FILE, "a") as file:
            file.write(json.dumps(figures) + "\n")


class _Interrupt:
    """Turns the first Ctrl-C (or a polite kill) into a request to stop after the current step."""

    asked = False

    def __enter__(self) -> "_Interrupt":
        self._before = {}
        try:
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._ask)
        except ValueError:
            pass  # not the main thread: nobody can press Ctrl-C for us
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _ask(self, *_: object) -> None:
        self.asked = True
        _print("stopping after this step …")


def _print(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}"
