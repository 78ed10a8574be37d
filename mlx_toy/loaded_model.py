"""A model ready to run, ours or any chat model of mlx-lm, behind one face.

The engine needs the same few things of every model: how text becomes ids and back, how a
conversation becomes a prompt, where answers stop and how long a sequence may be. `locate` finds
it; `foreign.py` is the side of the models that others trained.
"""

import codecs
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from mlx_toy import model_directory
from mlx_toy.chat import Message, render
from mlx_toy.confidence import Calibration, load_calibration
from mlx_toy.errors import UserError
from mlx_toy.general_replies import ReplyStates
from mlx_toy.reply_likelihood import ReplyNats
from mlx_toy.selector import DIRECTORY, Selector, load_selector
from mlx_toy.token_bytes import TokenBytes
from mlx_toy.tokenizer import Tokenizer

BUNDLED = Path(__file__).parent / "weights" / "chat"
HUB_NAME = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")


class TextTokenizer(Protocol):
    """What every tokenizer here can do; ours can do more."""

    @property
    def vocab_size(self) -> int:
        """Number of ids."""

    @property
    def bos_id(self) -> int | None:
        """The id that begins a text; None where a model has none."""

    def encode(self, text: str) -> list[int]:
        """Plain text to ids, never to control tokens."""

    def decode(self, ids: Sequence[int]) -> str:
        """Ids to text."""

    def token_text(self, token_id: int) -> str:
        """A token for people to look at: its text; a control token or a lone byte by name."""


class Detokenizer(Protocol):
    """Tokens to text, one at a time; a character is given out once it is complete."""

    def add(self, token: int) -> str:
        """The text that this token completes."""

    def finish(self) -> str:
        """The text that was held back."""


@dataclass(frozen=True)
class LoadedModel:
    """A model and what the engine must know about it.

    Attributes:
        name: for people.
        is_ours: trained by mlx-toy; then `tokenizer` is a `mlx_toy.tokenizer.Tokenizer`.
        model: follows mlx-lm's model protocol.
        tokenizer: text to ids and back.
        context_length: longest sequence, prompt and answer together, in tokens.
        stop_ids: tokens that end an answer.
        render: (messages, add_generation_prompt) -> prompt ids.
        detokenizer: makes one for each answer.
        token_bytes: makes the table of what each token spells.
        calibration: when to refuse; None for the rule that needs none.
        selector: loads what chooses among the replies that were written for it, with a function
            that asks this model; None without any.
    """

    name: str
    is_ours: bool
    model: Any
    tokenizer: Any
    context_length: int
    stop_ids: frozenset[int]
    render: Callable[[Sequence[Message], bool], list[int]]
    detokenizer: Callable[[], Detokenizer]
    token_bytes: Callable[[], TokenBytes]
    calibration: Calibration | None = None
    selector: Callable[[ReplyNats, ReplyStates], Selector] | None = None


def locate(path_or_name: str | Path | None) -> tuple[Path, str]:
    """Find a model, downloading it if it is a name on the hub that is not here yet.

    Args:
        path_or_name: a model directory, a model's name on the Hugging Face hub, or None or "" for
            the bundled model.

    Returns:
        Its directory and its name for people.

    Raises:
        UserError: there is no such directory, or the download failed.
    """
    path = Path(path_or_name).expanduser() if path_or_name else BUNDLED
    if path.exists():
        return path, "mlx-toy" if path == BUNDLED else path.absolute().name
    name = str(path_or_name or "")
    if not HUB_NAME.fullmatch(name) or Path(name).parent.is_dir():
        raise UserError(
            f"no model at {path}: give a model directory or a name on the hub "
            "such as mlx-community/SmolLM2-135M-Instruct"
        )
    return _download(name), name


def load(path: Path, name: str) -> LoadedModel:
    """Load a model directory, ours or another's; the calling thread becomes its owner.

    Raises:
        UserError: one sentence that says what is wrong with the directory.
    """
    from mlx_toy.foreign import load_foreign

    model_directory.validate(path)
    return _load_ours(path, name) if model_directory.is_ours(path) else load_foreign(path, name)


class ByteDetokenizer:
    """Detokenizer of our own models: bytes to UTF-8, whole characters only."""

    def __init__(self, tokenizer: Tokenizer):
        self._tokenizer = tokenizer
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def add(self, token: int) -> str:
        """The text that this token completes."""
        return self._decoder.decode(self._tokenizer.token_bytes(token))

    def finish(self) -> str:
        """U+FFFD where a character was begun but not completed."""
        return self._decoder.decode(b"", final=True)


def _load_ours(path: Path, name: str) -> LoadedModel:
    model, tokenizer = model_directory.load(path)
    written = path / DIRECTORY
    return LoadedModel(
        name=name,
        is_ours=True,
        model=model,
        tokenizer=tokenizer,
        context_length=model.args.max_position_embeddings,
        stop_ids=frozenset({tokenizer.end_id, tokenizer.eos_id}),
        render=lambda messages, ask: render(messages, tokenizer, ask).ids,
        detokenizer=lambda: ByteDetokenizer(tokenizer),
        token_bytes=lambda: TokenBytes.ours(tokenizer),
        calibration=load_calibration(path),
        selector=(lambda *asks: load_selector(written, *asks)) if written.is_dir() else None,
    )


def _download(name: str) -> Path:
    """The local copy of a model on the hub; says so where it must be fetched first."""
    from huggingface_hub import constants, snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError
    from mlx_lm.utils import DEFAULT_ALLOW_PATTERNS

    try:
        try:
            found = snapshot_download(
                name, local_files_only=True, allow_patterns=DEFAULT_ALLOW_PATTERNS
            )
        except LocalEntryNotFoundError:
            source = f"{constants.ENDPOINT}/{name}"
            print(f"Downloading {source} to {constants.HF_HUB_CACHE}", file=sys.stderr)
            found = snapshot_download(name, allow_patterns=DEFAULT_ALLOW_PATTERNS)
    except Exception as error:  # the hub's own errors, the network's, the disk's
        reason = str(error).strip().split("\n")[0] or type(error).__name__
        raise UserError(
            f"the model {name} could not be downloaded ({reason}): "
            "check the name and the network, or give a local directory"
        ) from error
    return Path(found)
