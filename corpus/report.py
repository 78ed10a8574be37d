"""What a build says about itself: `mixture.json` for `train`, and `corpus.json` for people."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from corpus.catalog import STAGES, Source
from corpus.files import write_json
from corpus.screening import KEPT, VERDICTS
from corpus.shards import Header

MIXTURE_FILE = "mixture.json"
CORPUS_FILE = "corpus.json"
FORMAT, VERSION = "mlx-toy corpus", 1


@dataclass(frozen=True)
class Part:
    """One source of a build.

    Attributes:
        source: its entry in the catalogue.
        sha256: checksum of its files.
        rows: of `corpus.screening` [N].
        verdict: final, of each row [N].
    """

    source: Source
    sha256: str
    rows: np.ndarray
    verdict: np.ndarray

    @property
    def documents(self) -> int:
        """Records that are used."""
        return int((self.verdict == KEPT).sum())

    @property
    def dropped(self) -> dict[str, int]:
        """Number of records by the reason why they are not used."""
        counts = np.bincount(self.verdict, minlength=len(VERDICTS)).tolist()
        return {reason: n for reason, n in zip(VERDICTS[1:], counts[1:], strict=True) if n}


def write_mixture(
    sources: Sequence[Source], headers: Sequence[Header], tokenizer: str, folder: Path
) -> None:
    """Say which shards there are and how much of each stage each one is."""
    trained = {header.name for header in headers if header.split == "train"}
    present = [source for source in sources if source.shard_name in trained]
    mixture = {
        "tokenizer": tokenizer,
        "stages": {
            stage: {
                source.shard_name: source.stages[stage]
                for source in present
                if source.stages.get(stage, 0) > 0
            }
            for stage in STAGES
        },
        "sources": {
            source.shard_name: {
                "licence": source.licence,
                "attribution": source.attribution,
                "upstream": source.upstream,
                "sha256": source.sha256,
            }
            for source in present
        },
        "shards": [asdict(header) for header in headers],
    }
    write_json(mixture, folder / MIXTURE_FILE)


def write_corpus_file(
    parts: Sequence[Part],
    headers: Sequence[Header],
    evaluation: dict[str, str],
    tokenizer_sha256: str,
    out: Path,
) -> None:
    """Write `corpus.json`: for each source what was read, kept and dropped, and checksums."""
    sources = {part.source.name: _describe(part, headers) for part in parts}
    counted = ("read", "documents", "words", "bytes", "tokens")
    report = {
        "format": FORMAT,
        "version": VERSION,
        "total": {key: sum(entry[key] for entry in sources.values()) for key in counted},
        "dropped": {
            reason: sum(entry["dropped"].get(reason, 0) for entry in sources.values())
            for reason in VERDICTS[1:]
        },
        "sources": sources,
        "evaluation": evaluation,
        "tokenizer_sha256": tokenizer_sha256,
    }
    write_json(report, out / CORPUS_FILE)


def table(parts: Sequence[Part]) -> str:
    """What was kept and dropped, for people."""
    lines = [f"{'source':32} {'documents':>10} {'words':>12}  dropped"]
    for part in parts:
        kept = part.verdict == KEPT
        dropped = ", ".join(f"{count:,} {reason}" for reason, count in part.dropped.items())
        words = int(part.rows["words"][kept].sum())
        lines.append(f"{part.source.name:32} {part.documents:>10,} {words:>12,}  {dropped}")
    return "\n".join(lines)


def _describe(part: Part, headers: Sequence[Header]) -> dict[str, Any]:
    kept = part.verdict == KEPT
    shards = {h.split: h for h in headers if h.name == part.source.shard_name}
    return {
        "kind": part.source.kind,
        "licence": part.source.licence,
        "upstream": part.source.upstream,
        "sha256": part.sha256,
        "read": len(part.verdict),
        "documents": part.documents,
        "words": int(part.rows["words"][kept].sum()),
        "bytes": int(part.rows["bytes"][kept].sum()),
        "tokens": sum(header.tokens for header in shards.values()),
        "dropped": part.dropped,
        "shards": {
            split: {key: getattr(header, key) for key in ("records", "tokens", "bytes", "sha256")}
            for split, header in shards.items()
        },
    }
