"""One change at a time to a tiny model, at equal compute: which parts of the recipe are worth it?

    python -m bench.ablations --text out/text.jsonl --work work [--steps N]
    python -m bench.ablations --report      (write ablations.md again from the recorded results)

Every variation spends the operations of the baseline and is trained with three seeds. Rates are
probed first, with one seed and half of the steps; the probes are recorded as such. What was learned
and by which rule stands in `ablations.md`, which is made from `results/ablations.jsonl` alone.
"""

import argparse
import math
from dataclasses import replace
from typing import Any

from bench.ablations_report import BASELINE, Variation, report
from bench.experiment import ROOT, Experiment, add_arguments, sweep
from train import records
from train.progress import say

RESULTS = ROOT / "bench" / "results" / "ablations.jsonl"
REPORT = ROOT / "bench" / "ablations.md"
STEPS = 200  # of the baseline: minutes a run on one core
SEEDS = (0, 1, 2)
MUON_RATES, ADAMW_RATES = (0.005, 0.01, 0.02, 0.04), (5e-4, 1e-3, 3e-3, 1e-2)
OTHER_RATES = (2e-3, 8e-3)  # beside the default
MUON, ADAMW, OTHERS = "Muon", "AdamW for matrices", "AdamW for the rest"  # what a probe is of


def _shape(width: int, layers: int) -> dict[str, int]:
    return {"hidden_size": width, "layers": layers, "kv_heads": width // 64}


_DEPTH = "the same compute in more, narrower layers or fewer, wider ones"
_VOCABULARY = "a larger vocabulary shortens the text and makes the embedding dearer"
VARIATIONS = {
    "AdamW instead of Muon": Variation(
        "optimizer",
        {"optimizer": "adamw"},
        "Loshchilov and Hutter 2019, the usual choice; its own rate, from the probes",
    ),
    "QK-norm": Variation(
        "attention",
        {"qk_norm": True},
        "normalised queries and keys keep attention from saturating (Henry et al. 2020)",
    ),
    "14 layers of 64": Variation("depth against width", _shape(64, 14), _DEPTH),
    "2 layers of 192": Variation("depth against width", _shape(192, 2), _DEPTH),
    "1 layer of 256": Variation("depth against width", _shape(256, 1), _DEPTH),
    "2,048 pieces": Variation("vocabulary", {"vocab_size": 2048}, _VOCABULARY),
    "8,192 pieces": Variation("vocabulary", {"vocab_size": 8192}, _VOCABULARY),
    "16,384 pieces": Variation("vocabulary", {"vocab_size": 16384}, _VOCABULARY),
    "curriculum": Variation(
        "order of the text",
        {"curriculum": True},
        "easy documents first: common words and short sentences, a part that grows until 40% of "
        "the steps (Bengio et al. 2009)",
    ),
    "no zero initialisation": Variation(
        "initial weights",
        {"zero_residual": False},
        "the projections that write to the residual stream begin as in GPT-2, not at zero",
    ),
}


def probes(steps: int) -> list[Experiment]:
    """Short runs of one seed that choose the rates, the one for both optimizers of matrices."""
    first = Experiment(name=f"probe: {MUON}", steps=steps // 2)
    adamw = replace(first, name=f"probe: {ADAMW}", optimizer="adamw")
    others = replace(first, name=f"probe: {OTHERS}", matrix_rate=0.01)
    return [
        *(replace(first, matrix_rate=rate) for rate in MUON_RATES),
        *(replace(adamw, matrix_rate=rate) for rate in ADAMW_RATES),
        *(replace(others, other_rate=rate) for rate in OTHER_RATES),
    ]


def chosen_rates(probed: list[dict[str, Any]]) -> dict[str, float]:
    """Peak rates from the probes: `muon` and `adamw` for the matrices, `other` for the rest."""
    muon = [r for r in probed if r["optimizer"] == "muon" and r["other_rate"] == 4e-3]
    adamw = [r for r in probed if r["optimizer"] == "adamw"]
    others = [r for r in probed if r["optimizer"] == "muon" and r["matrix_rate"] == 0.01]
    return {
        "muon": best(muon)["matrix_rate"],
        "adamw": best(adamw)["matrix_rate"],
        "other": best(others)["other_rate"],
    }


def experiments(steps: int, rates: dict[str, float]) -> list[Experiment]:
    """Baseline and variations, seed after seed, so that a sweep cut short has whole seeds."""
    common = {"steps": steps, "matrix_rate": rates["muon"], "other_rate": rates["other"]}
    baseline = Experiment(name=BASELINE, **common)
    flops = baseline.flops_per_step() * steps
    varied = [baseline]
    for name, variation in VARIATIONS.items():
        changed = replace(baseline, name=name, **variation.changes)
        if changed.optimizer == "adamw":
            changed = replace(changed, matrix_rate=rates["adamw"])
        varied.append(changed.with_flops(flops))
    return [replace(experiment, seed=seed) for seed in SEEDS for experiment in varied]


def best(found: list[dict[str, Any]]) -> dict[str, Any]:
    """The record of fewest bits per byte; a run that diverged is the worst."""
    return min(found, key=lambda r: (math.isnan(r["bits_per_byte"]), r["bits_per_byte"]))


def main() -> None:
    """Run what is missing, then write the report."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add_arguments(parser, RESULTS)
    parser.add_argument("--steps", type=int, default=STEPS, help="of the baseline (%(default)s)")
    options = parser.parse_args()
    if not options.report:
        if not options.text or not options.work:
            parser.error("--text and --work are needed, or --report")
        where = (options.text, options.work, options.results, options.jobs)
        probed = sweep(probes(options.steps), *where)
        sweep(experiments(options.steps, chosen_rates(probed)), *where)
    REPORT.write_text(report(records.read(options.results), VARIATIONS), encoding="utf-8")
    say(f"wrote {REPORT}")


if __name__ == "__main__":
    main()
