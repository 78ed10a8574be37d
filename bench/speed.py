"""Speed of prefill and decoding, as a ratio to plain MLX with its reference BLAS.

    python bench/speed.py [--model DIR]

Each row is measured in a process of its own, in turn, in one run of this program: `ours` is mlx-toy
as it is installed, `plain` the same code with `MLX_TOY_REFERENCE_BLAS=1`, which is what
`pip install mlx[cpu]` gives. On a Mac or a GPU both are the same. Machines are noisy: believe the
ratio, not the seconds.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
PREFILL_TOKENS = 256
DECODE_TOKENS = 48
WAYS = {"ours": "0", "plain": "1"}


def measure(model: str) -> dict[str, float]:
    """Tokens per second of running a model directory."""
    from mlx_toy.engine import GREEDY, Engine, Sampling

    figures = {}
    with Engine.load(model) as engine:
        prompt = [1] + [300 + i % 500 for i in range(PREFILL_TOKENS - 1)]
        length = Sampling(**{**vars(GREEDY), "max_tokens": DECODE_TOKENS})
        for _ in range(2):
            generation = engine.generate(prompt, length, stop_ids=())
            for _ in generation:
                pass
        stats = generation.stats
        figures["prefill"] = PREFILL_TOKENS / stats.time_to_first_token_s
        figures["decoding"] = stats.tokens_per_s
    return figures


def main() -> None:
    """Measure both ways and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", default="", help="model directory (default: bundled)")
    parser.add_argument("--one", action="store_true", help="measure in this process, print JSON")
    options = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    if options.one:
        print(json.dumps(measure(options.model)))
        return
    results = {}
    for way, reference in WAYS.items():
        environment = {
            **os.environ,
            "MLX_TOY_REFERENCE_BLAS": reference,
            "PYTHONWARNINGS": "ignore",
        }
        command = [sys.executable, __file__, "--one", "--model", options.model]
        done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE)
        results[way] = json.loads(done.stdout.splitlines()[-1])
    print(f"{'tokens/s':10} {'ours':>10} {'plain':>10} {'ratio':>8}")
    for name in results["ours"]:
        ours, plain = results["ours"][name], results["plain"][name]
        print(f"{name:10} {ours:10,.0f} {plain:10,.0f} {ours / plain:8.1f}")


if __name__ == "__main__":
    main()
