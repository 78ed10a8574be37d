"""Token shards as memory-mapped arrays; the format is written down in `corpus/shards.py`."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mlx_toy.errors import UserError

FORMAT, VERSION = "mlx-toy shard", 1
MIXTURE_FILE = "mixture.json"


@dataclass(frozen=True)
class Shard:
    """One source and split, mapped into memory.

    Attributes:
        name: of the source.
        tokens: ids, uint16 [N].
        offsets: where each record begins, uint64 [records + 1].
        loss_mask: uint8 [N], None for plain text.
        bytes: of the text that the tokens stand for.
        tokenizer_sha256: checksum of the tokenizer that made it.
        vocab_size: of that tokenizer.
    """

    name: str
    tokens: np.ndarray
    offsets: np.ndarray
    loss_mask: np.ndarray | None
    bytes: int
    tokenizer_sha256: str
    vocab_size: int

    @property
    def bytes_per_token(self) -> float:
        """Mean UTF-8 bytes of text a token."""
        return self.bytes / len(self.tokens)


def open_shard(folder: Path, name: str, split: str) -> Shard | None:
    """Map a shard; None when the source has none of that split.

    Raises:
        UserError: the shard is broken or of another version.
    """
    header_path = folder / f"{name}.{split}.json"
    if not header_path.is_file():
        return None
    try:
        header = json.loads(header_path.read_text())
    except ValueError as error:
        raise UserError(f"{header_path} is broken ({error}): build the shards again") from error
    if (header.get("format"), header.get("version")) != (FORMAT, VERSION):
        raise UserError(f"{header_path} is no shard of version {VERSION}: build the shards again")
    stem, tokens = header_path.with_suffix(""), header["tokens"]
    mask = None
    if header["kind"] == "conversation":
        mask = _map(Path(f"{stem}.mask.bin"), np.dtype(np.uint8), tokens)
    offsets = _map(Path(f"{stem}.offsets.bin"), np.dtype("<u8"), header["records"] + 1)
    return Shard(
        name=name,
        tokens=_map(Path(f"{stem}.bin"), np.dtype("<u2"), tokens),
        offsets=offsets.astype(np.int64),
        loss_mask=mask,
        bytes=header["bytes"],
        tokenizer_sha256=header["tokenizer_sha256"],
        vocab_size=header["vocab_size"],
    )


def _map(path: Path, dtype: np.dtype, length: int) -> np.ndarray:
    """An array in a file, as long as its header says."""
    try:
        found = path.stat().st_size // dtype.itemsize
    except OSError as error:
        raise UserError(f"{path} is missing: build the shards again") from error
    if found != length or not length:
        raise UserError(
            f"{path} holds {found:,} entries, not the {length:,} of its header: "
            "build the shards again"
        )
    return np.memmap(path, dtype=dtype, mode="r")


@dataclass(frozen=True)
class Mixture:
    """The shards of a stage with their parts of its tokens."""

    shards: list[Shard]
    parts: list[float]


def read_mixture_file(folder: Path) -> dict:
    """The `mixture.json` beside the shards.

    Raises:
        UserError: there is none.
    """
    try:
        return json.loads((folder / MIXTURE_FILE).read_text())
    except OSError as error:
        raise UserError(
            f"no token shards at {folder}: write them with `python -m corpus build`"
        ) from error
    except ValueError as error:
        raise UserError(
            f"{folder / MIXTURE_FILE} is broken ({error}): build the shards again"
        ) from error


def open_mixture(folder: Path, stage: str, split: str = "train") -> Mixture:
    """Map the shards that a stage reads.

    Raises:
        UserError: there are none, or they were made by different tokenizers.
    """
    parts = read_mixture_file(folder)["stages"].get(stage, {})
    found = [(open_shard(folder, name, split), part) for name, part in parts.items()]
    present = [(shard, part) for shard, part in found if shard is not None]
    if not present:
        raise UserError(f"no shards for the stage {stage!r} at {folder}: build the shards again")
    if len({shard.tokenizer_sha256 for shard, _ in present}) > 1:
        raise UserError(f"the shards at {folder} come from different tokenizers: build them again")
    return Mixture([shard for shard, _ in present], [part for _, part in present])
