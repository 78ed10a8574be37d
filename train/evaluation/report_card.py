"""`report.md`: the report for people, with its figures beside it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from train.evaluation.grammar import ACCURACY
from train.evaluation.measures import MEASURES, Measure
from train.evaluation.memory import HELD_OUT
from train.records import write_text

FILE = "report.md"
_MET = {True: "yes", False: "no", None: ""}


def write(out: Path, model: Path, report: Mapping[str, Any]) -> Path:
    """Write the report card and its figures.

    Args:
        out: directory to write into.
        model: its directory, which may tell how it learned and how it abstains.
        report: the content of `report.json`.
    """
    from train.evaluation import pictures  # matplotlib takes a second, and the card needs none

    drawn = pictures.draw(out, model, report)
    path = out / FILE
    write_text(card(report, drawn), path)
    return path


def card(report: Mapping[str, Any], drawn: Mapping[str, str]) -> str:
    """The text of the report card.

    Args:
        report: the content of `report.json`.
        drawn: for each figure its title and its file, relative to the card.
    """
    model = report["model"]
    parts = [
        f"# Report card: {model['name']}",
        f"{model['parameters']:,} parameters. Measured by `python -m train evaluate` on text that "
        "the model was not trained on; ± is one standard error, the items taken as independent.",
        table(
            report, missing="questions" in report.get("rows", {})
        ),  # a base model has no such row
        "## Beside others",
        beside_others(report),
        "## How each figure was obtained",
        _how(report),
    ]
    if phenomena := _phenomena(report):
        parts += ["## Grammar by phenomenon", phenomena]
    for title, file in drawn.items():
        parts.append(f"![{title}]({file})")
    return "\n\n".join(parts) + "\n"


def table(report: Mapping[str, Any], missing: bool = True) -> str:
    """What was measured against what was aimed at.

    Args:
        report: the content of `report.json`.
        missing: whether figures that were not measured are named too.
    """
    rows = ["| | measured | n | target | reached |", "|---|---:|---:|---:|---|"]
    for measure in MEASURES:
        name, aim = measure.name, measure.aim()
        if name in report:
            count = report.get("details", {}).get(name, {}).get("n")
            items = "" if count is None else f"{count:,}"
            shown, reached = measure.with_error(report), _MET[measure.met(report[name])]
            rows.append(f"| {measure.label} | {shown} | {items} | {aim} | {reached} |")
        elif missing:
            rows.append(f"| {measure.label} | not measured | | {aim} | |")
    return "\n".join(rows)


def beside_others(report: Mapping[str, Any]) -> str:
    """One row a model or baseline; a column for each measure that two of them have."""
    models = {
        f"**{report.get('model', {}).get('name', 'this model')}**": report,
        **report.get("peers", {}),
        **report.get("baselines", {}),
    }
    if len(models) == 1:
        return "Nothing was measured beside it: `--baselines` and `--peers` do that."
    shown = [m for m in MEASURES if sum(m.name in figures for figures in models.values()) > 1]
    rows = [
        "| | " + " | ".join(measure.short for measure in shown) + " |",
        "|---|" + "---:|" * len(shown),
    ]
    for name, figures in models.items():
        cells = (_cell(measure, figures) for measure in shown)
        rows.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(rows)


def _cell(measure: Measure, figures: Mapping[str, Any]) -> str:
    return measure.shown(figures[measure.name]) if measure.name in figures else ""


def _how(report: Mapping[str, Any]) -> str:
    lines = []
    labels = {measure.name: measure.label for measure in MEASURES}
    labels[HELD_OUT] = "The same of held-out text"
    for name, details in report.get("details", {}).items():
        if name in labels:
            lines.append(
                f"- **{labels[name]}** ({details['n']:,} {details['of']}): {details['how']}."
            )
    rows = report.get("rows", {})
    if HELD_OUT in report:
        lines.append(
            f"- Of held-out text, {report[HELD_OUT]:.1f} % stands verbatim in the training text."
        )
    minutes = sum(row["seconds"] for row in rows.values()) / 60
    spent = ", ".join(f"{name} {row['seconds']:,} s" for name, row in rows.items())
    lines.append(f"- Time: {minutes:.1f} minutes ({spent}).")
    return "\n".join(lines)


def _phenomena(report: Mapping[str, Any]) -> str:
    parts = report.get("details", {}).get(ACCURACY, {}).get("parts", {})
    if not parts:
        return ""
    ordered = sorted(parts.items(), key=lambda item: -item[1]["value"])
    rows = [
        f"| {term.replace('_', ' ')} | {part['value']:.1f} ± {part['standard_error']:.1f} % "
        f"| {part['n']:,} |"
        for term, part in ordered
    ]
    return "\n".join(["| phenomenon | accuracy | pairs |", "|---|---:|---:|", *rows])
