"""Say what this machine computes with, how fast, and what to do about anything that is wrong.

    python -m mlx_toy doctor [--json]

Why: the commonest trouble is silent slowness, MLX on its reference BLAS, and the next commonest a
library that is missing or of another version than one thinks. Both show here in a second.
"""

import importlib.metadata
import platform
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from mlx_toy import __version__, backend

PACKAGES = (
    "mlx",
    "mlx-lm",
    "transformers",
    "sentencepiece",
    "numpy",
    "lancedb",
    "gradio",
    "huggingface_hub",
    "pypdfium2",
)
SLOW_GFLOPS = 10.0  # a 1024 x 1024 float32 product: the reference BLAS stays below, OpenBLAS above
LEAST_MEMORY_BYTES = 2 * 2**30  # the app with its libraries and the bundled model


@dataclass(frozen=True)
class Line:
    """One finding.

    Attributes:
        name: what was looked at.
        value: what was found.
        advice: what to do about it; None where nothing is wrong.
    """

    name: str
    value: str
    advice: str | None = None


def report() -> list[Line]:
    """Look at everything; takes about a second."""
    return [*_system(), *_compute(), *_packages()]


def text(lines: list[Line]) -> str:
    """The findings for people, one a line, with what to do right below what is wrong."""
    width = max(len(line.name) for line in lines)
    shown = []
    for line in lines:
        shown.append(f"{line.name:<{width}}  {line.value}")
        if line.advice:
            shown.append(f"{'':<{width}}  -> {line.advice}")
    wrong = sum(line.advice is not None for line in lines)
    shown.append("everything is in order" if not wrong else f"to put right: {wrong}")
    return "\n".join(shown)


def as_json(lines: list[Line]) -> dict[str, Any]:
    """The findings for programs."""
    return {
        "ok": all(line.advice is None for line in lines),
        "lines": [asdict(line) for line in lines],
    }


def _system() -> Iterator[Line]:
    yield Line("mlx-toy", __version__)
    old = None if sys.version_info >= (3, 11) else "install Python 3.11 or newer"
    yield Line("Python", platform.python_version(), old)
    yield Line("system", platform.platform())
    memory = backend.memory_bytes()
    scarce = None if memory >= LEAST_MEMORY_BYTES else "close other programs, or add memory"
    yield Line("memory", f"{memory / 2**30:.1f} GiB", scarce)


def _compute() -> Iterator[Line]:
    info = backend.info()
    yield Line("device", f"{info.device}: {info.device_name}")
    yield Line("dtype", str(backend.compute_dtype()).removeprefix("mlx.core."))
    if info.device == "cpu":
        yield Line("BLAS", info.blas or "the one inside MLX", info.warning)
        yield Line("threads", f"{info.threads} of {backend.cpu_count()} cores")
    speed = backend.matmul_gflops()
    slow = info.device == "cpu" and speed < SLOW_GFLOPS
    advice = "end other programs that keep the cores busy" if slow and not info.warning else None
    yield Line("matmul", f"{speed:.1f} GFLOP/s (float32, 1024 x 1024)", advice)


def _packages() -> Iterator[Line]:
    for name in PACKAGES:
        try:
            yield Line(name, importlib.metadata.version(name))
        except importlib.metadata.PackageNotFoundError:
            yield Line(name, "not installed", "run `pip install -r requirements.txt`")
