"""Metrics as a live web page, by trackio, for those who have it: `--track PROJECT`.

Open the page with `trackio show`. It stays on this computer.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mlx_toy.errors import UserError

Track = Callable[[dict[str, Any]], None]


@contextmanager
def tracker(project: str, run: Path, facts: dict[str, Any]) -> Iterator[Track]:
    """A function that sends a record of metrics to trackio; without a project, to nobody.

    Args:
        project: of trackio; empty for none.
        run: directory of the run, whose path names it, so that a run that goes on is the same one.
        facts: what the page shows as the configuration.

    Raises:
        UserError: trackio is not installed.
    """
    if not project:
        yield lambda record: None
        return
    check_installed()
    import trackio

    name = str(run.resolve()).strip("/").replace("/", "-")
    trackio.init(project=project, name=name, config=facts, resume="allow", embed=False)
    try:
        yield lambda record: trackio.log(
            {key: value for key, value in record.items() if key != "step"}, step=record["step"]
        )
    finally:
        trackio.finish()


def check_installed() -> None:
    """Say so where trackio is missing, before any time is spent.

    Raises:
        UserError: it is.
    """
    try:
        import trackio  # noqa: F401
    except ImportError as error:
        raise UserError(
            "--track needs trackio, which is not installed: run `pip install trackio`, "
            "or leave --track out"
        ) from error
