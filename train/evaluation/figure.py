"""A measured figure: its value, how sure it is, how many items it rests on, how it was obtained.

Standard errors take the items (questions, documents, pairs) as independent draws.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

DIGITS = 3  # of a value in a report


@dataclass(frozen=True)
class Figure:
    """What was measured.

    Attributes:
        value: in percent, or in the unit that the figure's name says.
        n: number of items that it rests on.
        of: what the items are.
        how: how it was obtained, in a sentence.
        standard_error: in the unit of `value`; None where it makes no sense.
        parts: the same figure for groups of the items.
    """

    value: float
    n: int
    of: str
    how: str
    standard_error: float | None = None
    parts: Mapping[str, "Figure"] = field(default_factory=dict)

    def with_parts(self, parts: Mapping[str, "Figure"]) -> "Figure":
        """The figure with that of each group."""
        return replace(self, parts=parts)

    def details(self) -> dict[str, Any]:
        """All but the value, as a report keeps it."""
        found: dict[str, Any] = {"n": self.n, "of": self.of, "how": self.how}
        if self.standard_error is not None:
            found["standard_error"] = round(self.standard_error, DIGITS)
        if self.parts:
            found["parts"] = {
                name: {
                    "value": round(part.value, DIGITS),
                    "n": part.n,
                    "standard_error": round(part.standard_error or 0, DIGITS),
                }
                for name, part in self.parts.items()
            }
        return found


def share(hits: Sequence[bool], of: str, how: str) -> Figure:
    """Percentage of items for which something holds; of no items it is 0.

    None or all of n items do not mean that it never fails: then the error is that of Laplace's
    estimate, (hits + 1) / (n + 2).
    """
    n, count = len(hits), sum(hits)
    part = count / max(1, n)
    likely = part if 0 < count < n else (count + 1) / (n + 2)
    return Figure(100 * part, n, of, how, 100 * math.sqrt(likely * (1 - likely) / max(1, n)))


def mean(values: Sequence[float], of: str, how: str) -> Figure:
    """Mean of values between 0 and 1, in percent; of no items it is 0."""
    n = len(values)
    middle = sum(values) / max(1, n)
    spread = sum((value - middle) ** 2 for value in values) / max(1, n - 1)
    return Figure(100 * middle, n, of, how, 100 * math.sqrt(spread / max(1, n)))


def ratio(above: Sequence[float], below: Sequence[float], of: str, how: str) -> Figure:
    """Sum over sum, as of bits over bytes, with the error of a ratio estimator (Cochran 1977)."""
    n = len(above)
    value = sum(above) / sum(below)
    residuals = sum((a - value * b) ** 2 for a, b in zip(above, below, strict=True))
    error = math.sqrt(residuals / max(1, n * (n - 1))) / (sum(below) / n)
    return Figure(value, n, of, how, error)
