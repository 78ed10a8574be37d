"""From the catalogue's sources to a text sample for the tokenizer and to token shards.

Both stream: a record is read, checked, written and forgotten. One record in `VALID_EVERY`, chosen
by a hash of its id, is kept for validation, so that a record stays on its side whatever the order.
"""

import hashlib
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from corpus.catalog import STAGES, Source
from corpus.conversations import ContextRecipe, chat_messages, context_questions
from corpus.readers import read_source
from corpus.shards import Encoded, Header, finished_shard, write_shard
from mlx_toy.chat import Message, render
from mlx_toy.tokenizer import FILE_NAME, Tokenizer

VALID_EVERY = 200
MIXTURE_FILE = "mixture.json"


def used(source: Source) -> bool:
    """Whether any stage reads the source."""
    return any(source.stages.get(stage, 0) > 0 for stage in STAGES)


def is_validation(record: dict[str, Any]) -> bool:
    """Whether a record belongs to the validation split."""
    key = str(record.get("id") or record.get("text") or record.get("question") or record)
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:4], "little") % VALID_EVERY == 0


def write_text_sample(sources: list[Source], data: Path, out: Path, max_bytes: int) -> int:
    """Write plain text for training a tokenizer as JSON lines, one document a line.

    Args:
        sources: the catalogue.
        data: directory with the sources.
        out: the JSON-lines file to write.
        max_bytes: of text, shared among the sources by their parts of pretraining and fine-tuning.

    Returns:
        Bytes of text written.
    """
    parts = {s.name: s.stages.get("pretrain", 0) + s.stages.get("finetune", 0) for s in sources}
    total, written = sum(parts.values()), 0
    partial = out.with_suffix(".partial")
    with open(partial, "w", encoding="utf-8") as file:
        for source in sources:
            budget = max_bytes * parts[source.name] / total
            for text in _texts(source, data):
                if budget <= 0:
                    break
                size = len(text.encode())
                budget -= size
                written += size
                file.write(json.dumps({"text": text}, ensure_ascii=False) + "\n")
    os.replace(partial, out)
    return written


def _texts(source: Source, data: Path) -> Iterator[str]:
    if not used(source):
        return
    for record in read_source(source, data):
        if is_validation(record):
            continue
        if source.kind == "text":
            yield record["text"]
        elif source.kind == "chat":
            yield "\n".join(message["content"] for message in record["messages"])
        else:
            yield record["question"]


def write_shards(
    sources: list[Source], data: Path, tokenizer_dir: Path, out: Path, max_tokens: int
) -> list[Header]:
    """Write the training and validation shards of every used source, and the mixture.

    A shard that is there already, made from the same, is kept: an interrupted build continues.

    Args:
        sources: the catalogue.
        data: directory with the sources.
        tokenizer_dir: directory with a `tokenizer.model`.
        out: directory for the shards; it is made.
        max_tokens: of one source, so that a small run does not encode what it will not read.

    Returns:
        The headers of the shards.
    """
    out.mkdir(parents=True, exist_ok=True)
    tokenizer = Tokenizer.load(tokenizer_dir)
    checksum = hashlib.sha256(tokenizer.model_proto).hexdigest()
    headers: list[Header] = []
    for source in filter(used, sources):
        made_from = _made_from(source, data, checksum, max_tokens)
        for split in ("valid", "train"):
            if kept := finished_shard(out, source.shard_name, split, made_from):
                headers.append(kept)
                continue
            records = _limit(_encode(source, data, tokenizer, split), max_tokens)
            header = write_shard(
                out,
                records,
                name=source.shard_name,
                split=split,
                kind="text" if source.kind == "text" else "conversation",
                vocab_size=tokenizer.vocab_size,
                tokenizer_sha256=checksum,
                licence=source.licence,
                made_from=made_from,
            )
            if header:
                headers.append(header)
                print(
                    f"{source.name:32} {split:5} {header.records:>8,} records "
                    f"{header.tokens:>12,} tokens",
                    file=sys.stderr,
                )
    _write_mixture(sources, headers, tokenizer_dir / FILE_NAME, out)
    return headers


def _made_from(source: Source, data: Path, tokenizer: str, max_tokens: int) -> str:
    """Checksum of what decides a shard: the source, how it is dressed, the tokenizer, the limit."""
    digest = hashlib.sha256(f"{source.sha256} {tokenizer} {max_tokens}".encode())
    if source.kind == "question":
        digest.update(repr(ContextRecipe()).encode())
    if source.ours:
        for file in sorted(source.path(data).glob("*.jsonl")):
            digest.update(file.read_bytes())
    return digest.hexdigest()


def _write_mixture(
    sources: list[Source], headers: list[Header], tokenizer: Path, out: Path
) -> None:
    """Say which shards there are and how much of each stage each one is."""
    present = {header.name for header in headers if header.split == "train"}
    mixture = {
        "tokenizer": tokenizer.name,
        "stages": {
            stage: {
                source.shard_name: source.stages[stage]
                for source in sources
                if source.stages.get(stage, 0) > 0 and source.shard_name in present
            }
            for stage in STAGES
        },
        "sources": {
            source.shard_name: {
                "licence": source.licence,
                "attribution": source.attribution,
                "upstream": source.upstream,
                "sha256": source.sha256,
            }
            for source in sources
            if source.shard_name in present
        },
        "shards": [asdict(header) for header in headers],
    }
    partial = out / (MIXTURE_FILE + ".partial")
    partial.write_text(json.dumps(mixture, indent=1, ensure_ascii=False))
    os.replace(partial, out / MIXTURE_FILE)


def _encode(source: Source, data: Path, tokenizer: Tokenizer, split: str) -> Iterator[Encoded]:
    records = (r for r in read_source(source, data) if is_validation(r) == (split == "valid"))
    if source.kind == "text":
        for record in records:
            text = record["text"].strip()
            ids = [tokenizer.bos_id, *tokenizer.encode(text), tokenizer.eos_id]
            yield Encoded(ids, None, len(text.encode()))
        return
    conversations: Iterator[list[Message]] = (
        (chat_messages(record) for record in records)
        if source.kind == "chat"
        else context_questions(records)
    )
    for messages in conversations:
        rendered = render(messages, tokenizer)
        size = sum(len(message["content"].encode()) for message in messages)
        yield Encoded([*rendered.ids, tokenizer.eos_id], [*rendered.loss_mask, 0], size)


def _limit(records: Iterator[Encoded], max_tokens: int) -> Iterator[Encoded]:
    tokens = 0
    for record in records:
        yield record
        tokens += len(record.ids)
        if tokens >= max_tokens:
            return
