"""A stream of updates at the pace of a page: the model is faster than a page can redraw."""

import time
from collections.abc import Callable, Iterator

from mlx_toy.assistant import Update

FRAME_S = 0.08  # least time between two frames


def frames(
    updates: Iterator[Update], stopped: Callable[[], bool], frame_s: float = FRAME_S
) -> Iterator[tuple[Update, bool]]:
    """Some of the updates, and always the last one, each with whether it is the last.

    Args:
        updates: growing answers; closed, and so cancelled, when this ends before they do.
        stopped: asked at each update whether it shall be the last.
        frame_s: least time between two frames, in seconds.
    """
    update, shown_at = Update(""), float("-inf")
    try:
        for update in updates:
            if update.done or stopped():
                break
            if time.monotonic() - shown_at >= frame_s:
                shown_at = time.monotonic()
                yield update, False
    finally:
        if close := getattr(updates, "close", None):
            close()
    yield update, True
