"""What a model said of replies, kept between runs.

Asking a model how likely it finds a hundred thousand replies takes most of the time of fitting a
selector, and with new judgements most questions are the old ones. An answer is kept under the hash
of the conversation, the reply and the model's weights, so that those of another model are never
taken for its own.
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mlx_toy.chat import Message
from mlx_toy.errors import UserError
from mlx_toy.reply_likelihood import ReplyNats
from mlx_toy.whole_files import written_at_once

SAVE_EVERY = 20_000  # new answers: some five minutes of one core
_HASH = 12  # bytes
Pair = tuple[Sequence[Message], str]


class KeptNats:
    """Asks a model what it was not asked before.

    Args:
        nats: asks the model.
        model: the file of its weights.
        file: that keeps the answers; None keeps them in memory alone.

    Raises:
        UserError: the file holds something else.
    """

    def __init__(self, nats: ReplyNats, model: Path, file: Path | None = None) -> None:
        self._nats, self._file = nats, file
        self._model = hashlib.sha256(model.read_bytes()).digest()
        self._known: dict[bytes, tuple[float, int]] = {}
        self._unsaved = 0
        if file and file.exists():
            self._known = _read(file)

    def __call__(self, pairs: Sequence[Pair]) -> list[tuple[float, int]]:
        """Summed nats of each reply, and its tokens (`ReplyNats`)."""
        keys = [self._key(*pair) for pair in pairs]
        new = {k: pair for k, pair in zip(keys, pairs, strict=True) if k not in self._known}
        self._known.update(zip(new, self._nats(list(new.values())), strict=True))
        self._unsaved += len(new)
        if self._unsaved >= SAVE_EVERY:
            self.save()
        return [self._known[key] for key in keys]

    def save(self) -> None:
        """Write what is known."""
        if self._file is None or not self._unsaved:
            return
        answers = list(self._known.values())
        self._file.parent.mkdir(parents=True, exist_ok=True)
        with written_at_once(self._file) as partial, open(partial, "wb") as out:
            np.savez(
                out,
                keys=np.frombuffer(b"".join(self._known), np.uint8),
                nats=np.array([nats for nats, _ in answers]),
                tokens=np.array([tokens for _, tokens in answers], np.int32),
            )
        self._unsaved = 0

    def _key(self, messages: Sequence[Message], reply: str) -> bytes:
        said = json.dumps([[m["role"], m["content"]] for m in messages] + [reply])
        return hashlib.sha256(self._model + said.encode()).digest()[:_HASH]


def _read(file: Path) -> dict[bytes, tuple[float, int]]:
    try:
        with np.load(file) as stored:
            keys = stored["keys"].tobytes()
            answers = zip(stored["nats"].tolist(), stored["tokens"].tolist(), strict=True)
            return {keys[at * _HASH : (at + 1) * _HASH]: a for at, a in enumerate(answers)}
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise UserError(
            f"{file} does not hold what a model said of replies ({error}): name another file"
        ) from error
