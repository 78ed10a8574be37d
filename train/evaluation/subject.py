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
_PIECE = 64  # texts that are scored between two lines of progress


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
    pairs: int = 200
    questions: int = 600
    citations: int = 250
    seeds: int = 3
    samples: int = 500


@dataclass(frozen=True)
class Subject:
    """A model and what it is measured on.

    Attributes:
        engine: the model.
        data: directory that holds `eval/`.
        sizes: how much of the data.
        shards: token shards that the model was trained on, None where they are not at hand.
        replies: the page of replies with a reader's verdicts, which may not be there.
    """

    engine: Engine
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
        for start in range(0, len(order), _PIECE):
            chosen = order[start : start + _PIECE]
            scored = self.engine.score([ids[index] for index in chosen])
            for index, (value, _) in zip(chosen, scored, strict=True):
                nats[index] = value
            progress.add(len(chosen))
        progress.end()
        return nats


def held_out(data: Path, name: str) -> Iterator[dict[str, Any]]:
    """The records of an evaluation set."""
    return read_json_lines(data / "eval" / f"{name}.jsonl.xz")
