"""Train the reader: which words of a passage answer a question, and whether any do.

    python -m train reader --data DIR --out DIR      # train, and measure on held-out articles
    python -m train reader --data DIR --out DIR --init DIR      # go on from another reader

With `--teacher DIR`, a sentence-transformers BERT such as all-MiniLM-L6-v2, the vectors of
questions and sentences are drawn to the teacher's, for some steps alone and then beside everything
else. It reads every sentence once, which takes an hour of one core; its vectors are kept in the
directory `--teacher-vectors`, and a reading that was interrupted goes on.

What words mean is our retriever's and stays as it is; a second vector of each word is learned.
Articles that the retriever holds out are held out here too, and the figures are theirs.
"""

import argparse
import json
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from corpus.catalog import data_directory
from mlx_toy.answers import sentence_at
from mlx_toy.embedder import BagEmbedder, load_embedder
from mlx_toy.errors import UserError
from mlx_toy.lexicon import BUCKET, BUCKETS, Lexicon
from mlx_toy.output import counted
from mlx_toy.reader import FoundSpan, Reader, load_reader, save_reader
from mlx_toy.reader_input import PASSAGE_TOKENS, RAREST
from mlx_toy.reader_layers import Weights
from mlx_toy.reader_network import ReaderConfig, first_weights
from train.arguments import not_negative, positive
from train.everyday import FILE as EVERYDAY
from train.gist_targets import GistTargets, texts_of
from train.kept import add_kept, check_kept
from train.progress import say
from train.reader_data import SOURCES, Examples, Question, read_questions
from train.reader_fit import train as fit
from train.reader_recipe import Recipe
from train.records import write_json, write_text
from train.retrieval_card import LICENCES
from train.retrieval_data import sources
from train.squad import exact_match, f1
from train.teacher import add_teacher, open_teacher

SIZES = ReaderConfig()
GIST_STEPS, GIST_WEIGHT = 4_000, 0.5  # with a teacher; see `Recipe`
MEASURED = 2_000  # questions of held-out articles


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add the command's own flags."""
    command.add_argument("--data", help="directory with the training data (or MLX_TOY_DATA)")
    command.add_argument("--out", type=Path, required=True, help="directory to write")
    command.add_argument("--embedder", help="ours, for the vectors of words (default: bundled)")
    command.add_argument(
        "--questions", type=positive, default=None, help="train on so many (default: all)"
    )
    command.add_argument("--init", type=Path, metavar="DIR", help="reader to go on from")
    add_kept(command)
    add_teacher(command)
    command.add_argument(
        "--gist-steps",
        type=not_negative,
        metavar="N",
        help="with a teacher: batches from which only the vectors of sentences are learned, first "
        f"(default: {GIST_STEPS}, with --init 0)",
    )
    command.add_argument(
        "--everyday", type=Path, default=EVERYDAY, metavar="FILE", help="(default: our own)"
    )
    command.add_argument(
        "--ours", type=positive, default=Recipe.ours, help="times that an epoch asks our own ones"
    )
    command.add_argument("--epochs", type=positive, default=Recipe.epochs)
    command.add_argument("--rate", type=float, default=Recipe.rate, help="peak, for Adam")
    command.add_argument("--seed", type=int, default=Recipe.seed)


