"""Command-line values that several commands share: their types, flags and checks."""

import argparse

from mlx_toy.errors import UserError


def positive(text: str) -> int:
    """A whole number of at least 1."""
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"{number} is less than 1")
    return number


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
    """Refuse a share that is none, or of nothing.

    Raises:
        UserError: it is.
    """
    if options.kept and not options.init:
        raise UserError(f"--kept {options.kept:g} is of nothing: pass --init DIR, too")
    if not 0 <= options.kept < 1:
        raise UserError(f"--kept {options.kept:g} is no share: pass 0 or more, and less than 1")
