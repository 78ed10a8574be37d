"""Train the span scorer: which words of a passage answer a question.

    python -m train spans --data DIR --out DIR      # train, and measure on held-out articles

Of every question the spans of the best sentences are compared; the softmax of their scores should
be high for the annotated answer. AdaGrad (Duchi et al. 2011) on the rows that occur; articles that
the retriever holds out are held out here too, and the figures are theirs.
"""

import argparse
import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from corpus.catalog import data_directory
from corpus.files import written_at_once
from corpus.readers import read_source
from mlx_toy.errors import UserError
from mlx_toy.evidence import is_common, rank_sentences
from mlx_toy.span_scorer import (
    BITS,
    SENTENCES,
    SIGNS,
    WEIGHTS,
    SpanScorer,
    SpanSigns,
    span_signs,
)
from train.arguments import positive
from train.progress import say
from train.records import write_json, write_text
from train.retrieval_data import is_held_out, sources
from train.squad import exact_match, f1

SOURCES = ("qa/squad_train", "qa/fairytaleqa_train")
MEASURED = 2_000  # questions of held-out articles


@dataclass(frozen=True)
class Recipe:
    """How to train.

    Attributes:
        questions: read, at most.
        epochs: over them.
        rate: of AdaGrad.
        decay: of a weight, each time it is moved.
        seed: of the order.
    """

    questions: int = 60_000
    epochs: int = 2
    rate: float = 0.1
    decay: float = 1e-5
    seed: int = 0


@dataclass(frozen=True)
class Example:
    """The spans of a question's best sentences, and the numbers of the right ones."""

    spans: SpanSigns
    right: np.ndarray


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add the command's own flags."""
    command.add_argument("--data", help="directory with the training data (or MLX_TOY_DATA)")
    command.add_argument("--out", type=Path, required=True, help="directory to write")
    command.add_argument("--questions", type=positive, default=Recipe.questions)
    command.add_argument("--epochs", type=positive, default=Recipe.epochs)
    command.add_argument("--seed", type=int, default=Recipe.seed)


def run(options: argparse.Namespace) -> None:
    """Train, write the table and its figures beside it."""
    data = data_directory(options.data)
    recipe = Recipe(options.questions, options.epochs, seed=options.seed)
    trained, held_out = read_questions(data, recipe)
    if not trained:
        raise UserError(f"{data} has no questions to learn from: give the whole pack")
    table = train(trained, recipe)
    figures = measure(SpanScorer(table), held_out)
    write(options.out, table, {"recipe": vars(recipe), "held_out": figures})
    print(json.dumps(figures, indent=1))


def write(out: Path, table: np.ndarray, report: dict[str, Any]) -> None:
    """Write the table, the report and the card."""
    out.mkdir(parents=True, exist_ok=True)
    with written_at_once(out / WEIGHTS) as partial, open(partial, "wb") as file:
        np.savez_compressed(file, table=table.astype(np.float16))
    write_json(report, out / "report.json")
    write_text(_card(report), out / "README.md")


def _card(report: dict[str, Any]) -> str:
    figures, recipe = report["held_out"], report["recipe"]
    rows = "\n".join(
        f"| {source.name} | {source.licence} | {source.attribution} |"
        for source in sources(SOURCES)
    )
    return f"""---
license: cc-by-sa-4.0
---

# mlx-toy span scorer

A log-linear model that says which words of a passage's best {SENTENCES} sentences may answer a
question: {len(SIGNS)} signs a span, hashed into {1 << BITS:,} weights. The language model may copy
the likeliest. The method and its sources stand in `mlx_toy/span_scorer.py`.

## Figures

On {figures["questions"]:,} questions of articles that were held out, each with its own passage, by
the scorer alone: F1 {figures["f1"]} %, exact match {figures["exact_match"]} %; the answer is among
the five likeliest spans for {figures["exact_match_of_five"]} %, and the sentence of the likeliest
holds it for {figures["sentence_holds_answer"]} %.

## Training

`python -m train spans --data DIR --out DIR --questions {recipe["questions"]}
--epochs {recipe["epochs"]} --seed {recipe["seed"]}`

| source | licence | attribution |
|---|---|---|
{rows}

The weights are offered under CC BY-SA 4.0, because sources with a share-alike licence are among
the data.

## Limits

English questions with a short answer. It knows forms and not facts: it may prefer the wrong name
of two.
"""


