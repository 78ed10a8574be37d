"""Text to token ids and back: sentencepiece BPE, with control tokens that no text can produce.

Why sentencepiece's own file and not only a `tokenizer.json`: it encodes text as text. A message or
an uploaded file that contains `<|user|>` becomes ordinary pieces, never the control token, so a
document cannot forge a turn (the Hugging Face tokenizer, which other loaders use, does parse
control tokens in its input; `chat.py` says how the chat template guards against that).

Any text survives the round trip: unknown characters fall back to bytes, spaces are kept as they
are, and U+2581, which sentencepiece uses for a space inside its pieces, goes by its bytes.
"""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import sentencepiece

from mlx_toy.errors import UserError

FILE_NAME = "tokenizer.model"
SPACE_MARK = "\u2581"  # how a piece spells a space
SPECIAL_TOKENS = ("<|system|>", "<|context|>", "<|user|>", "<|assistant|>", "<|end|>")
UNK_ID, BOS_ID, EOS_ID, PAD_ID = 0, 1, 2, 3


class Tokenizer:
    """A trained sentencepiece model and the ids of its control tokens.

    Args:
        model_proto: the bytes of a sentencepiece `tokenizer.model`.

    Raises:
        UserError: the bytes are no sentencepiece model, or one without our control tokens.
    """

    unk_id, bos_id, eos_id, pad_id = UNK_ID, BOS_ID, EOS_ID, PAD_ID

    def __init__(self, model_proto: bytes):
        self.model_proto = model_proto
        if not model_proto:  # sentencepiece takes it, and fails only when it is used
            raise UserError(f"{FILE_NAME} is empty: copy the model directory again")
        try:
            self._pieces = sentencepiece.SentencePieceProcessor(model_proto=model_proto)
        except RuntimeError as error:
            raise UserError(
                f"{FILE_NAME} is not a sentencepiece model: copy the model directory again"
            ) from error
        ids = [self._pieces.piece_to_id(token) for token in SPECIAL_TOKENS]
        if not all(self._pieces.is_control(i) for i in ids):
            raise UserError(
                f"{FILE_NAME} lacks the control tokens of mlx-toy: "
                "make it with `python -m train tokenizer`"
            )
        self.system_id, self.context_id, self.user_id, self.assistant_id, self.end_id = ids
        self._space_mark_ids = [
            self._pieces.piece_to_id(f"<0x{byte:02X}>") for byte in SPACE_MARK.encode()
        ]

    @classmethod
    def load(cls, path: str | Path) -> "Tokenizer":
        """Read a `tokenizer.model`, or the one inside a model directory.

        Raises:
            UserError: there is no such file.
        """
        path = Path(path)
        file = path / FILE_NAME if path.is_dir() else path
        try:
            return cls(file.read_bytes())
        except OSError as error:
            raise UserError(
                f"no tokenizer at {file}: give a directory that has one, or make one with "
                "`python -m train tokenizer`"
            ) from error

    @property
    def vocab_size(self) -> int:
        """Number of ids, control tokens and bytes included."""
        return self._pieces.vocab_size()

    def encode(self, text: str) -> list[int]:
        """Plain text to ids; control tokens spelled in the text stay text.

        A lone surrogate, which no UTF-8 can hold, becomes U+FFFD.
        """
        text = text.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
        ids: list[int] = []
        for index, part in enumerate(text.split(SPACE_MARK)):
            if index:
                ids += self._space_mark_ids
            if part:
                ids += self._pieces.encode(part)
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """Ids to text; control tokens are left out, broken UTF-8 becomes U+FFFD."""
        return b"".join(self._bytes_of_ids[i] for i in ids).decode("utf-8", "replace")

    def token_bytes(self, token_id: int) -> bytes:
        """What a token adds to the text, in UTF-8; empty for a control token."""
        return self._bytes_of_ids[token_id]

    def token_text(self, token_id: int) -> str:
        """A token for people to look at: its text; a control token or a lone byte by name."""
        try:
            return self.token_bytes(token_id).decode() or self.piece(token_id)
        except UnicodeDecodeError:
            return self.piece(token_id)

    def piece(self, token_id: int) -> str:
        """How the vocabulary spells a token, for people to look at."""
        return self._pieces.id_to_piece(token_id)

    def is_learned(self, token_id: int) -> bool:
        """Whether a token stands for text seen in training: no control token and no single byte."""
        pieces = self._pieces
        return not (
            pieces.is_control(token_id) or pieces.is_unknown(token_id) or pieces.is_byte(token_id)
        )

    @cached_property
    def _bytes_of_ids(self) -> list[bytes]:
        pieces = self._pieces
        return [self._bytes_of(i) for i in range(pieces.vocab_size())]

    def _bytes_of(self, token_id: int) -> bytes:
        pieces = self._pieces
        if pieces.is_control(token_id) or pieces.is_unknown(token_id):
            return b""
        spelled = pieces.id_to_piece(token_id)
        if pieces.is_byte(token_id):
            return bytes([int(spelled[3:5], 16)])
        return spelled.replace(SPACE_MARK, " ").encode()
