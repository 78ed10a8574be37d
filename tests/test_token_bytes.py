"""Tokens of any tokenizer as bytes: what they spell joined is what the tokenizer decodes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from mlx_toy.token_bytes import TokenBytes

TEXTS = ["The café at Brenn opens at 6:30, they said.", "naïve 🦜 parrots cost $5 – or 4%!", "a  b"]
SPECIAL = ["<unk>", "</s>"]


def byte_level() -> Tokenizer:
    """As GPT-2, Llama 3 and Qwen cut text."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=330, special_tokens=SPECIAL, initial_alphabet=alphabet, show_progress=False
    )
    bpe.train_from_iterator(TEXTS, trainer)
    return bpe


def byte_fallback(metaspace: bool) -> Tokenizer:
    """As Llama 2 and Gemma cut text: a space is \u2581, rare characters are bytes."""
    letters = sorted(set("\u2581".join(TEXTS).replace(" ", "\u2581")) - {"🦜"})
    pieces = [
        *SPECIAL,
        *(f"<0x{byte:02X}>" for byte in range(256)),
        *letters,
        "\u2581t",
        "\u2581th",
    ]
    vocabulary = {piece: place for place, piece in enumerate(pieces)}
    merges = [("\u2581", "t"), ("\u2581t", "h")]
    bpe = Tokenizer(models.BPE(vocabulary, merges, unk_token="<unk>", byte_fallback=True))
    if metaspace:
        bpe.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="never", split=False)
        bpe.decoder = decoders.Sequence(
            [decoders.ByteFallback(), decoders.Fuse(), decoders.Metaspace(prepend_scheme="never")]
        )
    else:
        bpe.normalizer = normalizers.Replace(" ", "\u2581")
        steps = [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse()]
        bpe.decoder = decoders.Sequence(steps)
    return bpe


def word_piece() -> Tokenizer:
    """As BERT cuts text: ## goes on a word, and a space is not spelled."""
    pieces = [*SPECIAL, *"abcdehinorstvy", *(f"##{letter}" for letter in "abcdehinorstvy"), "the"]
    words = Tokenizer(models.WordPiece({p: i for i, p in enumerate(pieces)}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.decoder = decoders.WordPiece(cleanup=False)
    return words


def wrapped(tokenizer: Tokenizer) -> Any:
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>", eos_token="</s>")


KINDS: dict[str, Callable[[], Tokenizer]] = {
    "byte level": byte_level,
    "byte fallback": lambda: byte_fallback(metaspace=False),
    "metaspace": lambda: byte_fallback(metaspace=True),
}


@pytest.mark.parametrize("kind", KINDS)
def test_tokens_spell_the_text(kind: str) -> None:
    tokenizer = wrapped(KINDS[kind]())
    table = TokenBytes.of(tokenizer, tokenizer.all_special_ids)
    for text in TEXTS:
        ids = tokenizer.encode(text, add_special_tokens=False)
        assert b"".join(table[token] for token in ids).decode() == text
    assert [table[token] for token in tokenizer.all_special_ids] == [b"", b""]


def test_words_without_their_spaces_are_spelled_in_context() -> None:
    tokenizer = wrapped(word_piece())
    table = TokenBytes.of(tokenizer, [1])
    ids = tokenizer.encode("the shore is there", add_special_tokens=False)
    assert b"".join(table[token] for token in ids) == b" the shore is there"


def test_our_own_tokenizer_is_read_alike_in_both_its_forms(
    tiny_tokenizer: Any, tiny_model_dir: Path
) -> None:
    ours = TokenBytes.ours(tiny_tokenizer)
    other = TokenBytes.of(AutoTokenizer.from_pretrained(tiny_model_dir), [tiny_tokenizer.end_id])
    assert ours.end_ids == other.end_ids
    for token in range(tiny_tokenizer.vocab_size):
        assert ours[token] == other[token]


@settings(max_examples=50, deadline=None)
@given(text=st.text(alphabet="aab é🦜\n", max_size=12))
def test_beginnings_are_all_tokens_that_a_text_begins_with(tiny_tokenizer: Any, text: str) -> None:
    table = TokenBytes.ours(tiny_tokenizer)
    spelled = text.encode()
    expected = {
        token
        for token in range(tiny_tokenizer.vocab_size)
        if table[token] and spelled.startswith(table[token])
    }
    found = list(table.beginnings(spelled))
    assert {token for _, ids in found for token in ids} == expected
    assert [length for length, _ in found] == sorted({len(table[token]) for token in expected})


def test_a_token_that_no_vocabulary_has_spells_nothing(tiny_tokenizer: Any) -> None:
    table = TokenBytes.ours(tiny_tokenizer)
    assert table[tiny_tokenizer.vocab_size + 5] == b""  # models pad their logits
