"""The figures that count, in the order of a report: what they are called, and what is aimed at."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from train.evaluation.citations import CITED
from train.evaluation.endings import ENDS
from train.evaluation.grammar import ACCURACY
from train.evaluation.memory import VERBATIM
from train.evaluation.questions import SET as QUESTIONS
from train.evaluation.replies import FLUENT, OWN_FLUENT


@dataclass(frozen=True)
class Measure:
    """A row of the report.

    Attributes:
        name: of the figure in `report.json`.
        label: for people.
        short: for the head of a table.
        target: what the released model is to reach; None for none.
        larger_is_better: else the target is a ceiling.
        unit: put behind the value.
    """

    name: str
    label: str
    short: str
    target: float | None
    larger_is_better: bool = True
    unit: str = " %"

    def shown(self, value: float) -> str:
        """The value as the report writes it."""
        return f"{value:.1f}{self.unit}" if self.unit else f"{value:.3f}"

    def with_error(self, report: Mapping[str, Any]) -> str:
        """The figure in a report with its standard error."""
        error = report.get("details", {}).get(self.name, {}).get("standard_error")
        shown = self.shown(report[self.name])
        if error is None:
            return shown
        digits = f"{error:.1f}" if self.unit else f"{error:.3f}"
        return f"{shown.removesuffix(self.unit)} ± {digits}{self.unit}"

    def aim(self) -> str:
        """The target in words."""
        if self.target is None:
            return ""
        bound = "at least" if self.larger_is_better else "at most"
        return f"{bound} {self.target:g}{self.unit}"

    def met(self, value: float) -> bool | None:
        """Whether a value reaches the target; None where there is none."""
        if self.target is None:
            return None
        return value >= self.target if self.larger_is_better else value <= self.target


MEASURES = (
    Measure(
        "bits_per_byte.simplewiki_public",
        "Completes pages of Simple English Wikipedia, bits per byte",
        "wiki, bits/byte",
        1.05,
        larger_is_better=False,
        unit="",
    ),
    Measure(
        "bits_per_byte.stories_public",
        "Completes simple stories, bits per byte",
        "stories, bits/byte",
        0.75,
        larger_is_better=False,
        unit="",
    ),
    Measure(ACCURACY, "Grammar: BLiMP accuracy", "BLiMP", 78),
    Measure(f"{QUESTIONS}.f1", "SQuAD answers from the gold passage, F1", "F1", 55),
    Measure(f"{QUESTIONS}.exact_match", "SQuAD answers, exact match", "EM", 42),
    Measure(f"{QUESTIONS}.quote_holds_answer", "Quoted sentence holds a gold answer", "quotes", 92),
    Measure(
        f"{QUESTIONS}.correct_refusals", "Refuses unanswerable questions", "right refusals", 65
    ),
    Measure(
        f"{QUESTIONS}.false_refusals",
        "Refuses answerable questions",
        "false refusals",
        15,
        larger_is_better=False,
    ),
    Measure(CITED, "Cites the passage that answers, of four", "cites", 85),
    Measure(FLUENT, "Replies in the app fluent and on topic, by a reader", "chats", 75),
    Measure(OWN_FLUENT, "The same, all of it the model's own words", "own words", None),
    Measure(ENDS, "Replies end by themselves, not in circles", "ends", 98),
    Measure(
        VERBATIM,
        "Samples that stand verbatim in the training text",
        "verbatim",
        1,
        larger_is_better=False,
    ),
)
