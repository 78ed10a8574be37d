"""How a run goes, for people and for files: loss, speed, utilisation, memory, time left.

Utilisation is the part of the machine's matrix-product speed, measured at the start of the run on
all lanes at once, that the model's arithmetic reaches: 6 operations a parameter and token, and
12 * layers * width * T a token for attention (Chowdhery et al. 2022, arXiv:2204.02311, appendix B).
"""

import resource
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from mlx_toy.backend import info, mx

from mlx_toy.errors import UserError
from mlx_toy.model import ModelArgs
from train import records
from train.batches import MicroBatch


def step_flops(args: ModelArgs, parameters: int, batches: Sequence[MicroBatch]) -> float:
    """Floating-point operations of a step, forward and backward."""
    attention_width = args.num_hidden_layers * args.num_attention_heads * args.head_dim
    tokens = sum(batch.mask.size for batch in batches)
    pairs = sum(batch.mask.size * batch.mask.shape[1] for batch in batches)
    return 6.0 * parameters * tokens + 12.0 * attention_width * pairs


def peak_memory_bytes() -> int:
    """The most memory so far: of the device on a GPU, of the process on a CPU."""
    if info().device != "cpu":
        return mx.get_peak_memory()
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def say(line: str) -> None:
    """Print for people, beside what a command gives."""
    print(line, file=sys.stderr, flush=True)


class Progress:
    """Metrics as JSON lines and progress for people.

    Args:
        run: directory of the run.
        args: the architecture, for counting operations.
        parameters: of the model.
        steps: of the whole schedule.
        report_every: steps between reports.
        tokens: read before this start.
        matmul_flops: of the machine, a second.
        tracking: also gets every record of the metrics.
    """

    def __init__(
        self,
        run: Path,
        args: ModelArgs,
        parameters: int,
        *,
        steps: int,
        report_every: int,
        tokens: int,
        matmul_flops: float,
        tracking: Callable[[dict[str, Any]], None],
    ):
        self._run, self._args, self._parameters = run, args, parameters
        self._steps, self._report_every, self._peak = steps, report_every, matmul_flops
        self._tracking, self.tokens = tracking, tokens
        self._began = time.perf_counter()
        self._restart()

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
        self._new_steps += 1
        self._new_tokens += read
        self._new_flops += step_flops(self._args, self._parameters, batches)
        if step % self._report_every and step != self._steps:
            return
        seconds = time.perf_counter() - self._since
        speed, utilisation = self._new_tokens / seconds, self._new_flops / seconds / self._peak
        memory = peak_memory_bytes() / 1e6
        record = {
            "step": step,
            "tokens": self.tokens,
            "loss": round(loss, 4),
            "scale": round(scale, 4),
            "norm": round(norm, 3),
            "tokens_per_s": round(speed),
            "utilisation": round(utilisation, 4),
            "peak_memory_mb": round(memory),
        }
        self._log(records.METRICS_FILE, record)
        left = _clock((self._steps - step) * seconds / self._new_steps)
        say(
            f"step {step}/{self._steps}  loss {loss:.3f}  {speed:,.0f} tokens/s  "
            f"{utilisation:.0%} of peak  {memory:,.0f} MB  {left} left"
        )
        self._restart()

    def checkpoint(
        self, step: int, figures: dict[str, float], samples: list[dict[str, str]]
    ) -> None:
        """Keep what was measured and written at a checkpoint, and draw the curves again."""
        if figures:
            self._log(records.METRICS_FILE, {"step": step, "tokens": self.tokens, **figures})
            say("  ".join(f"{name} {value:.3f}" for name, value in figures.items()))
            self._draw()
        for sample in samples:
            self._log(records.SAMPLES_FILE, {"step": step, "tokens": self.tokens, **sample})
        if samples:
            first = " ".join((samples[0]["prompt"] + samples[0]["text"]).split())
            say(f"it writes: {first}")
        self._restart()

    def _draw(self) -> None:
        from train import plot

        try:
            plot.draw(self._run)
        except (ImportError, OSError) as error:  # a picture is not worth a run
            say(f"the plot was not drawn ({error})")

    def _restart(self) -> None:
        self._since = time.perf_counter()
        self._new_steps = self._new_tokens = 0
        self._new_flops = 0.0

    def _log(self, file: str, record: dict[str, Any]) -> None:
        try:
            records.append(self._run / file, record)
        except OSError as error:
            raise UserError(
                f"{self._run / file} could not be written ({error.strerror}): make room, then run "
                "the same command again; it goes on from the last checkpoint in "
                f"{self._run / 'checkpoints'}"
            ) from error
        if file == records.METRICS_FILE:
            self._tracking(record)


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}"
