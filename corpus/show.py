"""Print examples of what a stage reads, with the loss mask in colour.

    python -m corpus show --stage finetune --n 5 --build RUN

What the model learns to write is green; what it only reads is plain; control tokens are dim. Where
there is no colour, learned words stand between « and ».
"""

import json
import random
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

import numpy as np

from corpus.report import MIXTURE_FILE
from mlx_toy.errors import UserError
from mlx_toy.tokenizer import Tokenizer

GREEN, DIM, PLAIN = "\x1b[32m", "\x1b[2m", "\x1b[0m"
MAX_TOKENS = 200  # of a plain text that are shown


def examples(
    build: Path, tokenizer: Tokenizer, stage: str, count: int, colour: bool, seed: int = 0
) -> Iterator[str]:
    """Draw records as the stage would, by the parts of its sources, and yield them as text.

    Args:
        build: directory that `python -m corpus build` wrote.
        tokenizer: the one that made the shards.
        stage: "pretrain", "decay" or "finetune".
        count: how many.
        colour: whether the terminal shows colours.
        seed: of the draws.

    Raises:
        UserError: there are no shards for the stage.
    """
    shards = build / "shards"
    try:
        parts = json.loads((shards / MIXTURE_FILE).read_text(encoding="utf-8"))["stages"][stage]
    except (OSError, KeyError, ValueError):
        parts = {}
    if not parts:
        raise UserError(f"no shards for {stage!r} in {shards}: run `python -m corpus build` first")
    rng = random.Random(seed)
    for name in rng.choices(list(parts), weights=list(parts.values()), k=count):
        ids, mask = _draw(shards / f"{name}.train", rng)
        shown = MAX_TOKENS if mask.all() else len(ids)
        text = paint(ids[:shown].tolist(), mask[:shown].tolist(), tokenizer, colour)
        cut = " …" if shown < len(ids) else ""
        yield f"— {name}, {len(ids)} tokens, {int(mask.sum())} learned\n{text}{cut}"


def paint(ids: Sequence[int], mask: Sequence[int], tokenizer: Tokenizer, colour: bool) -> str:
    """The text of tokens, with what is learned marked."""
    pieces = []
    for (learned, control), run in groupby(
        zip(ids, mask, strict=True),
        lambda pair: (bool(pair[1]), not tokenizer.token_bytes(pair[0])),
    ):
        tokens = [token for token, _ in run]
        if control:
            text = "".join(_control(token, tokenizer) for token in tokens)
        else:
            text = _visible(tokenizer.decode(tokens))
        if colour:
            text = f"{GREEN if learned else ''}{DIM if control else ''}{text}{PLAIN}"
        elif learned:
            text = f"«{text}»"
        pieces.append(text)
    return "".join(pieces)


def _draw(stem: Path, rng: random.Random) -> tuple[np.ndarray, np.ndarray]:
    """A record of a shard: ids and loss mask [T]; plain text is learned whole."""
    offsets = np.fromfile(f"{stem}.offsets.bin", dtype="<u8")
    record = rng.randrange(len(offsets) - 1)
    start, stop = int(offsets[record]), int(offsets[record + 1])
    ids = np.memmap(f"{stem}.bin", dtype="<u2", mode="r")[start:stop]
    mask_file = Path(f"{stem}.mask.bin")
    if not mask_file.is_file():
        return ids, np.ones(len(ids), dtype=np.uint8)
    return ids, np.memmap(mask_file, dtype=np.uint8, mode="r")[start:stop]


def _control(token: int, tokenizer: Tokenizer) -> str:
    """A control token, with a new line after the end of a turn."""
    return tokenizer.piece(token) + ("\n" if token == tokenizer.end_id else "")


def _visible(text: str) -> str:
    """Text that cannot steer the terminal."""
    return "".join(c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in text)
