"""The training loop, one for every stage.

A step is: read the micro-batches, sum their gradients over lanes and processes, update. Around it:
progress; metrics as JSON lines; validation in bits per byte and samples of what the model writes;
checkpoints that are saved before anything else is done with the weights. Ctrl-C saves and says how
to go on.
"""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from mlx_toy.backend import mx

from mlx_toy.errors import UserError
from mlx_toy.model import ModelArgs
from train import checkpoints, from_model, records
from train.batches import Batches
from train.checkpoints import Checkpoint
from train.initial import initial_weights
from train.interrupt import Interrupt
from train.lanes import Lanes, counted_targets
from train.optimizer import OptimizerSettings, initial_state
from train.processes import Processes
from train.progress import Progress, say
from train.schedule import WarmupStableDecay
from train.tracking import tracker

CHECKPOINTS = "checkpoints"
Weights = dict[str, mx.array]


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
        facts: what to remember with every checkpoint (stage, preset, tokenizer).
        track: name of a trackio project that gets the metrics too; empty for none.
    """

    run: Path
    model: ModelArgs
    schedule: WarmupStableDecay
    optimizer: OptimizerSettings
    seed: int = 0
    checkpoint_every: int = 100
    report_every: int = 10
    facts: dict[str, Any] = field(default_factory=dict)
    track: str = ""


def start(
    settings: RunSettings, init: Path | None = None, branch: Path | None = None
) -> Checkpoint:
    """The checkpoint to go on from: the run's own newest, else `branch`, else `init`, else new.

    Args:
        settings: of the run.
        init: a checkpoint or a model directory whose weights to begin with, at step 0.
        branch: a checkpoint to go on from exactly, step and optimizer included.

    Raises:
        UserError: the checkpoint was made by another architecture, tokenizer or stage.
    """
    own = checkpoints.latest(settings.run / CHECKPOINTS)
    source = own or branch or init
    if source is None:
        weights = initial_weights(settings.model, settings.seed)
        return Checkpoint(0, weights, initial_state(weights), {"tokens": 0, "seconds": 0.0})
    load = from_model.load if source == init and from_model.is_model(init) else checkpoints.load
    found = load(source)
    _check_fits(settings, found, source)
    if own is None and branch is None:
        before = {**found.facts, "step": found.step}
        facts = {**found.facts, "tokens": 0, "seconds": 0.0, "before": before}
        return Checkpoint(0, found.weights, initial_state(found.weights), facts)
    _check_same(settings, found, source, "stage")
    return found


def _check_fits(settings: RunSettings, found: Checkpoint, source: Path) -> None:
    made_for, wanted = found.facts.get("model") or {}, asdict(settings.model)
    if different := [name for name in wanted if made_for.get(name) != wanted[name]]:
        name = different[0]
        raise UserError(
            f"{source} was made for another architecture (preset "
            f"{found.facts.get('preset', '?')}: {name} {made_for.get(name)}, not {wanted[name]}): "
            "use the preset it was trained with, or another --run directory"
        )
    _check_same(settings, found, source, "tokenizer_sha256")


def _check_same(settings: RunSettings, found: Checkpoint, source: Path, fact: str) -> None:
    before, now = found.facts.get(fact), settings.facts.get(fact)
    if before and now and before != now:
        what = "tokenizer" if fact == "tokenizer_sha256" else f"stage ({before}, not {now})"
        raise UserError(
            f"{source} was made with another {what}: use that one, or another --run directory"
        )


def train(
    settings: RunSettings,
    batches: Batches,
    begin: Checkpoint,
    validate: Callable[[Lanes, Weights], dict[str, float]] | None = None,
    lanes: int | None = None,
    sample: Callable[[Lanes, Weights], list[dict[str, str]]] | None = None,
    processes: Processes | None = None,
) -> Checkpoint:
    """Train from `begin` to the end of the schedule.

    Args:
        settings: of the run.
        batches: what each step reads, in all processes together.
        begin: from `start`.
        validate: gives figures to log at every checkpoint.
        lanes: threads; the device's default when None.
        sample: gives what the model writes at every checkpoint.
        processes: that share the run; this one alone when None.

    Returns:
        The last checkpoint, which is also on disk.

    Raises:
        UserError: the loss is no number any more, the disk is full, or another process has ended;
            the last good checkpoint is named.
    """
    processes = processes or Processes()
    if processes.first:
        settings.run.mkdir(parents=True, exist_ok=True)
    facts = {**begin.facts, **settings.facts, "model": asdict(settings.model)}
    current = Checkpoint(begin.step, begin.weights, begin.optimizer, facts)
    weights, state = begin.weights, begin.optimizer
    with (
        Lanes(settings.model, lanes) as team,
        Interrupt() as interrupt,
        tracker(settings.track if processes.first else "", settings.run, facts) as tracking,
    ):
        progress = _progress(settings, begin, team, processes, tracking)
        for step in range(begin.step, settings.schedule.steps):
            micro_batches = batches(step)
            gradients, loss, _ = team.gradients(
                weights, processes.share(micro_batches), counted_targets(micro_batches)
            )
            gradients, loss, stop = processes.sum(gradients, loss, interrupt.asked)
            scale = settings.schedule(step)
            weights, state, norm = team.update(
                weights, gradients, state, settings.optimizer, step, scale
            )
            done = step + 1
            saves = stop or done == settings.schedule.steps or not done % settings.checkpoint_every
            _check_finite(settings, step, loss, norm, weights if saves else {})
            if processes.first:
                progress.add(done, micro_batches, loss, scale, norm)
            if saves:
                seconds = begin.facts["seconds"] + progress.seconds
                facts = {**facts, "tokens": progress.tokens, "seconds": seconds}
                current = Checkpoint(done, weights, state, facts)
            if saves and processes.first:
                checkpoints.save(settings.run / CHECKPOINTS, current)
                if not stop:
                    progress.checkpoint(
                        done,
                        validate(team, weights) if validate else {},
                        sample(team, weights) if sample else [],
                    )
            if stop:
                if processes.first:
                    say(f"stopped at step {done}, saved: run the same command again to go on")
                break
    return current


def _progress(
    settings: RunSettings, begin: Checkpoint, team: Lanes, processes: Processes, tracking: Any
) -> Progress:
    """The report of a run; records of steps that will be done again are dropped."""
    peak = processes.sum_number(team.matmul_flops())
    if processes.first:
        records.rewind(settings.run, begin.step)
    return Progress(
        settings.run,
        settings.model,
        sum(array.size for array in begin.weights.values()),
        steps=settings.schedule.steps,
        report_every=settings.report_every,
        tokens=begin.facts["tokens"],
        matmul_flops=peak,
        tracking=tracking,
    )


def _check_finite(
    settings: RunSettings, step: int, loss: float, norm: float, weights: Weights
) -> None:
    finite = all(mx.isfinite(array).all().item() for array in weights.values())
    if finite and math.isfinite(loss) and math.isfinite(norm):
        return
    last = checkpoints.latest(settings.run / CHECKPOINTS)
    raise UserError(
        f"the loss is not a number at step {step}: run again with lower rates (--rate 0.5); "
        f"the last good checkpoint is {last or 'none yet'}"
    )