def run(options: argparse.Namespace) -> None:
    """Train, write the weights after each epoch and the figures beside them."""
    check_kept(options)
    teacher = open_teacher(options)
    if options.gist_steps is not None and not teacher:
        raise UserError("--gist-steps are learned from a teacher: pass --teacher DIR, too")
    data = data_directory(options.data)
    before = _recipe_of(options.init) if options.init else None
    recipe = Recipe(
        options.questions or 0,
        options.epochs,
        rate=options.rate,
        ours=options.ours,
        kept=options.kept,
        teacher=teacher.name if teacher else (before or {}).get("teacher", ""),
        seed=options.seed,
    )
    if teacher:
        steps = options.gist_steps
        if steps is None:
            steps = 0 if options.init else GIST_STEPS
        recipe = replace(recipe, gist_weight=GIST_WEIGHT, gist_steps=steps)
    trained, held_out = read_questions(data, options.everyday)
    if not trained:
        raise UserError(f"{data} has no questions to learn from: give the whole pack")
    random.Random(0).shuffle(held_out)  # the same are measured whatever the seed
    order = random.Random(recipe.seed)
    if recipe.questions:
        everyday = [question for question in trained if question.is_everyday]
        others = [question for question in trained if not question.is_everyday]
        trained = everyday + order.sample(others, min(recipe.questions, len(others)))
    reader = load_reader(options.init) if options.init else begin(options.embedder, trained, recipe)
    ours = [question for question in held_out if question.is_ours]
    others = [question for question in held_out if not question.is_ours]
    gist_targets = None
    if teacher:
        texts = texts_of((q.text, (q.passage, *q.near_misses)) for q in trained)
        teacher.read(texts)
        gist_targets = GistTargets(teacher, texts, reader.config.gist)
    measured = others[:MEASURED] + ours
    figures = train(reader, trained, measured, recipe, options.out, before, gist_targets)
    print(json.dumps(figures, indent=1))


def begin(
    embedder: str | None, trained: Sequence[Question], recipe: Recipe, sizes: ReaderConfig = SIZES
) -> Reader:
    """A reader that has learned nothing but the words of our retriever.

    Args:
        embedder: directory of one of ours; the bundled one without.
        trained: questions whose passages say how rare a word is.
        recipe: its seed counts.
        sizes: of the network; the rows of its tables are the embedder's.

    Raises:
        UserError: the embedder is not one of ours.
    """
    words = load_embedder(embedder)
    if not isinstance(words, BagEmbedder):
        raise UserError("the reader's vectors of words are our own embedder's: pass one of ours")
    bag = words.model.config
    meaning = min(sizes.meaning, bag.dimensions)
    config = replace(sizes, vocab_size=bag.vocab_size, words=bag.words, meaning=meaning)
    meanings = on_fewer_axes(np.array(words.model.embedding), config.meaning)
    weights = first_weights(config, recipe.seed)
    return Reader(weights, rarity_of(trained), meanings, config, words.features)


def train(
    reader: Reader,
    trained: Sequence[Question],
    held_out: Sequence[Question],
    recipe: Recipe,
    out: Path,
    before: dict[str, Any] | None = None,
    gist_targets: GistTargets | None = None,
) -> dict[str, float]:
    """Train a reader on some questions, write it to `out`, and measure it on others.

    Args:
        reader: to begin with.
        trained, held_out: at least one each.
        recipe: how.
        out: directory.
        before: recipe of the reader to begin with, if it has learned already.
        gist_targets: what a teacher says of questions and sentences.
    """
    out.mkdir(parents=True, exist_ok=True)
    count = sum(w.size for w in reader.weights.values())
    say(f"{len(trained):,} questions, {count:,} weights")
    figures: dict[str, float] = {}

    def at_epoch(number: int, weights: Weights) -> None:
        nonlocal figures
        reader.weights = weights
        reader.forget_words()
        save_reader(reader, out)  # measuring takes minutes, and may be interrupted
        figures = measure(reader, held_out)
        say(f"epoch {number}: {json.dumps(figures)}")
        report = {"recipe": vars(recipe), "epoch": number, "held_out": figures, "before": before}
        write_json(report, out / "report.json")
        write_text(_card(report, reader), out / "README.md")

    fit(reader.weights, Examples(trained, reader.vocabulary, gist_targets), recipe, at_epoch)
    return figures


def _recipe_of(directory: Path) -> dict[str, Any]:
    """How a reader was trained, as its report says; {} if it does not."""
    file = directory / "report.json"
    if not file.is_file():
        return {}
    report = json.loads(file.read_text(encoding="utf-8"))
    return {**report.get("recipe", {}), "before": report.get("before")}


