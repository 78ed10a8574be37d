"""Train our retriever: questions near the passages that answer them, far from all others.

    python -m train embedder --data DIR --tokenizer DIR --out DIR     # train, calibrate, evaluate
    python -m train embedder --data DIR --init DIR --out DIR          # go on from another of ours
    python -m train embedder --data DIR --evaluate DIR                # only print the table

The network is a bag of words (`mlx_toy/bag.py`); `train/embedder_data.py` says what a batch of
questions, passages and hard negatives is, `train/embedder_fit.py` how the weights are learned.

With `--teacher DIR`, a sentence-transformers BERT such as all-MiniLM-L6-v2, our network begins with
what it says of words, and learns to agree with it on words and short texts (`train/lesson.py`). The
teacher is slow (some twenty minutes of one core), so its vectors are kept in the directory
`--teacher-vectors`, and a run that was interrupted goes on.

An interrupted run leaves the directory as it was; a finished one replaces it whole.
"""

import argparse
import json
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from mlx.utils import tree_flatten

from corpus.catalog import data_directory
from corpus.readers import read_json_lines
from mlx_toy.bag import BagConfig, BagModel, Features
from mlx_toy.embedder import CONFIG, BagEmbedder, load_embedder
from mlx_toy.errors import UserError
from mlx_toy.tokenizer import Tokenizer
from train.arguments import positive
from train.common_words import common_words
from train.definitions import definition_groups, held_out_sets, without_held_out
from train.embedder_data import to_pairs
from train.embedder_fit import Recipe, start, train
from train.everyday import FILE as EVERYDAY_FILE
from train.everyday import everyday_groups
from train.kept import add_kept, check_kept, mean_of
from train.lesson import take_lesson, texts_to_read
from train.progress import say
from train.retrieval_data import (
    DEFINITIONS,
    EVERYDAY,
    HEADINGS,
    MIXTURE,
    QUESTION_SOURCES,
    SOURCES,
    Groups,
    read_groups,
    sources,
    split_held_out,
)
from train.retrieval_report import THRESHOLD_SOURCE, evaluation_table, write_directory
from train.retrieval_sets import QuestionSet
from train.teacher import add_teacher, open_teacher

