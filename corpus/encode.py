"""Records that are used, as token ids with what the model learns of them."""

from collections.abc import Iterator
from functools import lru_cache, partial
from pathlib import Path

import numpy as np

from corpus.catalog import Source
from corpus.conversations import chat_messages, context_questions
from corpus.parallel import Workers
from corpus.readers import Line, batches, parse_record, source_lines
from corpus.screening import KEPT
from corpus.shards import Encoded
from mlx_toy.chat import render
from mlx_toy.progress import Progress
from mlx_toy.tokenizer import Tokenizer


def kept_lines(
    source: Source, data: Path, rows: np.ndarray, verdict: np.ndarray, split: str
) -> Iterator[Line]:
    """The lines of a source that are used, of one split.

    Args:
        source: what to read.
        data: directory with the sources.
        rows: of `corpus.screening` [N].
        verdict: final, of each row [N].
        split: "train" or "valid".
    """
    wanted = (verdict == KEPT) & (rows["valid"] == (split == "valid"))
    groups = rows["group"]
    for index, line in enumerate(source_lines(source, data)):
        if index >= len(wanted):
            return
        if wanted[index]:
            yield Line(line.file, line.number, line.text, int(groups[index]))


def encode(
    source: Source,
    lines: Iterator[Line],
    tokenizer: tuple[Path, str],
    max_tokens: int,
    workers: Workers,
) -> Iterator[Encoded]:
    """Encode lines until there are enough tokens.

    Args:
        source: where they come from.
        lines: of `kept_lines`.
        tokenizer: its directory and checksum.
        max_tokens: the record that reaches them is the last.
        workers: who does it.
    """
    progress = Progress(f"encode {source.name}", None)
    tokens = 0
    for encoded in workers.map(partial(_encode_batch, source.kind, *tokenizer), batches(lines)):
        progress.add(len(encoded))
        for record in encoded:
            yield record
            tokens += len(record.ids)
            if tokens >= max_tokens:
                return


def _encode_batch(kind: str, directory: Path, checksum: str, lines: list[Line]) -> list[Encoded]:
    tokenizer = _load_tokenizer(directory, checksum)
    records = (parse_record(kind, line) for line in lines)
    if kind == "text":
        return [_encode_text(record["text"].strip(), tokenizer) for record in records]
    conversations = map(chat_messages, records) if kind == "chat" else context_questions(records)
    encoded = []
    for messages in conversations:
        rendered = render(messages, tokenizer)
        encoded.append(
            Encoded(
                np.array([*rendered.ids, tokenizer.eos_id], dtype=np.uint16),
                np.array([*rendered.loss_mask, 0], dtype=np.uint8),
                sum(len(message["content"].encode()) for message in messages),
            )
        )
    return encoded


def _encode_text(text: str, tokenizer: Tokenizer) -> Encoded:
    ids = [tokenizer.bos_id, *tokenizer.encode(text), tokenizer.eos_id]
    return Encoded(np.array(ids, dtype=np.uint16), None, len(text.encode()))


@lru_cache(maxsize=1)
def _load_tokenizer(directory: Path, checksum: str) -> Tokenizer:
    """One a process; another checksum is another tokenizer."""
    return Tokenizer.load(directory)