def on_fewer_axes(rows: np.ndarray, dimensions: int) -> np.ndarray:
    """Rows of a table on the axes where they differ most [rows, dimensions]."""
    axes = np.linalg.eigh(rows.T @ rows)[1][:, ::-1]
    fewer: np.ndarray = rows @ axes[:, :dimensions]
    return fewer


def rarity_of(questions: Sequence[Question]) -> np.ndarray:
    """Surprise of a stem by its bucket, over the passages, in nats [BUCKETS]."""
    lexicon, counts = Lexicon(), np.zeros(BUCKETS)
    passages = sorted({question.passage for question in questions})
    for passage in passages:
        counts[np.unique(lexicon.look_up(lexicon.rows(passage, PASSAGE_TOKENS))[:, BUCKET])] += 1
    return np.minimum(RAREST, np.log((1 + len(passages)) / (1 + counts))).astype(np.float32)


def measure(reader: Reader, questions: Sequence[Question]) -> dict[str, float]:
    """The reader alone, in percent.

    Each question is read with its own passage. `prefers_passage` is the share of near misses that
    have lower odds than the passage which answers. `refuses_near_misses` is the share of them under
    the threshold below which 15 % of the answerable questions lie, `refuses_twins` the share of
    unanswerable twins under that of the answerable ones. Figures of the questions on everyday
    documents, which are read with their headings, begin with `everyday`. What a set has none of
    is 0.
    """
    ours = [question for question in questions if question.is_ours]
    asked = [question for question in questions if question.answers and not question.is_ours]
    shares, odds = _answers(reader, asked)
    misses, prefers = [], []
    for question, own in zip(asked, odds, strict=True):
        for passage in question.near_misses[:1]:
            misses.append(_best(reader(question.text, [passage])))
            prefers.append(misses[-1] < own)
    shares |= {"prefers_passage": prefers, "refuses_near_misses": _refused(misses, odds)}
    twins = [question for question in ours if question.is_twin]
    everyday = [question for question in ours if question.is_everyday]
    documents = of_documents(everyday)
    for name, some in (("twins", twins), ("everyday", everyday), ("documents", documents)):
        answered, right = _answers(reader, [question for question in some if question.answers])
        _, wrong = _answers(reader, [question for question in some if not question.answers])
        shares[f"refuses_{name}"] = _refused(wrong, right)
        if name != "twins":
            shares |= {f"{name}_{key}": share for key, share in answered.items()}
    counts = {
        "questions": len(asked),
        "twins": len(twins),
        "everyday": len(everyday),
        "documents": len(documents),
    }
    return counts | {
        name: round(100 * float(np.mean(share)), 1) if len(share) else 0.0
        for name, share in shares.items()
    }


def of_documents(questions: Sequence[Question]) -> list[Question]:
    """Those on documents of several passages."""
    passages: dict[str, set[str]] = {}
    for question in questions:
        passages.setdefault(question.article, set()).add(question.passage)
    return [question for question in questions if len(passages[question.article]) > 1]


def _answers(
    reader: Reader, questions: Sequence[Question]
) -> tuple[dict[str, Sequence[Any]], list[float]]:
    """How good the best span is for each question, and its odds."""
    exact, overlap, holds, odds = [], [], [], []
    for question in questions:
        above = [question.heading] if question.is_everyday else []
        found = reader(question.text, [question.passage], above)
        said = question.passage[found[0].start : found[0].end] if found else ""
        exact.append(exact_match(said, question.answers))
        overlap.append(f1(said, question.answers))
        sentence = sentence_at(question.passage, found[0].start) if found else ""
        holds.append(any(answer.lower() in sentence.lower() for answer in question.answers))
        odds.append(_best(found))
    return {"f1": overlap, "exact_match": exact, "sentence_holds_answer": holds}, odds


def _best(found: Sequence[FoundSpan]) -> float:
    return found[0].odds if found else -np.inf


def _refused(unanswerable: Sequence[float], answerable: Sequence[float]) -> np.ndarray:
    """Which are under the threshold that refuses 15 % of the answerable ones."""
    threshold = np.quantile(answerable, 0.15) if answerable else 0.0
    return np.array(unanswerable) < threshold