KEPT_FACTS = ("command", "teacher", "training_seconds", "pairs_seen", "before")
READ_WORDS = 100_000  # that a teacher reads: the rarer ones say what the pieces mean


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of `python -m train embedder`."""
    parser.add_argument("--data", help="directory with the training data (or MLX_TOY_DATA)")
    parser.add_argument("--tokenizer", help="directory or file of the trained tokenizer")
    parser.add_argument("--out", help="directory to write the retriever to")
    parser.add_argument(
        "--evaluate", metavar="DIR", help="only measure this embedder, '' the bundled"
    )
    parser.add_argument("--init", metavar="DIR", help="retriever of ours to go on from")
    add_kept(parser)
    parser.add_argument("--steps", type=int, default=Recipe.steps, help="optimizer steps")
    parser.add_argument("--rate", type=float, default=Recipe.learning_rate, help="peak, for Adam")
    parser.add_argument("--seed", type=int, default=Recipe.seed, help="of weights and batches")
    parser.add_argument(
        "--words", type=positive, default=BagConfig.words, help="that get a row of their own"
    )
    parser.add_argument("--dimensions", type=int, default=BagConfig.dimensions, help="of a vector")
    parser.add_argument(
        "--everyday", type=Path, default=EVERYDAY_FILE, metavar="FILE", help="(default: our own)"
    )
    add_teacher(parser)


def run(options: argparse.Namespace) -> None:
    """Train and write a retriever, or measure one.

    Raises:
        UserError: a flag is missing, or the data or the tokenizer cannot be read.
    """
    data = data_directory(options.data)
    if options.evaluate is not None:
        print(evaluation_table(load_embedder(options.evaluate or None), data)[1])
        return
    if not (options.tokenizer or options.init) or not options.out:
        raise UserError("say where from and to: pass --tokenizer DIR or --init DIR, and --out DIR")
    check_kept(options)
    if options.init and options.teacher:
        raise UserError("a teacher says what words mean in the beginning: pass --init or --teacher")
    if options.steps < 1:
        raise UserError(f"--steps {options.steps} is no training: pass a positive number")
    out = Path(options.out)
    if out.exists() and not (out.is_dir() and ((out / CONFIG).exists() or not any(out.iterdir()))):
        raise UserError(f"{out} holds something else: pass --out with a new directory")
    recipe = Recipe(steps=options.steps, learning_rate=options.rate, seed=options.seed)
    teacher = open_teacher(options)
    if not teacher:
        recipe = replace(recipe, taught=0.0)
    begun = time.monotonic()
    trained, held_out, held_out_sets = read_training_groups(data, options.everyday)
    if not held_out[THRESHOLD_SOURCE]:
        raise UserError(f"{data} has too few articles to hold one out: give the whole pack")
    model, lesson = None, None
    if options.init:
        model, features = _begun(options.init)
        config = model.config
    else:
        read = READ_WORDS if teacher else 0
        words = common_words(data, options.everyday, max(options.words, read))
        tokenizer = Tokenizer.load(options.tokenizer)
        features = Features(tokenizer, words[: options.words])
        config = BagConfig(tokenizer.vocab_size, len(features.known), options.dimensions)
    if teacher:
        texts = texts_to_read(trained, recipe.seed)
        teacher.read([*words, *texts])
        lesson = take_lesson(words, texts, features, teacher, config.dimensions)
    pairs = {name: to_pairs(name, each, features) for name, each in trained.items()}
    say(f"read {sum(len(source.passages) for source in pairs.values()):,} passages")
    model = model or start(pairs, config, recipe, lesson)
    model = train(pairs, model, recipe, MIXTURE, lesson)
    if options.kept:
        before_it = dict(tree_flatten(_begun(options.init)[0].parameters()))
        own = dict(tree_flatten(model.parameters()))
        model.load_weights(list(mean_of(own, before_it, options.kept).items()))
    before = _facts_of(options.init) if options.init else {}
    facts = {
        "recipe": asdict(recipe),
        "network": asdict(config),
        "teacher": teacher.name if teacher else before.get("teacher", ""),
        "training_seconds": round(time.monotonic() - begun),
        "pairs_seen": recipe.steps * recipe.batch,
        "command": "python -m train embedder --data DIR --out DIR "
        f"--steps {options.steps} --rate {options.rate} --seed {options.seed} "
        + (
            "--init DIR" + (f" --kept {options.kept:g}" if options.kept else "")
            if options.init
            else f"--tokenizer DIR --words {options.words} --dimensions {options.dimensions}"
        )
        + (" --teacher DIR" if teacher else ""),
        "before": {name: before[name] for name in KEPT_FACTS if name in before},
    }
    print(write_directory(model, features, held_out, held_out_sets, data, facts, out))


def _begun(directory: str) -> tuple[BagModel, Features]:
    """The network and the features of a retriever of ours to go on from."""
    embedder = load_embedder(directory)
    if not isinstance(embedder, BagEmbedder):
        raise UserError(f"{directory} is not of our kind: pass --init with a retriever of ours")
    return embedder.model, embedder.features


def _facts_of(directory: str) -> dict[str, Any]:
    """How a retriever was trained, as its report says; {} if it does not."""
    file = Path(directory) / "report.json"
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}


def read_training_groups(
    data: Path, everyday: Path
) -> tuple[dict[str, Groups], dict[str, Groups], list[QuestionSet]]:
    """What to train on by source, and what is held out: by source, and as sets of questions."""
    trained: dict[str, Groups] = {}
    held_out: dict[str, Groups] = {}
    sets: list[QuestionSet] = []
    for source in sources(SOURCES):
        say(f"reading {source.name}")
        if source.name == DEFINITIONS:
            records = list(read_json_lines(data / source.file))
            sets = held_out_sets(records)
            trained[source.name] = without_held_out(definition_groups(records))
            continue
        trained[source.name] = read_groups(source, data)
        if source.name == HEADINGS:
            trained[source.name] = without_held_out(trained[source.name])
        if source.name in QUESTION_SOURCES:
            trained[source.name], held_out[source.name] = split_held_out(trained[source.name])
    trained[EVERYDAY], held_out[EVERYDAY] = everyday_groups(everyday)
    return trained, held_out, sets
