"""Spell our sentencepiece tokenizer in the files that Hugging Face's loaders read.

Why: `tokenizer.model` is what we run, because it takes no text for a control token; every other
loader (transformers, mlx-lm, vLLM) wants a `tokenizer.json`. Both give the same ids for any text,
which a test holds. Only dictionaries are made here; no library is needed.

- Merges: sentencepiece joins the pair of neighbours whose joint piece was learned first. The same
  order comes from listing, piece by piece, every way to cut a piece into two pieces.
- Normalizer: drops the guard that `chat.CHAT_TEMPLATE` puts behind each `<` of a message, after
  control tokens have been found and before ids are made, and spells a space as U+2581.
- Decoder: exactly the sequence that mlx-lm recognises and streams without decoding anything twice.
"""

import json
from typing import Any

from mlx_toy.chat import CHAT_TEMPLATE, GUARD
from mlx_toy.tokenizer import BOS_ID, EOS_ID, PAD_ID, SPACE_MARK, SPECIAL_TOKENS, UNK_ID, Tokenizer

END_OF_TURN = "<|end|>"


def tokenizer_files(tokenizer: Tokenizer, context_length: int) -> dict[str, str]:
    """The JSON files beside `tokenizer.model`, by name.

    Args:
        tokenizer: the tokenizer to spell out.
        context_length: the longest sequence of the model, in tokens.
    """
    named = {
        "bos_token": tokenizer.piece(BOS_ID),
        "eos_token": END_OF_TURN,  # what ends a turn, so that every loader stops there
        "unk_token": tokenizer.piece(UNK_ID),
        "pad_token": tokenizer.piece(PAD_ID),
    }
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        **named,
        "clean_up_tokenization_spaces": False,
        "model_max_length": context_length,
        "chat_template": CHAT_TEMPLATE,
    }
    files = {
        "tokenizer.json": _tokenizer_json(tokenizer),
        "tokenizer_config.json": config,
        "special_tokens_map.json": named,
    }
    return {name: json.dumps(content, indent=1) + "\n" for name, content in files.items()}


def _tokenizer_json(tokenizer: Tokenizer) -> dict[str, Any]:
    """The content of `tokenizer.json`."""
    pieces = [tokenizer.piece(i) for i in range(tokenizer.vocab_size)]
    beginning = pieces[BOS_ID]
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [_control_token(i, pieces[i]) for i in _control_ids(pieces)],
        "normalizer": {
            "type": "Sequence",
            "normalizers": [_replace("<" + GUARD, "<"), _replace(" ", SPACE_MARK)],
        },
        "pre_tokenizer": None,
        "post_processor": {  # plain text begins with <s>; the chat template writes its own
            "type": "TemplateProcessing",
            "single": [_special(beginning), _sequence("A")],
            "pair": [_special(beginning), _sequence("A"), _sequence("B")],
            "special_tokens": {
                beginning: {"id": beginning, "ids": [BOS_ID], "tokens": [beginning]}
            },
        },
        "decoder": {
            "type": "Sequence",
            "decoders": [_replace(SPACE_MARK, " "), {"type": "ByteFallback"}, {"type": "Fuse"}],
        },
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": pieces[UNK_ID],
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": True,
            "byte_fallback": True,
            "ignore_merges": False,
            "vocab": {piece: i for i, piece in enumerate(pieces)},
            "merges": _merges(tokenizer, pieces),
        },
    }


def _control_ids(pieces: list[str]) -> list[int]:
    return [UNK_ID, BOS_ID, EOS_ID, PAD_ID, *(pieces.index(token) for token in SPECIAL_TOKENS)]


def _merges(tokenizer: Tokenizer, pieces: list[str]) -> list[list[str]]:
    """Every cut of every learned piece into two learned pieces, in the order they were learned."""
    learned = {piece: i for i, piece in enumerate(pieces) if tokenizer.is_learned(i)}
    return [
        [piece[:cut], piece[cut:]]
        for piece in learned
        for cut in range(1, len(piece))
        if piece[:cut] in learned and piece[cut:] in learned
    ]


def _control_token(token_id: int, piece: str) -> dict[str, Any]:
    return {
        "id": token_id,
        "content": piece,
        "single_word": False,
        "lstrip": False,
        "rstrip": False,
        "normalized": False,
        "special": True,
    }


def _replace(pattern: str, content: str) -> dict[str, Any]:
    return {"type": "Replace", "pattern": {"String": pattern}, "content": content}


def _special(token: str) -> dict[str, Any]:
    return {"SpecialToken": {"id": token, "type_id": 0}}


def _sequence(name: str) -> dict[str, Any]:
    return {"Sequence": {"id": name, "type_id": 0}}
