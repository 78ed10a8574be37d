"""How good a model of N parameters gets on D bytes of text: L(N, D) = E + A / N^alpha + B / D^beta.

The form and the way to fit it (approach 3) are those of Hoffmann et al. 2022 (arXiv:2203.15556);
here L is in bits per byte, N counts all parameters and D the UTF-8 bytes of text that were read, so
that models of different vocabularies compare. E is what no model could remove, A / N^alpha what a
larger model would, B / D^beta what more text would.

`bench/scaling.py` trains the small models, fits the law and stores both in `scaling_law.json`;
`python -m train plan` predicts from it. The interval comes from laws fitted to runs drawn with
replacement, each prediction moved by one of the fit's own errors: what a new run may show, if the
form is right. Beyond the runs it is widened by as much as the law missed the runs held out of the
fit; far beyond, nothing here can tell whether the form still holds.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path

import numpy as np

from mlx_toy.errors import UserError

FILE = Path(__file__).with_name("scaling_law.json")
EXPONENTS = (0.05, 1.0)  # alpha and beta are looked for between these
GRID, ZOOMS = 12, 5  # points a side of the grid, and how often it closes in on the best of them
HUBER = 0.01  # errors of log loss above this count by their size, not by their square
REWEIGHTINGS = 6  # of the least squares, until they are Huber's
DRAWS = 100  # of runs with replacement
INTERVAL = (5.0, 95.0)  # percentiles


@dataclass(frozen=True)
class Run:
    """One trained model.

    Attributes:
        parameters: all of them, N.
        bytes_read: UTF-8 bytes of the text it was trained on, D; text read twice counts twice.
        bits_per_byte: on held-out text.
    """

    parameters: float
    bytes_read: float
    bits_per_byte: float


@dataclass(frozen=True)
class Law:
    """The five numbers of L(N, D), in bits per byte."""

    E: float
    A: float
    B: float
    alpha: float
    beta: float

    def __call__(self, parameters: float, bytes_read: float) -> float:
        """Bits per byte of a model of so many parameters after so many bytes of text."""
        return self.E + self.A / parameters**self.alpha + self.B / bytes_read**self.beta


@dataclass(frozen=True)
class Prediction:
    """Bits per byte with a 90% interval."""

    bits_per_byte: float
    low: float
    high: float


@dataclass(frozen=True)
class ScalingLaw:
    """A fitted law with what tells how far to trust it.

    Attributes:
        law: fitted to all runs.
        draws: fitted to runs drawn with replacement.
        errors: log of the measured over the fitted bits per byte of each run.
        runs: what it was fitted to.
        held_out: larger runs that it was not fitted to, to see how far off it is for them.
    """

    law: Law
    draws: tuple[Law, ...]
    errors: tuple[float, ...]
    runs: tuple[Run, ...]
    held_out: tuple[Run, ...] = ()

    def predict(self, parameters: float, bytes_read: float) -> Prediction:
        """What a new run is expected to reach."""
        errors = np.resize(np.asarray(self.errors), len(self.draws))
        likely = [draw(parameters, bytes_read) for draw in self.draws] * np.exp(errors)
        low, high = np.percentile(likely, INTERVAL)
        if max(self.beyond(parameters, bytes_read)) > 1:
            missed = np.exp([0.0, *_log_errors(self.law, self.held_out)])
            low, high = low * missed.min(), high * missed.max()
        return Prediction(self.law(parameters, bytes_read), float(low), float(high))

    def beyond(self, parameters: float, bytes_read: float) -> tuple[float, float]:
        """How many times the largest fitted run's parameters and bytes these are."""
        most_parameters = max(run.parameters for run in self.runs)
        most_bytes = max(run.bytes_read for run in self.runs)
        return parameters / most_parameters, bytes_read / most_bytes


def fit(runs: Sequence[Run], seed: int = 0, draws: int = DRAWS) -> ScalingLaw:
    """Fit the law, and again to runs drawn with replacement for the interval.

    Args:
        runs: of at least two sizes and two lengths each, or the law cannot be told.
        seed: of the draws.
        draws: how many.

    Raises:
        ValueError: too few different runs.
    """
    if min(len({r.parameters for r in runs}), len({r.bytes_read for r in runs})) < 2:
        raise ValueError("a scaling law needs runs of at least two sizes and two lengths")
    law, rng = fit_law(runs), np.random.default_rng(seed)
    fitted = []
    while len(fitted) < draws:
        drawn = [runs[i] for i in rng.integers(0, len(runs), len(runs))]
        if len({r.parameters for r in drawn}) > 1 and len({r.bytes_read for r in drawn}) > 1:
            fitted.append(fit_law(drawn))
    errors = rng.permutation(_log_errors(law, runs))
    return ScalingLaw(law, tuple(fitted), tuple(errors.tolist()), tuple(runs))


