"""What is measured, on which data, and on how much of it."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from corpus.readers import read_json_lines
from mlx_toy.engine import Engine
from mlx_toy.progress import Progress
from mlx_toy.scoring import with_start

Score = Callable[[Sequence[str], str], list[float]]  # (texts, what they are) -> nats of each
_PIECE_TOKENS = 8192  # scored between two looks at the progress; at least one text


@dataclass(frozen=True)
class Sizes:
    """How many items each row takes, chosen by fixed seeds; fewer where there are fewer.

    The defaults fit into 20 minutes for 35 million parameters on two cores.

    Attributes:
        texts: documents of each text set, from its beginning.
        pairs: minimal pairs of each of BLiMP's paradigms.
        questions: SQuAD questions with one passage, answerable or not.
        citations: answerable questions with four passages.
        seeds: times that every opening is answered, each with another seed.
        samples: samples that are looked for in the training text.
    """

    texts: int = 200
    pairs: int = 100
    questions: int = 500
    citations: int = 200
    seeds: int = 3
    samples: int = 500


@dataclass(frozen=True)
class Subject:
    """A model and what it is measured on.

    Attributes:
        engine: the model.
        directory: where it was loaded from.
        data: directory that holds `eval/`.
        sizes: how much of the data.
        shards: token shards that the model was trained on, None where they are not at hand.
        replies: the page of replies with a reader's verdicts, which may not be there.
    """

    engine: Engine
    directory: Path
    data: Path
    sizes: Sizes
    shards: Path | None
    replies: Path

    def score(self, texts: Sequence[str], name: str) -> list[float]:
        """Summed nats of each text, with progress; similar lengths are scored together."""
        tokenizer, stops = self.engine.tokenizer, self.engine.stop_ids
        ids = [with_start(tokenizer, stops, text) for text in texts]
        order = sorted(range(len(ids)), key=lambda index: len(ids[index]))
        nats = [math.nan] * len(ids)
        progress = Progress(name, len(ids))
        for chosen in _pieces(order, ids):
            scored = self.engine.score([ids[index] for index in chosen])
            for index, (value, _) in zip(chosen, scored, strict=True):
                nats[index] = value
            progress.add(len(chosen))
        progress.end()
        return nats


def _pieces(order: Sequence[int], ids: Sequence[Sequence[int]]) -> Iterator[list[int]]:
    """The order, cut where texts have `_PIECE_TOKENS` tokens together."""
    piece: list[int] = []
    tokens = 0
    for index in order:
        if piece and tokens + len(ids[index]) > _PIECE_TOKENS:
            yield piece
            piece, tokens = [], 0
        piece.append(index)
        tokens += len(ids[index])
    if piece:
        yield piece


def held_out(data: Path, name: str) -> Iterator[dict[str, Any]]:
    """The records of an evaluation set."""
    return read_json_lines(data / "eval" / f"{name}.jsonl.xz")
