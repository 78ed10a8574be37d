"""The backend says what the machine computes with; the doctor says what to do about it."""

import json
import os
import subprocess
import sys
from pathlib import Path

from mlx_toy.backend import mx

from mlx_toy import backend, doctor

REPOSITORY = Path(__file__).parent.parent


def run_python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=REPOSITORY,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_info_names_the_device() -> None:
    info = backend.info()
    assert info.device in ("cpu", "metal", "cuda")
    assert info.device_name
    assert info.threads >= 1


def test_a_cpu_computes_in_float32() -> None:
    wanted = mx.float32 if backend.info().device == "cpu" else mx.bfloat16
    assert backend.compute_dtype() == wanted


def test_matrix_products_are_right() -> None:
    """Whatever BLAS was put in place multiplies as arithmetic does."""
    a = mx.random.normal((65, 130))
    b = mx.random.normal((130, 33))
    by_hand = (a[:, :, None] * b[None]).sum(axis=1)
    assert mx.allclose(a @ b, by_hand, atol=1e-4)
    assert backend.matmul_gflops(128, repeats=1) > 0


def test_a_slow_blas_is_warned_of_once_with_the_fix() -> None:
    code = "import mlx_toy.backend, mlx_toy.backend as b; print(b.info().warning)"
    done = run_python(code, MLX_TOY_REFERENCE_BLAS="1")
    assert done.returncode == 0, done.stderr
    if backend.info().device == "cpu" and sys.platform == "linux":
        assert done.stderr.count("RuntimeWarning") == 1
        assert "unset it" in done.stdout


def test_a_library_imported_too_early_is_told() -> None:
    done = run_python("import mlx.core, mlx_toy.backend as b; print(b.info().warning)")
    assert done.returncode == 0, done.stderr
    if backend.info().device == "cpu" and sys.platform == "linux":
        assert "before mlx_toy.backend" in done.stdout


def test_the_doctor_reports_device_speed_and_versions() -> None:
    lines = doctor.report()
    names = [line.name for line in lines]
    assert {"Python", "memory", "device", "matmul", "mlx", "mlx-lm", "gradio"} <= set(names)
    text = doctor.text(lines)
    assert "GFLOP/s" in text
    assert len(text.splitlines()) > len(lines)
    assert json.loads(json.dumps(doctor.as_json(lines)))["lines"][0]["name"] == "mlx-toy"


def test_the_doctor_says_what_to_do() -> None:
    lines = [doctor.Line("BLAS", "none", "install one"), doctor.Line("device", "cpu")]
    assert doctor.text(lines).splitlines()[1].strip() == "-> install one"
    assert doctor.text(lines).endswith("to put right: 1")
    assert not doctor.as_json(lines)["ok"]
