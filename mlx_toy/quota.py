"""How much a workspace may hold: passages, because search goes through all of them, and bytes.

On one's own computer the limits keep search quick; on a Space each visitor has a small share.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from mlx_toy.errors import UserError
from mlx_toy.rows import StoredDocument


class QuotaError(UserError):
    """A document does not fit into its workspace any more."""


@dataclass(frozen=True)
class Quota:
    """The most that a workspace may hold.

    Attributes:
        passages: of all documents.
        bytes: of all files.
    """

    passages: int
    bytes: int

    def check(
        self, there: Sequence[StoredDocument], name: str, passages: int, size_bytes: int
    ) -> None:
        """Refuse a document that does not fit.

        Args:
            there: the documents that will stay beside it.
            name: of the new one.
            passages: of the new one.
            size_bytes: of its file.

        Raises:
            QuotaError: with what is full, and what to do.
        """
        left = self.passages - sum(document.passages for document in there)
        if passages > left:
            raise QuotaError(
                f"{name} has {passages:,} passages and there is room for {max(0, left):,}: "
                "remove documents that you no longer need"
            )
        left = self.bytes - sum(document.bytes for document in there)
        if size_bytes > left:
            raise QuotaError(
                f"{name} has {size_line(size_bytes)} and there is room for "
                f"{size_line(max(0, left))}: remove documents that you no longer need"
            )


def size_line(count: int) -> str:
    """A number of bytes for people: "3 kB", "1.4 MB"."""
    if count < 1_000:
        return f"{count} bytes"
    for unit, size in (("kB", 1e3), ("MB", 1e6), ("GB", 1e9)):
        if count < 999.5 * size or unit == "GB":
            number = count / size
            return (
                f"{number:.0f} {unit}" if number >= 10 or unit == "kB" else f"{number:.1f} {unit}"
            )
    raise AssertionError
