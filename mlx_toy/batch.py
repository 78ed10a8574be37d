"""The two batch verbs that evaluation is built on: JSON lines in, JSON lines out.

    python -m mlx_toy score texts.jsonl > nats.jsonl
    python -m mlx_toy answer questions.jsonl --out answers.jsonl

Records are read, computed and written a piece at a time, in their order. A malformed line is
reported with its number and skipped, and the exit code is 1.
"""

from argparse import Namespace
from collections.abc import Iterable, Iterator
from typing import Any

from mlx_toy.cli import PARTLY
from mlx_toy.engine import Engine
from mlx_toy.errors import UserError
from mlx_toy.grounding import ABSTAINED, answer_question, retriever_for
from mlx_toy.json_lines import Reader, Record, open_output
from mlx_toy.messages import checked
from mlx_toy.output import note, show_json
from mlx_toy.parts import BUNDLED_BASE
from mlx_toy.progress import Progress
from mlx_toy.scoring import with_start
from mlx_toy.settings import Settings

PIECE_RECORDS, PIECE_CHARACTERS = 1024, 2_000_000  # computed at a time, at most


def score(options: Namespace, settings: Settings) -> int:
    """For each text: summed negative log-likelihood after bos, tokens, and bytes of UTF-8."""
    model = options.model or settings.base_model or settings.model or BUNDLED_BASE
    with (
        Reader(options.file, _text_of) as records,
        open_output(options.out) as output,
        Engine.load(model) as engine,
    ):
        progress = Progress("score", records.total)
        for piece in _pieces(records):
            texts = [record.value for record in piece]
            ids = [with_start(engine.tokenizer, engine.stop_ids, text) for text in texts]
            scores = engine.score(ids)
            for text, (nats, tokens) in zip(texts, scores, strict=True):
                size = len(text.encode())
                show_json({"nats": nats, "tokens": tokens, "bytes": size}, output)
            progress.add(len(piece))
        progress.end()
    return _exit_code(records)


def answer(options: Namespace, settings: Settings) -> int:
    """For each question: the answer, the span that it is, its sentence, and its passage."""
    with (
        Reader(options.file, _question_of) as records,
        open_output(options.out) as output,
        Engine.load(settings.model) as engine,
    ):
        progress = Progress("answer", records.total)
        embedder = retriever_for(engine)
        for record in records:
            question, passages = record.value
            try:
                has_text = any(passage.strip() for passage in passages)
                found = ABSTAINED
                if has_text:
                    found = answer_question(engine, question, passages, embedder=embedder)
            except UserError as error:
                records.report(record.number, str(error))
                continue
            line = {
                "answer": found.answer,
                "span": found.span,
                "quote": found.quote,
                "abstained": found.abstained,
                "citations": found.citations,
            }
            show_json(line, output)
            progress.add(1)
        progress.end()
    return _exit_code(records)


def _text_of(value: dict[str, Any]) -> str:
    """The text of a record of `score`.

    Raises:
        ValueError: it has none.
    """
    text = value.get("text")
    if not isinstance(text, str):
        raise ValueError('it has no "text" that is a string')
    return text


def _question_of(value: dict[str, Any]) -> tuple[str, list[str]]:
    """Question and passages of a record of `answer`.

    Raises:
        ValueError: they are missing or of another type.
        UserError: the question is empty or too long.
    """
    question, passages = value.get("question"), value.get("passages")
    if not isinstance(question, str):
        raise ValueError('it has no "question" that is a string')
    if not isinstance(passages, list) or not all(isinstance(p, str) for p in passages):
        raise ValueError('it has no "passages" that are a list of strings')
    return checked(question), passages


def _pieces(records: Iterable[Record]) -> Iterator[list[Record]]:
    piece: list[Record] = []
    characters = 0
    for record in records:
        piece.append(record)
        characters += len(record.value)
        if len(piece) == PIECE_RECORDS or characters > PIECE_CHARACTERS:
            yield piece
            piece, characters = [], 0
    if piece:
        yield piece


def _exit_code(records: Reader) -> int:
    if records.skipped:
        note(f"{records.skipped} malformed line{'' if records.skipped == 1 else 's'} skipped")
    return PARTLY if records.skipped else 0
