"""One change at a time to a tiny model, at equal compute: which parts of the recipe are worth it?

    python -m bench.ablations --text out/text.jsonl --work work [--steps N]
    python -m bench.ablations --report      (write ablations.md again from the recorded results)

Every variation spends the operations of the baseline and is trained with three seeds. Rates are
probed first, with one seed and half of the steps; the probes are recorded as such. What was learned
and by which rule stands in `ablations.md`, which is made from `results/ablations.jsonl` alone.
"""

import argparse
import math
import statistics
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench.experiment import ROOT, Experiment, sweep
from train import records
from train.progress import say

RESULTS = ROOT / "bench" / "results" / "ablations.jsonl"
REPORT = ROOT / "bench" / "ablations.md"
STEPS = 200  # of the baseline: minutes a run on one core
SEEDS = (0, 1, 2)
MUON_RATES, ADAMW_RATES = (0.01, 0.02, 0.04), (1e-3, 3e-3, 1e-2)
STANDARD_ERRORS = 2.0  # a difference must be larger than so many to count
BASELINE = "baseline"
ADAMW = "AdamW instead of Muon"


@dataclass(frozen=True)
class Variation:
    """One change.

    Attributes:
        question: that it answers, with others perhaps.
        changes: fields of the experiment that differ from the baseline's.
        idea: why one would expect something of it, with the source.
    """

    question: str
    changes: dict[str, Any]
    idea: str