def _card(report: dict[str, Any], reader: Reader) -> str:
    figures, recipe = report["held_out"], report["recipe"]
    count = sum(weight.size for weight in reader.weights.values())
    table = reader.weights["table"].size
    flags = f"--epochs {recipe['epochs']} --rate {recipe['rate']} --seed {recipe['seed']}"
    if recipe["ours"] != Recipe.ours:
        flags = f"--ours {recipe['ours']} {flags}"
    if recipe["kept"]:
        flags = f"{flags} --kept {recipe['kept']}"
    taught = ""
    if recipe["gist_weight"]:
        flags = f"--teacher DIR --gist-steps {recipe['gist_steps']} {flags}"
    if teacher := recipe["teacher"]:
        taught = (
            f"\nThe vectors of questions and sentences that it compares imitate those of "
            f"{teacher}{LICENCES.get(teacher, '')}.\n"
        )
    if recipe["questions"]:
        flags = f"--questions {recipe['questions']} {flags}"
    went_on = ""
    if before := report["before"]:
        flags += " --init DIR"
        earlier = []
        while before:
            earlier.append(
                f"{counted(before.get('epochs', 0), 'epoch')} of "
                f"{before.get('questions') or 'all'} questions"
            )
            before = before.get("before")
        went_on = f"\nIt went on from readers that had learned for {', and before '.join(earlier)}."
        went_on += "\n"
    rows = "\n".join(
        f"| {source.name} | {source.licence} | {source.attribution} |"
        for source in sources(SOURCES)
    )
    return f"""---
license: cc-by-sa-4.0
---

# mlx-toy reader

A network that says which words of a passage answer a question, and whether any do:
{count:,} weights, {table:,} of them vectors of words and pieces. What each means is given to it in
{reader.meanings.size:,} numbers more, which are a retriever's rows and not learned here. The
language model may copy what was found. How it works and where the parts come from stands in
`mlx_toy/reader_network.py`.

## Figures

On {figures["questions"]:,} questions of articles that were held out, each with its own passage, by
the reader alone: F1 {figures["f1"]} %, exact match {figures["exact_match"]} %; the sentence of its
words holds the answer for {figures["sentence_holds_answer"]} %. At the threshold that refuses 15 %
of these, it refuses {figures["refuses_near_misses"]} % of the same questions with the passage of
their article that BM25 puts first among those without the answer; {figures["prefers_passage"]} % of
these passages have lower odds than the one that answers. The hardest are questions that were
written to look as if their passage answered them, each beside an answerable twin: of
{figures["twins"]:,} twins on held-out articles it refuses {figures["refuses_twins"]} % of the
unanswerable ones where it refuses 15 % of the answerable.

On {figures["everyday"]:,} questions of our own on everyday documents (manuals, contracts, letters,
tables), held out by document and read with their headings: F1 {figures["everyday_f1"]} %, exact
match {figures["everyday_exact_match"]} %; the sentence of its words holds the answer for
{figures["everyday_sentence_holds_answer"]} %. Of those that look as if their passage answered them
and are not answered, it refuses {figures["refuses_everyday"]} % where it refuses 15 % of the
others. {figures["documents"]:,} of these questions are on documents of several passages that
compete: F1 {figures["documents_f1"]} %, exact match {figures["documents_exact_match"]} %; refused
{figures["refuses_documents"]} %.

## Training

`python -m train reader --data DIR --out DIR {flags}`
{went_on}{taught}
| source | licence | attribution |
|---|---|---|
{rows}
| `corpus/twins.jsonl`, `corpus/everyday_questions.jsonl` | Apache-2.0 | the authors of mlx-toy, \
with an AI assistant |

The weights are offered under CC BY-SA 4.0, because sources with a share-alike licence are among
the data. What words mean comes from the bundled retriever, whose card names its sources.

## Limits

English questions with a short answer that stands in one sentence. It knows forms better than facts:
it may prefer the wrong name of two.
"""
