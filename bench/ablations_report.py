"""The report of the ablations from their records alone: means, spreads, verdicts by a rule."""

import math
import statistics
from dataclasses import dataclass
from typing import Any

STANDARD_ERRORS = 2.0  # a difference must be larger than so many to count
BASELINE = "baseline"


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


def report(found: list[dict[str, Any]], variations: dict[str, Variation]) -> str:
    """The whole of `ablations.md`, from the records."""
    values: dict[str, list[float]] = {}
    for record in sorted(found, key=lambda r: r["seed"]):
        values.setdefault(record["name"], []).append(record["bits_per_byte"])
    facts = {record["name"]: record for record in found}
    compared = [name for name in (BASELINE, *variations) if name in values]
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
            decided, question = verdict(change, error), variations[name].question
            difference = f"{change:+.4f} ± {error:.4f}"
            if decided != "kept":
                failed.append(f"- **{name}** ({decided}, {difference}): {variations[name].idea}.")
        rows.append(
            f"| {question} | {name} | {fact['parameters'] / 1e6:.2f}M | {fact['steps']} "
            f"| {fact['tokens'] / 1e3:,.0f}k | {fact['bytes_read'] / 1e6:.2f} MB "
            f"| {mean:.4f} ({spread:.4f}) | {difference} | {decided} |"
        )
    probed = [
        f"| {r['name'].removeprefix('probe: ')} | {r['matrix_rate']:g} | {r['other_rate']:g} "
        f"| {r['steps']} | {r['bits_per_byte']:.4f} |"
        for r in sorted(found, key=lambda r: (r["name"], r["matrix_rate"], r["other_rate"]))
        if r["name"].startswith("probe")
    ]
    fact = facts[BASELINE]
    return TEMPLATE.format(
        width=fact["hidden_size"],
        layers=fact["layers"],
        pieces=fact["vocab_size"],
        rate=fact["matrix_rate"],
        other_rate=fact["other_rate"],
        tera=fact["flops"] / 1e12,
        tokens_per_step=fact["tokens_per_step"],
        seeds=len(baseline),
        limit=STANDARD_ERRORS,
        deviation=deviation,
        freedom=sum(len(values[name]) - 1 for name in compared),
        rows="\n".join(rows),
        failed="\n".join(failed) or "Nothing: every variation was kept.",
        probes="\n".join(probed),
        edges=_edges(found),
        seconds=sum(record["seconds"] for record in found) / 3600,
        runs=len(found),
    )


def _edges(found: list[dict[str, Any]]) -> str:
    """Which best rates lie at the end of what was probed, so that better ones may lie beyond."""
    ends = []
    for name in sorted({r["name"] for r in found if r["name"].startswith("probe")}):
        tried = [r for r in found if r["name"] == name]
        rates = [(r["matrix_rate"], r["other_rate"]) for r in tried]
        chosen = rates[tried.index(min(tried, key=lambda r: r["bits_per_byte"]))]
        if chosen in (min(rates), max(rates)):
            ends.append(name.removeprefix("probe: "))
    if not ends:
        return "No best rate lies at the end of its range."
    return (
        f"The best rate lies at the end of its range for: {', '.join(ends)}. A better one may lie "
        "beyond, so a comparison of optimizers here is one of rates that are good, not the best."
    )


TEMPLATE = """\
# Ablations: one change at a time, at equal compute

Made by `python -m bench.ablations --report` from `results/ablations.jsonl`: do not edit.

The baseline is {layers} layers of width {width}, {pieces:,} pieces, Muon with a rate of {rate:g} \
(AdamW for the rest, {other_rate:g}), zero-initialised projections to the residual stream, no \
QK-norm, text in random order, {tokens_per_step:,} tokens a step. Every run spends the same \
{tera:.1f} TFLOP (six operations a parameter and token, plus attention), so a variation that needs \
more for a token reads fewer tokens. Bits per byte are of the same held-out documents whatever the \
vocabulary; smaller is better.

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

One seed, half of the steps: they choose the rates of the runs above, for Muon as for AdamW, and \
are no part of the comparison.

| probe of | rate for matrices | for the rest | steps | bits per byte |
|---|---|---|---|---|
{probes}

{edges}

{runs} runs, {seconds:.1f} hours of one core.
"""