def _shape(width: int, layers: int) -> dict[str, int]:
    return {"hidden_size": width, "layers": layers, "kv_heads": width // 64}


_DEPTH = "the same compute in more, narrower layers or fewer, wider ones"
_VOCABULARY = "a larger vocabulary shortens the text and makes the embedding dearer"
VARIATIONS = {
    ADAMW: Variation(
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
    """Short runs of one seed that choose AdamW's rate for the matrices, and check Muon's."""
    muon = [Experiment(name="probe of Muon", steps=steps // 2, matrix_rate=r) for r in MUON_RATES]
    adamw = [replace(muon[0], name="probe of AdamW", optimizer="adamw")]
    return muon + [replace(adamw[0], matrix_rate=rate) for rate in ADAMW_RATES]


def experiments(steps: int, adamw_rate: float) -> list[Experiment]:
    """Baseline and variations, seed after seed, so that a sweep cut short has whole seeds."""
    baseline = Experiment(name=BASELINE, steps=steps)
    flops = baseline.flops_per_step() * steps
    varied = [baseline]
    for name, variation in VARIATIONS.items():
        changed = replace(baseline, name=name, **variation.changes)
        if changed.optimizer == "adamw":
            changed = replace(changed, matrix_rate=adamw_rate)
        varied.append(changed.with_flops(flops))
    return [replace(experiment, seed=seed) for seed in SEEDS for experiment in varied]


def best(found: list[dict[str, Any]]) -> dict[str, Any]:
    """The record of fewest bits per byte; a run that diverged is the worst."""
    return min(found, key=lambda r: (math.isnan(r["bits_per_byte"]), r["bits_per_byte"]))


def pooled_deviation(groups: list[list[float]]) -> float:
    """Standard deviation between seeds, from all groups together."""
    groups = [group for group in groups if len(group) > 1]
    freedom = sum(len(group) - 1 for group in groups)
    squares = sum(statistics.variance(group) * (len(group) - 1) for group in groups)
    return math.sqrt(squares / freedom) if freedom else math.nan


def verdict(difference: float, standard_error: float) -> str:
    """By the rule of the report; a difference that is no number counts as worse."""
    if abs(difference) <= STANDARD_ERRORS * standard_error:
        return "no difference"
    return "kept" if difference < 0 else "rejected"


def report(found: list[dict[str, Any]]) -> str:
    """The whole of `ablations.md`, from the records."""
    values: dict[str, list[float]] = {}
    for record in sorted(found, key=lambda r: r["seed"]):
        values.setdefault(record["name"], []).append(record["bits_per_byte"])
    facts = {record["name"]: record for record in found}
    compared = [name for name in (BASELINE, *VARIATIONS) if name in values]
    deviation = pooled_deviation([values[name] for name in compared])
    baseline = values[BASELINE]
    rows, failed = [], []
    for name in compared:
        mean = statistics.mean(values[name])
        spread = statistics.stdev(values[name]) if len(values[name]) > 1 else math.nan
        fact, difference, decided, question = facts[name], "", "", "what all are compared with"
        if name != BASELINE:
            error = deviation * math.sqrt(1 / len(values[name]) + 1 / len(baseline))
            change = mean - statistics.mean(baseline)
            decided, question = verdict(change, error), VARIATIONS[name].question
            difference = f"{change:+.4f} ± {error:.4f}"
            if decided != "kept":
                failed.append(f"- **{name}** ({decided}, {difference}): {VARIATIONS[name].idea}.")
        rows.append(
            f"| {question} | {name} | {fact['parameters'] / 1e6:.2f}M | {fact['steps']} "
            f"| {fact['tokens'] / 1e3:,.0f}k | {fact['bytes_read'] / 1e6:.2f} MB "
            f"| {mean:.4f} ({spread:.4f}) | {difference} | {decided} |"
        )
    probed = [
        f"| {r['name'].removeprefix('probe of ')} | {r['matrix_rate']:g} | {r['steps']} "
        f"| {r['bits_per_byte']:.4f} |"
        for r in sorted(found, key=lambda r: (r["name"], r["matrix_rate"]))
        if r["name"].startswith("probe")
    ]
    fact = facts[BASELINE]
    return TEMPLATE.format(
        width=fact["hidden_size"],
        layers=fact["layers"],
        pieces=fact["vocab_size"],
        rate=fact["matrix_rate"],
        tera=fact["flops"] / 1e12,
        tokens_per_step=fact["tokens_per_step"],
        seeds=len(baseline),
        limit=STANDARD_ERRORS,
        deviation=deviation,
        freedom=sum(len(values[name]) - 1 for name in compared),
        rows="\n".join(rows),
        failed="\n".join(failed) or "Nothing: every variation was kept.",
        probes="\n".join(probed),
        seconds=sum(record["seconds"] for record in found) / 3600,
        runs=len(found),
    )


TEMPLATE = """\
# Ablations: one change at a time, at equal compute

Made by `python -m bench.ablations --report` from `results/ablations.jsonl`: do not edit.

The baseline is {layers} layers of width {width}, {pieces:,} pieces, Muon with a rate of {rate:g}, \
zero-initialised projections to the residual stream, no QK-norm, text in random order, \
{tokens_per_step:,} tokens a step. Every run spends the same {tera:.1f} TFLOP (six operations a \
parameter and token, plus attention), so a variation that needs more for a token reads fewer \
tokens. Bits per byte are of the same held-out documents whatever the vocabulary; smaller is better.

| question | variation | parameters | steps | tokens | text read | bits per byte (spread) \
| difference ± standard error | verdict |
|---|---|---|---|---|---|---|---|---|
{rows}

**The rule.** {seeds} seeds each; the spread is their standard deviation. Pooled over all rows, it \
is {deviation:.4f} bits per byte ({freedom} degrees of freedom): pooled, because three values say \
little about their own spread. A difference larger than {limit:g} standard errors counts: the \
variation is *kept* if it is better than the baseline and *rejected* if it is worse. Anything \
smaller is *no difference*. If none of ten variations did anything, this rule would still find a \
small difference in one of them four times in ten.

**How far it reaches.** These are very small models after very little text, which is what many \
seeds on a CPU allow. What helps a model to learn fast shows here; what helps late (a large \
vocabulary, depth, stability at high rates) does not yet. A verdict says what to do at this size \
and where to look again at a larger one.

## What did not work

{failed}

## Probes of the rates

One seed, half of the steps: they choose AdamW's rate for the matrices and check that Muon's is \
not far off. They are no part of the comparison above.

| optimizer of the matrices | rate | steps | bits per byte |
|---|---|---|---|
{probes}

{runs} runs, {seconds:.1f} hours of one core.
"""


def main() -> None:
    """Run what is missing, then write the report."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--text", type=Path, help="JSON lines of {'text': …}")
    parser.add_argument("--work", type=Path, help="directory for tokenizers and token streams")
    parser.add_argument("--steps", type=int, default=STEPS, help="of the baseline (%(default)s)")
    parser.add_argument("--jobs", type=int, help="processes (default: one a core)")
    parser.add_argument("--results", type=Path, default=RESULTS, help="JSON lines (%(default)s)")
    parser.add_argument("--report", action="store_true", help="write the report without training")
    options = parser.parse_args()
    if not options.report:
        if not options.text or not options.work:
            parser.error("--text and --work are needed, or --report")
        where = (options.text, options.work, options.results, options.jobs)
        probed = sweep(probes(options.steps), *where)
        rate = best([r for r in probed if r["optimizer"] == "adamw"])["matrix_rate"]
        sweep(experiments(options.steps, rate), *where)
    REPORT.write_text(report(records.read(options.results)), encoding="utf-8")
    say(f"wrote {REPORT}")


if __name__ == "__main__":
    main()
