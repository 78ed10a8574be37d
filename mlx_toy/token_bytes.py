"""What each token of a vocabulary adds to a text, as bytes, for tokenizers of any kind.

Why bytes: a grammar over text must know which tokens may go on from a place in it, and tokens of
today's models are neither words nor characters: byte-level BPE cuts inside characters,
sentencepiece writes a space as ▁ and rare bytes as <0x0A>, WordPiece leaves the space out. The
table is built once a tokenizer. Tokens that add nothing (control tokens) have no bytes, so that no
grammar ever lets one through.
"""

import json
import re
from bisect import bisect_left
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

from mlx_toy.tokenizer import SPACE_MARK, Tokenizer

_BYTE_PIECE = re.compile(r"<0x([0-9A-Fa-f]{2})>")
_LONGEST_RUN = b"\xff" * 8  # no UTF-8 has this byte, and no token has so many
_ANCHOR = "a"  # a text that every vocabulary can spell


class TokenBytes:
    """The bytes of every token, and the tokens that a text may go on with.

    Args:
        spelled: for each id what it adds to a text; empty for control tokens.
        end_ids: tokens that end an answer.
    """

    def __init__(self, spelled: Sequence[bytes], end_ids: Collection[int]):
        self._spelled, self.end_ids = spelled, frozenset(end_ids)
        ids: dict[bytes, list[int]] = {}
        for token, text in enumerate(spelled):
            if text:
                ids.setdefault(text, []).append(token)
        # Sorted, the texts with a common beginning are neighbours: a trie without its nodes.
        self._sorted = sorted(ids)
        self._ids = [ids[text] for text in self._sorted]

    @classmethod
    def ours(cls, tokenizer: Tokenizer) -> "TokenBytes":
        """The table of our own tokenizer."""
        spelled = [tokenizer.token_bytes(i) for i in range(tokenizer.vocab_size)]
        return cls(spelled, [tokenizer.end_id])

    @classmethod
    def of(cls, tokenizer: Any, end_ids: Collection[int]) -> "TokenBytes":
        """The table of any Hugging Face tokenizer.

        Args:
            tokenizer: as transformers or mlx-lm loads it.
            end_ids: tokens that end an answer; they add nothing, whatever they spell.
        """
        spelled = _spelled_by_hugging_face(tokenizer)
        for token in end_ids:
            if token < len(spelled):
                spelled[token] = b""
        return cls(spelled, end_ids)

    def __getitem__(self, token: int) -> bytes:
        return self._spelled[token] if token < len(self._spelled) else b""

    def beginnings(self, text: bytes) -> Iterator[tuple[int, list[int]]]:
        """Tokens that a text begins with: (length in bytes, ids), the shortest first."""
        low, high = 0, len(self._sorted)
        for length in range(1, len(text) + 1):
            start = text[:length]
            low = bisect_left(self._sorted, start, low, high)
            high = bisect_left(self._sorted, _behind(start), low, high)
            if low == high:
                return
            if self._sorted[low] == start:
                yield length, self._ids[low]


def _behind(start: bytes) -> bytes:
    """A text that sorts behind all texts that begin like this."""
    return start + _LONGEST_RUN


def _spelled_by_hugging_face(tokenizer: Any) -> list[bytes]:
    pieces = tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
    added = tokenizer.added_tokens_decoder
    spell = _speller(tokenizer)
    spelled = [b"" if piece is None else spell(i, piece) for i, piece in enumerate(pieces)]
    for token, content in added.items():
        if token < len(spelled):
            spelled[token] = b"" if content.special else str(content).encode()
    for token in tokenizer.all_special_ids:
        spelled[token] = b""
    return spelled


def _speller(tokenizer: Any) -> Callable[[int, str], bytes]:
    """A function (id, piece) -> bytes, by the kind of decoder that the tokenizer has."""
    kinds = _decoder_kinds(tokenizer)
    if "ByteLevel" in kinds:
        table = _byte_level_table()

        def spell_bytes(token: int, piece: str) -> bytes:
            known = all(character in table for character in piece)
            return bytes(table[character] for character in piece) if known else piece.encode()

        return spell_bytes
    if kinds & {"Metaspace", "ByteFallback", "Replace"}:
        return lambda token, piece: _spell_sentencepiece(piece)
    before = tokenizer.encode(_ANCHOR, add_special_tokens=False)
    start = tokenizer.decode(before)

    def spell_in_context(token: int, piece: str) -> bytes:
        """What it adds behind a letter; nothing where it is only part of a character."""
        text = tokenizer.decode([*before, token], clean_up_tokenization_spaces=False)
        added = text[len(start) :] if text.startswith(start) else ""
        return b"" if "\ufffd" in added else added.encode()

    return spell_in_context


def _decoder_kinds(tokenizer: Any) -> set[str]:
    """The types of the steps that turn pieces to text."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:  # sentencepiece's own
        is_sentencepiece = hasattr(tokenizer, "sp_model")
        return {"Metaspace"} if is_sentencepiece else set()
    decoder = json.loads(backend.to_str()).get("decoder") or {}
    steps = decoder.get("decoders", [decoder])
    marks = {"Replace": SPACE_MARK}
    return {
        step["type"]
        for step in steps
        if "type" in step and marks.get(step["type"], "") in json.dumps(step, ensure_ascii=False)
    }


def _spell_sentencepiece(piece: str) -> bytes:
    if match := _BYTE_PIECE.fullmatch(piece):
        return bytes([int(match.group(1), 16)])
    return piece.replace(SPACE_MARK, " ").encode()


def _byte_level_table() -> dict[str, int]:
    """GPT-2's printable character for each byte (Radford et al. 2019), the other way round.

    A byte that is a visible Latin-1 character stands for itself, the others for U+0100 onwards.
    """
    visible = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = [byte for byte in range(256) if byte not in set(visible)]
    table = {chr(byte): byte for byte in visible}
    table.update({chr(0x100 + place): byte for place, byte in enumerate(hidden)})
    return table
