"""The tokens of a text, one by one, as a person can look at them: piece, id and bytes.

Works for our own tokenizer and for those of other models. A character may take several tokens (a
byte each), so `runs` joins the tokens that only together are text.
"""

import codecs
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from mlx_toy.foreign import ForeignTokenizer
from mlx_toy.tokenizer import SPACE_MARK, Tokenizer


@dataclass(frozen=True)
class Piece:
    """A token of a text.

    Attributes:
        id: in the vocabulary.
        name: how the vocabulary spells it.
        data: what it adds to the text, in UTF-8; empty for a control token.
        control: whether it is a mark that no text stands for, such as the end of a turn.
    """

    id: int
    name: str
    data: bytes
    control: bool


def pieces_of(tokenizer: Tokenizer | ForeignTokenizer, ids: Sequence[int]) -> list[Piece]:
    """Tokens with what they are, in the same order."""
    if isinstance(tokenizer, Tokenizer):
        return [_our_piece(tokenizer, token_id) for token_id in ids]
    with tokenizer.lock:
        wrapper = tokenizer.wrapper
        names = wrapper.convert_ids_to_tokens(list(ids))
        control = set(wrapper.all_special_ids)
        added = getattr(wrapper, "added_tokens_decoder", {})
        control |= {token_id for token_id, token in added.items() if token.special}
        byte_level = _is_byte_level(wrapper)
    return [
        Piece(token_id, name, _bytes_of(name, byte_level), False)
        if token_id not in control
        else Piece(token_id, name, b"", True)
        for token_id, name in zip(ids, names, strict=True)
    ]


def runs(pieces: Sequence[Piece]) -> Iterator[tuple[str, list[Piece]]]:
    """The pieces in groups, each with the whole characters that its tokens make.

    Yields:
        (text, pieces): mostly one piece; several where a character is spelled byte by byte; the
        text of a control token is its name. Broken UTF-8 becomes U+FFFD.
    """
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    group: list[Piece] = []
    text = ""
    for piece in pieces:
        if piece.control:
            if group:
                yield text + decoder.decode(b"", final=True), group
                decoder.reset()
            yield piece.name, [piece]
            group, text = [], ""
            continue
        group.append(piece)
        text += decoder.decode(piece.data)
        if not decoder.getstate()[0]:
            yield text, group
            group, text = [], ""
    if group:
        yield text + decoder.decode(b"", final=True), group


def _our_piece(tokenizer: Tokenizer, token_id: int) -> Piece:
    data = tokenizer.token_bytes(token_id)
    return Piece(token_id, tokenizer.piece(token_id), data, not data)


def _is_byte_level(wrapper: Any) -> bool:
    """Whether a Hugging Face tokenizer spells bytes the way GPT-2's does."""
    backend = getattr(wrapper, "backend_tokenizer", None)
    return backend is not None and "ByteLevel" in json.dumps(
        json.loads(backend.to_str()).get("decoder")
    )


def _bytes_of(name: str, byte_level: bool) -> bytes:
    """What a piece of another model's vocabulary adds to a text, as far as its name tells."""
    if byte_level and all(character in _spelled_bytes() for character in name):
        return bytes(_spelled_bytes()[character] for character in name)
    if len(name) == 6 and name.startswith("<0x") and name.endswith(">"):
        try:
            return bytes([int(name[3:5], 16)])
        except ValueError:
            pass
    return name.replace(SPACE_MARK, " ").encode("utf-8", "replace")


@cache
def _spelled_bytes() -> dict[str, int]:
    """The character by which GPT-2's vocabulary spells each byte (Radford et al. 2019).

    Printable characters of Latin-1 stand for themselves; the others, in order, for U+0100 and on.
    """
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    spelled = {chr(byte): byte for byte in printable}
    return spelled | {chr(0x100 + place): byte for place, byte in enumerate(others)}
