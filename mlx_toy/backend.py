"""The one place that knows the hardware: BLAS, device, dtype, memory and threads.

Everything else writes `from mlx_toy.backend import mx` and runs the same lines on Linux CPU, Metal
and CUDA. Why this must come before `mlx.core`: the Linux CPU wheel of MLX links the reference BLAS
(2 to 5 GFLOP/s). The dynamic loader resolves a symbol in the libraries that are loaded globally,
in order, so an OpenBLAS that is in the process first answers MLX's `cblas_sgemm` calls, at 20 to 40
times the speed.
"""

import contextlib
import ctypes
import importlib.util
import os
import platform
import sys
import tempfile
import time
import warnings
from dataclasses import dataclass, replace
from pathlib import Path

NO_BLAS = (
    "no OpenBLAS was found, so MLX uses its slow reference BLAS (20 to 40 times slower): "
    "run `pip install ngsolve-openblas` (x86-64) or `sudo apt-get install libopenblas0-pthread`"
)
SYSTEM_LIBRARIES = ("libopenblas.so.0", "libopenblas.so")
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of glibc's mallopt
REFERENCE_BLAS = "MLX_TOY_REFERENCE_BLAS"  # set to 1 to measure without an OpenBLAS


@dataclass(frozen=True)
class BackendInfo:
    """What the process computes with.

    Attributes:
        device: "cpu", "metal" or "cuda".
        device_name: the processor's own name.
        blas: the OpenBLAS in use (path or library name), None where MLX brings its own fast one.
        threads: threads of one matrix product on the CPU.
        warning: what is wrong and how to put it right, None when nothing is.
    """

    device: str
    device_name: str
    blas: str | None
    threads: int
    warning: str | None


def cpu_count() -> int:
    """Number of processor cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _package_folders(name: str) -> list[Path]:
    """Folders of an installed package, without importing it.

    A namespace package, as `mlx` is, may have several: any folder of that name on the path counts.
    """
    spec = importlib.util.find_spec(name)
    return [Path(place) for place in (spec and spec.submodule_search_locations) or ()]


def _load_fortran_runtime() -> None:
    """Put a `libgfortran.so.5` into the process, which the OpenBLAS wheel needs but does not bring.

    The MLX wheel brings one under a mangled name. The loader finds a library that is already in
    the process by its soname, so a temporary copy with the standard soname written over the
    mangled one (shorter, padded with zeros) is all that is needed; it can go once it is loaded.
    """
    bundled = [folder.parent / "mlx_cpu.libs" for folder in _package_folders("mlx")]
    for quadmath in (file for folder in bundled for file in folder.glob("libquadmath-*.so*")):
        ctypes.CDLL(str(quadmath), mode=ctypes.RTLD_GLOBAL)
    for fortran in (file for folder in bundled for file in folder.glob("libgfortran-*.so.5*")):
        mangled = fortran.name.encode() + b"\0"
        standard = b"libgfortran.so.5".ljust(len(mangled), b"\0")
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / "libgfortran.so.5"
            copy.write_bytes(fortran.read_bytes().replace(mangled, standard))
            ctypes.CDLL(str(copy), mode=ctypes.RTLD_GLOBAL)


def _openblas_from_wheel() -> str | None:
    """Load OpenBLAS from the `ngsolve-openblas` package; None when that is not possible."""
    folders = _package_folders("ngsolve_openblas")
    for library in (file for folder in folders for file in sorted(folder.glob("libopenblas*.so*"))):
        for prepare_runtime in (lambda: None, _load_fortran_runtime):
            try:
                prepare_runtime()
                ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL)
                return str(library)
            except OSError:
                continue
    return None


def _openblas_from_system() -> str | None:
    """Load the system's OpenBLAS; None when there is none."""
    for name in SYSTEM_LIBRARIES:
        try:
            ctypes.CDLL(name, mode=ctypes.RTLD_GLOBAL)
            return name
        except OSError:
            continue
    return None


def _keep_freed_memory() -> None:
    """Make glibc keep freed arrays for the next ones, instead of returning them to the system.

    MLX frees every temporary array. Large ones would be unmapped, and mapped and zeroed again at
    the next operation, page by page, which costs as much as the arithmetic (cross-entropy of a
    training step: 96 microseconds a token, 30 with this).
    """
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(M_MMAP_THRESHOLD, 32 << 20)  # the largest value that glibc takes
        libc.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)


def _prepare_linux_cpu(threads: int) -> tuple[str | None, str | None]:
    """Load an OpenBLAS; returns (its path, a warning)."""
    _keep_freed_memory()
    if os.environ.get(REFERENCE_BLAS) == "1":
        return None, f"{REFERENCE_BLAS}=1: MLX uses its slow reference BLAS; unset it for speed"
    if "mlx.core" in sys.modules:
        return None, "mlx.core was imported before mlx_toy.backend, too late to speed it up"
    os.environ["OPENBLAS_NUM_THREADS"] = str(threads)  # read once, when the library is loaded
    blas = _openblas_from_wheel() or _openblas_from_system()
    return blas, None if blas else NO_BLAS


def _processor_name() -> str:
    """The processor's name, as its maker writes it."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _prepare() -> BackendInfo:
    """Make the process ready for MLX; called once, when this module is imported."""
    threads = int(os.environ.get("OPENBLAS_NUM_THREADS") or cpu_count())
    has_cuda = importlib.util.find_spec("mlx_cuda") is not None
    blas, warning = None, None
    if sys.platform == "linux" and not has_cuda:
        blas, warning = _prepare_linux_cpu(threads)
    return BackendInfo("cpu", _processor_name(), blas, threads, warning)


_info = _prepare()

import mlx.core as mx  # noqa: E402  (must follow the BLAS)


def _detect_device(prepared: BackendInfo) -> BackendInfo:
    """Fill in the device that MLX chose."""
    if mx.metal.is_available():
        return replace(prepared, device="metal", device_name=_gpu_name(), warning=None)
    if mx.default_device() == mx.Device(mx.gpu):
        return replace(prepared, device="cuda", device_name=_gpu_name(), warning=None)
    return prepared


def _gpu_name() -> str:
    return str(mx.device_info().get("device_name", "GPU"))


_info = _detect_device(_info)
if _info.warning:
    warnings.warn(f"mlx-toy: {_info.warning}", RuntimeWarning, stacklevel=2)


def info() -> BackendInfo:
    """What the process computes with."""
    return _info


def compute_dtype() -> "mx.Dtype":
    """The dtype of activations: bfloat16 on a GPU, float32 on a CPU (16-bit is slow there)."""
    return mx.float32 if _info.device == "cpu" else mx.bfloat16


def memory_bytes() -> int:
    """Physical memory of the machine, in bytes."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def matmul_gflops(size: int = 1024, repeats: int = 5) -> float:
    """Measured speed of a square float32 matrix product, in GFLOP/s.

    Args:
        size: rows and columns of the factors.
        repeats: products timed, after one that is not.
    """
    factor = mx.random.normal((size, size))
    mx.eval(factor @ factor)
    start = time.perf_counter()
    for _ in range(repeats):
        mx.eval(factor @ factor)
    return 2 * size**3 * repeats / (time.perf_counter() - start) / 1e9