def fit_law(runs: Sequence[Run]) -> Law:
    """The law with the smallest Huber loss of log bits per byte.

    For given exponents the law is linear in E, A and B, none of them negative; so the exponents are
    searched on a grid that closes in on its best point, and the rest is least squares, weighted
    again and again until they are Huber's. Nothing depends on a starting point.
    """
    parameters = np.array([run.parameters for run in runs])
    read = np.array([run.bytes_read for run in runs])
    loss = np.array([run.bits_per_byte for run in runs])
    # Powers of ratios to the geometric mean keep the linear systems well conditioned.
    middle_n, middle_d = np.exp(np.log(parameters).mean()), np.exp(np.log(read).mean())
    low, high = np.full(2, EXPONENTS[0]), np.full(2, EXPONENTS[1])
    for _ in range(ZOOMS):
        axes = [np.linspace(low[i], high[i], GRID) for i in range(2)]
        alpha, beta = (grid.ravel() for grid in np.meshgrid(*axes, indexing="ij"))
        terms = np.stack(  # [G, runs, 3]
            [
                np.ones((len(alpha), len(loss))),
                (parameters / middle_n) ** -alpha[:, None],
                (read / middle_d) ** -beta[:, None],
            ],
            axis=-1,
        )
        factors, errors = _robust_factors(terms, loss)
        best = int(np.argmin(errors))
        step = (high - low) / (GRID - 1)
        centre = np.array([alpha[best], beta[best]])
        low = np.maximum(centre - step, EXPONENTS[0])
        high = np.minimum(centre + step, EXPONENTS[1])
    constant, size, length = factors[best]
    a, b = centre
    return Law(
        float(constant),
        float(size * middle_n**a),
        float(length * middle_d**b),
        float(a),
        float(b),
    )


def _robust_factors(terms: np.ndarray, loss: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Factors of the terms for every point of the grid [G, 3], and their Huber losses [G]."""
    weights = np.ones((len(terms), len(loss))) / loss**2
    for _ in range(REWEIGHTINGS):
        factors = _nonnegative_least_squares(terms, loss, weights)
        fitted = np.maximum((terms @ factors[..., None])[..., 0], 1e-9)  # [G, runs]
        errors = np.log(fitted / loss)
        weights = np.minimum(1.0, HUBER / np.maximum(np.abs(errors), 1e-12)) / loss**2
    size = np.abs(errors)
    huber = np.where(size <= HUBER, size**2 / 2, HUBER * (size - HUBER / 2))
    return factors, huber.sum(axis=1)


def _nonnegative_least_squares(
    terms: np.ndarray, target: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """For every point of the grid the three factors, none below 0, with the least squared error.

    With three factors there are seven sets of those that are not 0; the best solution without a
    negative factor over all sets is the constrained optimum.
    """
    weighted = terms * weights[..., None]
    gram = np.einsum("gri,grj->gij", weighted, terms)
    moment = np.einsum("gri,r->gi", weighted, target)
    best = np.zeros(moment.shape)
    least = np.full(len(terms), np.inf)
    for count in (1, 2, 3):
        for chosen in combinations(range(3), count):
            some = list(chosen)
            system = gram[:, some][:, :, some] + 1e-12 * np.eye(count)
            solution = np.linalg.solve(system, moment[:, some][..., None])[..., 0]
            # The squared error, less that of the target alone.
            error = -np.einsum("gi,gi->g", solution, moment[:, some])
            better = (solution >= 0).all(axis=1) & (error < least)
            least = np.where(better, error, least)
            found = np.zeros(moment.shape)
            found[:, some] = solution
            best = np.where(better[:, None], found, best)
    return best


def _log_errors(law: Law, runs: Sequence[Run]) -> np.ndarray:
    fitted = [law(run.parameters, run.bytes_read) for run in runs]
    return np.log([run.bits_per_byte for run in runs]) - np.log(fitted)


def to_json(fitted: ScalingLaw) -> str:
    """The law as the text of `scaling_law.json`, a run or a draw a line."""
    parts = {
        "law": _dump(fitted.law),
        "runs": _dump_lines(fitted.runs),
        "errors": json.dumps([float(f"{error:.5g}") for error in fitted.errors]),
        "held_out": _dump_lines(fitted.held_out),
        "draws": _dump_lines(fitted.draws),
    }
    return "{\n" + ",\n".join(f'"{name}": {text}' for name, text in parts.items()) + "\n}\n"


def _dump(item: Law | Run) -> str:
    digits = "{:.5g}" if isinstance(item, Law) else "{:.10g}"
    return json.dumps({name: float(digits.format(v)) for name, v in asdict(item).items()})


def _dump_lines(items: Sequence[Law | Run]) -> str:
    return "[\n" + ",\n".join(_dump(item) for item in items) + "\n]"


def load(path: Path = FILE) -> ScalingLaw:
    """Read a law that `to_json` wrote.

    Raises:
        UserError: the file is missing or broken.
    """
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        return ScalingLaw(
            Law(**stored["law"]),
            tuple(Law(**draw) for draw in stored["draws"]),
            tuple(stored["errors"]),
            tuple(Run(**run) for run in stored["runs"]),
            tuple(Run(**run) for run in stored["held_out"]),
        )
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UserError(
            f"no scaling law at {path} ({error}): write it again with "
            "`python -m bench.scaling --report`"
        ) from error