def read_questions(data: Path, recipe: Recipe) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Answerable questions to train on, and of held-out articles, in an order the seed gives."""
    found: list[dict[str, Any]] = []
    for source in sources(SOURCES):
        found += [record for record in read_source(source, data) if record["answers"]]
    random.Random(recipe.seed).shuffle(found)
    held_out = [record for record in found if is_held_out(str(record["title"]))]
    trained = [record for record in found if not is_held_out(str(record["title"]))]
    return trained[: recipe.questions], held_out[:MEASURED]


def examples(records: Sequence[dict[str, Any]]) -> Iterator[Example]:
    """The records whose answer is one of the spans compared."""
    for record in records:
        ranked = rank_sentences(record["question"], [record["context"]])[:SENTENCES]
        spans = span_signs(record["question"], ranked)
        texts = [sentence.text for sentence in ranked]
        right = _right(texts, spans.places, record["answers"])
        if len(right):
            yield Example(spans, right)


def _right(texts: Sequence[str], places: np.ndarray, answers: Sequence[str]) -> np.ndarray:
    """Numbers of the spans that are an answer, but for common words at its edges."""
    wanted = {core for answer in answers if (core := _core(answer))}
    return np.array(
        [
            number
            for number, (index, start, end) in enumerate(places.tolist())
            if _core(texts[index][start:end]) in wanted
        ],
        np.int64,
    )


def _core(text: str) -> str:
    """A text in lower case without marks and common words at its edges."""
    found = [word.strip(".,:;!?\"'()[]“”‘’") for word in text.lower().split()]
    found = [word for word in found if word]
    while found and is_common(found[0]):
        found.pop(0)
    while found and is_common(found[-1]):
        found.pop()
    return " ".join(found)


def train(records: Sequence[dict[str, Any]], recipe: Recipe) -> np.ndarray:
    """The table [2 ** BITS]; the same arguments give the same weights."""
    table = np.zeros(1 << BITS, np.float32)
    squares = np.full(1 << BITS, 1e-3, np.float32)
    seen = list(examples(records))
    say(f"{len(seen):,} of {len(records):,} questions have their answer among the spans compared")
    order = random.Random(recipe.seed)
    for epoch in range(1, recipe.epochs + 1):
        order.shuffle(seen)
        total = 0.0
        rate = recipe.rate * (1 - (epoch - 1) / recipe.epochs)
        for example in seen:
            total += _learn(example, table, squares, rate, recipe.decay)
        say(f"epoch {epoch}/{recipe.epochs}  loss {total / len(seen):.3f} nats")
    return table


def _learn(
    example: Example, table: np.ndarray, squares: np.ndarray, rate: float, decay: float
) -> float:
    """One step on one question; returns its loss in nats."""
    signs = example.spans.signs
    scores = table[signs].sum(1)
    odds = np.exp(scores - scores.max())
    share = odds / odds.sum()
    right = share[example.right].sum()
    gradient = share.copy()
    gradient[example.right] -= share[example.right] / max(right, 1e-12)
    rows, place = np.unique(signs, return_inverse=True)
    weights = np.repeat(gradient, signs.shape[1])
    slope = np.bincount(place.ravel(), weights=weights, minlength=len(rows)).astype(np.float32)
    slope += decay * table[rows]
    squares[rows] += slope * slope
    table[rows] -= rate * slope / np.sqrt(squares[rows])
    return float(-np.log(max(right, 1e-12)))


def measure(scorer: SpanScorer, records: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Of the likeliest span: official F1 and exact match in percent, and how often five hold it."""
    overlaps, exact, among, quoted = [], [], [], []
    for record in records:
        ranked = rank_sentences(record["question"], [record["context"]])[:SENTENCES]
        spans = scorer(record["question"], ranked)[:5]
        said = [ranked[span.sentence].text[span.start : span.end] for span in spans] or [""]
        overlaps.append(f1(said[0], record["answers"]))
        exact.append(exact_match(said[0], record["answers"]))
        among.append(max(exact_match(text, record["answers"]) for text in said))
        best = ranked[spans[0].sentence].text if spans else ""
        quoted.append(any(answer in best for answer in record["answers"]))
    names = ("f1", "exact_match", "exact_match_of_five", "sentence_holds_answer")
    values = (overlaps, exact, among, quoted)
    return {
        "questions": len(records),
        **{n: round(100 * float(np.mean(v)), 1) for n, v in zip(names, values, strict=True)},
    }
