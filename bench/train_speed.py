"""Speed of training on this machine, as a ratio to PyTorch and to plain MLX.

    pip install torch && python bench/train_speed.py [--preset mini] [--rounds 3]

Every peer trains the same model from the same weights on the same batches: forward, backward, one
AdamW update a step. The peers are

    ours    mlx-toy as it trains: lanes, an OpenBLAS, its own operations
    torch   PyTorch in eager mode with all cores (bench/torch_llama.py)
    plain   MLX as it is installed: mlx-lm's model, MLX's own operations, loss and AdamW

Each runs in a process of its own, in turn, round after round, so that noise of the machine meets
all alike; the figure is the best step of all rounds. Before a time is believed, the losses of the
first step must agree. The speed of each library's own matrix products stands beside: it depends on
the processor, and no arrangement of the rest can make up for it. On a GPU PyTorch's model is
compiled (`torch.compile`) and works in bfloat16, as ours does, and the utilisation of the machine's
measured matrix-product peak is given too.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))
STEPS = 3  # timed steps of a peer in one round, after one that is not
RATE = 1e-3
TOLERANCE = 2e-3  # nats a token; bfloat16 needs more than float32


def _batches(options: argparse.Namespace) -> tuple:
    """The architecture, its initial weights, and the micro-batches [rows, T + 1] of a step."""
    import numpy as np

    from train.initial import initial_weights
    from train.presets import preset as named

    size = named(options.preset)
    family = "qwen3" if options.qk_norm else "llama"
    args = replace(size.model_args(size.vocab_size), model_type=family)
    rows, rng = max(1, size.micro_tokens // size.window), np.random.default_rng(0)
    count = max(2, options.tokens // (rows * size.window))
    tokens = rng.integers(0, size.vocab_size, (count, rows, size.window + 1)).astype(np.int32)
    return args, initial_weights(args, seed=0), list(tokens)


def _timed(step: Callable[[], float]) -> dict:
    """Loss of the first step, seconds of the fastest of the others."""
    loss, seconds = step(), []
    for _ in range(STEPS):
        began = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - began)
    return {"loss": loss, "seconds": min(seconds)}


def measure_ours(options: argparse.Namespace) -> dict:
    """Our training step: lanes and our optimizer."""
    import numpy as np

    from train.batches import MicroBatch
    from train.lanes import Lanes
    from train.optimizer import OptimizerSettings, initial_state
    from train.progress import step_flops

    args, weights, tokens = _batches(options)
    batches = [MicroBatch(rows, np.ones(rows[:, 1:].shape, np.float32)) for rows in tokens]
    settings = OptimizerSettings(RATE, RATE, weight_decay=0.0, matrices="adamw")
    state, done = initial_state(weights), 0
    with Lanes(args) as team:
        peak = team.matmul_flops()

        def step() -> float:
            nonlocal weights, state, done
            gradients, loss, _ = team.gradients(weights, batches)
            weights, state, _ = team.update(weights, gradients, state, settings, done, 1.0)
            done += 1
            return loss

        figures = _timed(step)
    flops = step_flops(args, sum(array.size for array in weights.values()), batches)
    return {**figures, "peak": peak, "utilisation": flops / figures["seconds"] / peak}


def measure_torch(options: argparse.Namespace) -> dict:
    """PyTorch: eager on a CPU, compiled and in bfloat16 on a GPU."""
    import numpy as np
    import torch

    from bench.torch_llama import TorchLlama
    from train.lanes import PEAK_SIZE_CPU, PEAK_SIZE_GPU

    args, weights, tokens = _batches(options)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    named = {name: np.array(array) for name, array in weights.items()}
    model = TorchLlama(args, named, tokens[0].shape[1] - 1).to(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, betas=(0.9, 0.95), weight_decay=0)
    batches = [torch.from_numpy(rows).long().to(device) for rows in tokens]
    loss_of = torch.compile(model.loss) if device == "cuda" else model.loss

    def step() -> float:
        optimizer.zero_grad(set_to_none=True)
        total = torch.zeros((), device=device)
        for rows in batches:
            with torch.autocast(device, dtype=torch.bfloat16, enabled=device == "cuda"):
                loss = loss_of(rows) / len(batches)
            loss.backward()
            total += loss.detach()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        return total.item()

    size = PEAK_SIZE_CPU if device == "cpu" else PEAK_SIZE_GPU
    dtype = torch.float32 if device == "cpu" else torch.bfloat16
    factor = torch.full((size, size), 0.5, dtype=dtype, device=device)

    def product() -> float:
        return (factor @ factor)[0, 0].item()  # asking for a number waits for a GPU

    return {**_timed(step), "peak": 2 * size**3 / _timed(product)["seconds"]}


def measure_plain(options: argparse.Namespace) -> dict:
    """MLX and mlx-lm as they come."""
    import mlx.core as mx
    import mlx.nn as nn
    import mlx.optimizers as optim
    from mlx.utils import tree_map
    from mlx_lm.models import llama, qwen3

    from train.lanes import PEAK_SIZE_CPU

    args, weights, tokens = _batches(options)
    config = {**vars(args), "tie_word_embeddings": True}
    family = {"llama": llama, "qwen3": qwen3}[args.model_type]
    model = family.Model(family.ModelArgs.from_dict(config))
    model.load_weights(list(weights.items()))
    optimizer = optim.AdamW(RATE, betas=[0.9, 0.95], weight_decay=0.0, bias_correction=True)

    def loss_of(model: nn.Module, rows: mx.array) -> mx.array:
        logits = model(rows[:, :-1]).astype(mx.float32)
        return nn.losses.cross_entropy(logits, rows[:, 1:], reduction="mean")

    loss_and_gradient = nn.value_and_grad(model, loss_of)

    def step() -> float:
        total, loss = None, mx.array(0.0)
        for rows in tokens:
            value, gradients = loss_and_gradient(model, mx.array(rows))
            gradients = tree_map(lambda array: array / len(tokens), gradients)
            total = gradients if total is None else tree_map(mx.add, total, gradients)
            loss = loss + value / len(tokens)
            mx.eval(total, loss)
        clipped, _ = optim.clip_grad_norm(total, 1.0)
        optimizer.update(model, clipped)
        mx.eval(model.parameters(), optimizer.state)
        return loss.item()

    size = PEAK_SIZE_CPU
    factor = mx.full((size, size), 0.5)

    def product() -> float:
        return (factor @ factor)[0, 0].item()

    return {**_timed(step), "peak": 2 * size**3 / _timed(product)["seconds"]}


PEERS = {"ours": measure_ours, "torch": measure_torch, "plain": measure_plain}


def _in_own_process(peer: str, options: argparse.Namespace, cores: int) -> dict:
    environment = {**os.environ, "PYTHONWARNINGS": "ignore", "OMP_NUM_THREADS": str(cores)}
    # Ours runs a lane a core with one BLAS thread each; plain MLX as it is, without our BLAS.
    environment["OPENBLAS_NUM_THREADS"] = "1"
    environment["MLX_TOY_REFERENCE_BLAS"] = "1" if peer == "plain" else "0"
    command = [sys.executable, __file__, "--one", peer, "--preset", options.preset]
    command += ["--tokens", str(options.tokens)] + ["--qk-norm"] * options.qk_norm
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=False)
    if done.returncode:
        raise SystemExit(f"error: {peer} could not be measured, see above")
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Measure all peers in turn and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--preset", default="mini", help="size of the model (default: mini)")
    parser.add_argument("--tokens", type=int, default=8192, help="of a step (default: 8192)")
    parser.add_argument("--qk-norm", action="store_true", help="with QK-norm, as in Qwen3")
    parser.add_argument("--rounds", type=int, default=3, help="(default: 3)")
    parser.add_argument("--peers", nargs="+", default=list(PEERS), choices=PEERS)
    parser.add_argument("--one", choices=PEERS, help="measure one in this process, print JSON")
    options = parser.parse_args()
    if options.one:
        print(json.dumps(PEERS[options.one](options)))
        return
    if "torch" in options.peers:
        try:
            import torch  # noqa: F401  (the peer; not needed by mlx-toy itself)
        except ImportError:
            raise SystemExit(
                "error: PyTorch is not installed: run `pip install torch`, or leave that peer out "
                "with `--peers ours plain`"
            ) from None
    from mlx_toy.backend import cpu_count

    best: dict[str, dict] = {}
    for number in range(options.rounds):
        for peer in options.peers:
            found = _in_own_process(peer, options, cpu_count())
            if peer not in best or found["seconds"] < best[peer]["seconds"]:
                best[peer] = found
            speed = options.tokens / found["seconds"]
            print(f"round {number + 1}: {peer:6} {speed:10,.0f} tokens/s", file=sys.stderr)
    losses = [figures["loss"] for figures in best.values()]
    if max(losses) - min(losses) > TOLERANCE:
        raise SystemExit(f"error: the peers do not train the same model: losses {losses}")
    print(f"{'peer':8} {'tokens/s':>10} {'ours / peer':>12} {'products':>16}")
    for peer, figures in best.items():
        ratio = figures["seconds"] / best["ours"]["seconds"] if "ours" in best else float("nan")
        speed, peak = options.tokens / figures["seconds"], figures["peak"] / 1e9
        print(f"{peer:8} {speed:10,.0f} {ratio:12.2f} {peak:9,.0f} GFLOP/s")
    if "ours" in best:
        print(f"ours: {best['ours']['utilisation']:.0%} of the matrix-product peak of this machine")


if __name__ == "__main__":
    main()
