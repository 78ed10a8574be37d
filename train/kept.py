"""A mean of what weights became in training and what they were before.

Such a mean is often better than either (Wortsman et al. 2022, arXiv:2109.01903).
"""

import argparse

from mlx_toy.errors import UserError
from train.descent import Weights


def add_kept(parser: argparse.ArgumentParser) -> None:
    """Declare `--kept`, for a command that has `--init`."""
    parser.add_argument(
        "--kept",
        type=float,
        default=0.0,
        metavar="SHARE",
        help="of the weights it began with, in a mean with what they became (default: 0)",
    )


def check_kept(options: argparse.Namespace) -> None:
    """Check `--kept`.

    Raises:
        UserError: there is nothing to keep a share of, or it is not from 0 to less than 1.
    """
    if options.kept and not options.init:
        raise UserError(f"--kept {options.kept:g} is of nothing: pass --init DIR, too")
    if not 0 <= options.kept < 1:
        raise UserError(f"--kept {options.kept:g} is no share: pass 0 or more, and less than 1")


def mean_of(weights: Weights, others: Weights, share: float) -> Weights:
    """The mean of two networks' weights, with a share of the others."""
    if not share:
        return weights
    return {name: (1 - share) * value + share * others[name] for name, value in weights.items()}
