"""From sources to token shards: `python -m corpus build`.

    OUT/records/*.rows      what was decided about every record (`corpus/screening.py`)
    OUT/text.jsonl          a sample of the text, from which the tokenizer is trained
    OUT/tokenizer           put there by `python -m train tokenizer`; needed for what follows
    OUT/shards              token shards and `mixture.json`, as `train` reads them
    OUT/corpus.json         what is in them, what was dropped and why, checksums

Everything streams, and each finished part is kept with a checksum of what it was made from, so an
interrupted build goes on where it stopped, and a repeated one does only what has changed.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from corpus import short_answers
from corpus.catalog import STAGES, Source
from corpus.clean import text_of
from corpus.conversations import ContextRecipe
from corpus.encode import encode, kept_lines
from corpus.files import sha256_of
from corpus.parallel import Workers
from corpus.readers import parse_record, source_files
from corpus.report import Part, write_corpus_file, write_mixture
from corpus.screening import Screened, evaluation_sequences, screen, verdicts
from corpus.shards import Header, finished_shard, write_shard
from mlx_toy.errors import UserError
from mlx_toy.output import note
from mlx_toy.tokenizer import FILE_NAME, Tokenizer
from mlx_toy.whole_files import written_at_once


@dataclass(frozen=True)
class Screening:
    """The sources of a build with the verdict on each of their records."""

    sources: list[Source]
    checksums: list[str]
    screened: list[Screened]
    verdicts: list[np.ndarray]
    evaluation: dict[str, str]  # file -> checksum

    @property
    def parts(self) -> list[Part]:
        """For the report."""
        return [
            Part(source, checksum, one.rows, verdict)
            for source, checksum, one, verdict in zip(
                self.sources, self.checksums, self.screened, self.verdicts, strict=True
            )
        ]


def screen_sources(
    sources: list[Source], data: Path, out: Path, max_words: int, workers: Workers
) -> Screening:
    """Read, clean, filter and compare all records of the sources that a stage uses.

    Args:
        sources: the catalogue; of duplicates, the record of the earlier source is kept.
        data: directory with the sources, and the evaluation files in `eval`.
        out: directory of the build.
        max_words: of one source.
        workers: who does it.

    Raises:
        UserError: a file is missing, not what the catalogue says, or broken; or nothing is left.
    """
    used = present(sources, data)
    checksums = [_checksum(source, data) for source in used]
    folder = out / "records"
    folder.mkdir(parents=True, exist_ok=True)
    evaluation_file = folder / "evaluation.npy"
    checksum, files = evaluation_sequences(data, evaluation_file, workers)
    if not files:
        note(f"no evaluation files in {data / 'eval'}: nothing is held back for them")
    screened = [
        screen(source, data, folder, made_from, (evaluation_file, checksum), max_words, workers)
        for source, made_from in zip(used, checksums, strict=True)
    ]
    final = verdicts([source.kind for source in used], screened)
    screening = Screening(
        used, checksums, screened, final, {file.name: sha256_of(file) for file in files}
    )
    if not any(part.documents for part in screening.parts if not part.source.ours):
        raise UserError("no record is left after filtering: give other or more text")
    return screening


def present(sources: list[Source], data: Path) -> list[Source]:
    """The sources that a stage uses; one that has to be fetched first may be missing."""
    used = [source for source in sources if any(source.stages.get(s, 0) > 0 for s in STAGES)]
    missing = [s.name for s in used if s.home and not s.path(data).exists()]
    if missing:
        note(f"left out, because `python -m corpus fetch` did not bring them: {', '.join(missing)}")
    return [source for source in used if source.name not in missing]


def write_text_sample(screening: Screening, data: Path, out: Path, max_bytes: int) -> int:
    """Write text for training a tokenizer as JSON lines, one document a line.

    Args:
        screening: what may be used.
        data: directory with the sources.
        out: the JSON-lines file to write.
        max_bytes: of text, shared among the sources by their parts of pretraining and fine-tuning.

    Returns:
        Bytes of text written.
    """
    shares = [s.stages.get("pretrain", 0) + s.stages.get("finetune", 0) for s in screening.sources]
    written = 0
    with written_at_once(out) as partial, open(partial, "w", encoding="utf-8") as file:
        for part, share in zip(screening.parts, shares, strict=True):
            budget = max_bytes * share / max(1e-9, sum(shares))
            for line in kept_lines(part.source, data, part.rows, part.verdict, "train"):
                if budget <= 0:
                    break
                record = parse_record(part.source.kind, line)
                question = part.source.kind == "question"  # many share one context
                text = record["question"] if question else text_of(part.source.kind, record)
                size = len(text.encode())
                budget -= size
                written += size
                file.write(json.dumps({"text": text}, ensure_ascii=False) + "\n")
    return written


def write_shards(
    screening: Screening,
    data: Path,
    tokenizer_dir: Path,
    out: Path,
    max_tokens: int,
    workers: Workers,
) -> list[Header]:
    """Write the training and validation shards, `mixture.json` and `corpus.json`.

    Args:
        screening: what may be used.
        data: directory with the sources.
        tokenizer_dir: directory with a `tokenizer.model`.
        out: directory of the build; the shards go to `shards` in it.
        max_tokens: of one source.
        workers: who does it.

    Returns:
        The headers of the shards.
    """
    folder = out / "shards"
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = Tokenizer.load(tokenizer_dir)
    checksum = hashlib.sha256(tokenizer.model_proto).hexdigest()
    headers: list[Header] = []
    for part, one in zip(screening.parts, screening.screened, strict=True):
        source = part.source
        decided = hashlib.sha256(f"{one.made_from} {checksum} {max_tokens}".encode())
        decided.update(part.verdict.tobytes())
        if source.kind != "text":
            decided.update(f"{ContextRecipe()} {short_answers.VERSION}".encode())
        for split in ("valid", "train"):
            header = finished_shard(folder, source.shard_name, split, decided.hexdigest())
            if header is None:
                lines = kept_lines(source, data, part.rows, part.verdict, split)
                header = write_shard(
                    folder,
                    encode(source, lines, (tokenizer_dir, checksum), max_tokens, workers),
                    name=source.shard_name,
                    split=split,
                    kind="text" if source.kind == "text" else "conversation",
                    vocab_size=tokenizer.vocab_size,
                    tokenizer_sha256=checksum,
                    licence=source.licence,
                    made_from=decided.hexdigest(),
                )
            headers += [header] if header else []
    write_mixture(screening.sources, headers, FILE_NAME, folder)
    write_corpus_file(screening.parts, headers, screening.evaluation, checksum, out)
    return headers


def _checksum(source: Source, data: Path) -> str:
    """SHA-256 of a source's files.

    Raises:
        UserError: a file is missing, or not the one that the catalogue describes.
    """
    files = source_files(source, data)
    missing = [file for file in files if not file.is_file()]
    if missing or not files:
        where = missing[0] if missing else source.path(data)
        raise UserError(f"no file {where}: check --data, or take the source out")
    found = sha256_of(*files)
    if source.sha256 and found != source.sha256:
        raise UserError(
            f"{files[0]} is not the file that the catalogue describes (its SHA-256 is {found}): "
            "fetch the file again"
        )
    return found
