"""A tiny preset and small shards with every stage, for tests that run whole commands or stages."""

import hashlib
import json
import os
from pathlib import Path

from corpus.shards import Encoded, write_shard
from mlx_toy.chat import render
from mlx_toy.tokenizer import Tokenizer
from train.presets import Preset

# For training in a process of its own: this one's setting, a thread a core, is for serving.
ONE_THREAD = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}

# One layer of width 64; a step reads 8 windows of 32 tokens in 4 micro-batches.
TINY = Preset("tiny", 64, 1, 1, 400, 64, 32, 256, 64, pretrain_steps=4, finetune_steps=2)


def write_shards(folder: Path, tokenizer: Tokenizer, texts: int = 400) -> Path:
    """Write text and conversation shards with their mixture and the tokenizer."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tokenizer.model").write_bytes(tokenizer.model_proto)
    common = {
        "vocab_size": tokenizer.vocab_size,
        "tokenizer_sha256": hashlib.sha256(tokenizer.model_proto).hexdigest(),
        "licence": "CC0-1.0",
    }
    for split, count in (("train", texts), ("valid", texts // 8)):
        lines = [f"The {a} sat on mat {i}." for i in range(count) for a in ("cat", "dog")]
        records = (Encoded([1, *tokenizer.encode(line), 2], None, len(line)) for line in lines)
        write_shard(folder, records, name="text", split=split, kind="text", **common)
    write_shard(
        folder, _talks(tokenizer), name="talk", split="train", kind="conversation", **common
    )
    stages = {"pretrain": {"text": 1.0}, "decay": {"text": 1.0}, "finetune": {"talk": 1.0}}
    sources = {name: {"licence": "CC0-1.0"} for name in ("text", "talk")}
    (folder / "mixture.json").write_text(json.dumps({"stages": stages, "sources": sources}))
    return folder


def _talks(tokenizer: Tokenizer):
    for number in range(40):
        question = {"role": "user", "content": f"What is {number}?"}
        rendered = render([question, {"role": "assistant", "content": "A number."}], tokenizer)
        yield Encoded(rendered.ids, rendered.loss_mask, 20)
