"""Train the tokenizer: sentencepiece BPE, byte fallback, the control tokens of the chat format.

Settings follow what every loader reads without loss: identity normalisation, no dummy prefix, no
whitespace removed, digits one by one, special tokens as control symbols (so that no text can
produce them). BPE: Sennrich et al. 2016 (arXiv:1508.07909); sentencepiece: Kudo and Richardson 2018
(arXiv:1808.06226).
"""

import io
import json
from collections.abc import Iterator
from pathlib import Path

import sentencepiece

from mlx_toy.errors import UserError
from mlx_toy.tokenizer import BOS_ID, EOS_ID, FILE_NAME, PAD_ID, SPECIAL_TOKENS, UNK_ID, Tokenizer
from mlx_toy.whole_files import written_at_once

MIN_BYTES = 2_000  # less text than this gives no useful pieces


def train_tokenizer(text_file: Path, out: Path, vocab_size: int, threads: int = 2) -> Tokenizer:
    """Train on a JSON-lines file of `{"text"}` and write `tokenizer.model`, atomically.

    Args:
        text_file: the sample that `python -m corpus build` writes.
        out: directory; it is made.
        vocab_size: number of pieces, bytes and control tokens included.
        threads: of sentencepiece.

    Raises:
        UserError: the file is missing, or holds too little text for so many pieces.
    """
    if not text_file.is_file():
        raise UserError(f"no text at {text_file}: write it with `python -m corpus build`")
    if text_file.stat().st_size < MIN_BYTES:
        raise UserError(f"{text_file} holds too little text for a tokenizer: give at least 2 kB")
    model = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=_lines(text_file),
            model_writer=model,
            model_type="bpe",
            vocab_size=vocab_size,
            character_coverage=0.9995,
            byte_fallback=True,
            split_digits=True,
            normalization_rule_name="identity",
            add_dummy_prefix=False,
            remove_extra_whitespaces=False,
            allow_whitespace_only_pieces=True,
            control_symbols=list(SPECIAL_TOKENS),
            unk_id=UNK_ID,
            bos_id=BOS_ID,
            eos_id=EOS_ID,
            pad_id=PAD_ID,
            num_threads=threads,
            max_sentence_length=100_000,
            minloglevel=2,
        )
    except RuntimeError as error:
        raise UserError(
            f"{text_file} does not suffice for {vocab_size} pieces: "
            "give more text or a smaller --vocab-size"
        ) from error
    out.mkdir(parents=True, exist_ok=True)
    with written_at_once(out / FILE_NAME) as partial:
        partial.write_bytes(model.getvalue())
    return Tokenizer(model.getvalue())


def _lines(text_file: Path) -> Iterator[str]:
    """The lines of all texts; a newline is no part of a piece, it goes by its byte."""
    with open(text_file, encoding="utf-8") as records:
        for record in records:
            yield from filter(str.strip, json.loads(record)["text"].split("\n"))
