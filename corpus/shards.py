"""Token shards: the file format between `corpus` and `train`, version 1.

A shard is a set of files beside each other:

- `NAME.SPLIT.bin`: token ids, little-endian uint16, the records one after the other.
- `NAME.SPLIT.offsets.bin`: where each record begins, little-endian uint64, and the
  total at the end.
- `NAME.SPLIT.mask.bin`: for conversations only, one uint8 a token: 1 where the model learns.
- `NAME.SPLIT.json`: the header, written last, so that a shard without one is not finished.

A text record is `<s>` text `</s>`; a conversation is what `mlx_toy.chat.render` makes, and `</s>`.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from corpus.files import write_json

FORMAT = "mlx-toy shard"
VERSION = 1


@dataclass(frozen=True)
class Header:
    """What a shard holds.

    Attributes:
        name: of the source.
        split: "train" or "valid".
        kind: "text" or "conversation".
        tokens: ids in the shard.
        records: records in it.
        bytes: UTF-8 bytes of the text that the tokens stand for.
        vocab_size: of the tokenizer.
        tokenizer_sha256: checksum of the tokenizer's file.
        sha256: checksum of the ids.
        licence: of the source.
        made_from: checksum of everything that decides the shard's content.
    """

    name: str
    split: str
    kind: str
    tokens: int
    records: int
    bytes: int
    vocab_size: int
    tokenizer_sha256: str
    sha256: str
    licence: str
    made_from: str = ""


@dataclass(frozen=True)
class Encoded:
    """One record as ids; `loss_mask` is None for plain text; `bytes` is the length of its text."""

    ids: Sequence[int] | np.ndarray
    loss_mask: Sequence[int] | np.ndarray | None
    bytes: int


def write_shard(
    folder: Path,
    records: Iterable[Encoded],
    *,
    name: str,
    split: str,
    kind: str,
    vocab_size: int,
    tokenizer_sha256: str,
    licence: str,
    made_from: str = "",
) -> Header | None:
    """Write one shard; its header comes last and atomically.

    Args:
        folder: where; it must exist.
        records: encoded records, consumed once.
        name: of the source, as in the file names.
        split: "train" or "valid".
        kind: "text" or "conversation".
        vocab_size: of the tokenizer, at most 65,536.
        tokenizer_sha256: checksum of the tokenizer's file.
        licence: of the source.
        made_from: checksum of everything that decides the shard's content.

    Returns:
        The header; None, and no files, when there are no records.
    """
    if vocab_size > np.iinfo(np.uint16).max + 1:
        raise ValueError(f"a vocabulary of {vocab_size} does not fit 16-bit ids")
    stem = folder / f"{name}.{split}"
    header_path = stem.with_name(stem.name + ".json")
    header_path.unlink(missing_ok=True)
    paths = {part: stem.with_name(f"{stem.name}.{part}bin") for part in ("", "offsets.", "mask.")}
    records_written = tokens = text_bytes = 0
    digest = hashlib.sha256()
    with (
        open(paths[""], "wb") as ids_file,
        open(paths["offsets."], "wb") as offsets_file,
        open(paths["mask."], "wb") as mask_file,
    ):
        offsets_file.write(_offset(0))
        for record in records:
            data = np.asarray(record.ids, dtype="<u2").tobytes()
            ids_file.write(data)
            digest.update(data)
            if record.loss_mask is not None:
                mask_file.write(np.asarray(record.loss_mask, dtype=np.uint8).tobytes())
            records_written += 1
            tokens += len(record.ids)
            text_bytes += record.bytes
            offsets_file.write(_offset(tokens))
        for file in (ids_file, offsets_file, mask_file):
            file.flush()
            os.fsync(file.fileno())
    if kind == "text":
        paths["mask."].unlink()
    if not records_written:
        for path in paths.values():
            path.unlink(missing_ok=True)
        return None
    header = Header(
        name=name,
        split=split,
        kind=kind,
        tokens=tokens,
        records=records_written,
        bytes=text_bytes,
        vocab_size=vocab_size,
        tokenizer_sha256=tokenizer_sha256,
        sha256=digest.hexdigest(),
        licence=licence,
        made_from=made_from,
    )
    write_json({"format": FORMAT, "version": VERSION, **asdict(header)}, header_path)
    return header


def finished_shard(folder: Path, name: str, split: str, made_from: str) -> Header | None:
    """The header of a shard that is there already and made from the same; else None."""
    try:
        header = json.loads((folder / f"{name}.{split}.json").read_text())
    except (OSError, ValueError):
        return None
    same = (header.pop("format", None), header.pop("version", None)) == (FORMAT, VERSION)
    if not same or header.get("made_from") != made_from:
        return None
    return Header(**header)


def _offset(tokens: int) -> bytes:
    return tokens.to_bytes(8, "little")
