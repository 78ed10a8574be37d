"""Train our retriever: questions near the passages that answer them, far from all others.

    python -m train embedder --data DIR --tokenizer DIR --out DIR     # train, calibrate, evaluate
    python -m train embedder --data DIR --evaluate DIR                # only print the table

Contrastive learning with in-batch negatives (InfoNCE: van den Oord et al. 2018, arXiv:1807.03748;
for retrieval: Karpukhin et al. 2020, arXiv:2004.04906): in a batch of questions and their passages,
each question must pick its own passage, and each passage its own question. A batch is made of one
source and of a few groups, so most negatives are from the same article: that is what a library
looks like. The rows begin as random directions and the gains as inverse document frequencies, so
the untrained network already compares texts as tf-idf does, and training improves on that.

An interrupted run leaves the directory as it was; a finished one replaces it whole.
"""

import argparse
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from mlx_toy.backend import mx

import numpy as np

from corpus.catalog import data_directory
from mlx_toy.bag import BagConfig, BagModel, Features, to_matrix
from mlx_toy.embedder import CONFIG, load_embedder
from mlx_toy.errors import UserError
from mlx_toy.tokenizer import Tokenizer
from train.retrieval_data import MIXTURE, QUESTION_SOURCES, Groups, read_groups, split_held_out
from train.retrieval_data import sources as catalogue_entries
from train.retrieval_report import THRESHOLD_SOURCE, evaluation_table, write_directory

import mlx.nn as nn  # isort: skip
import mlx.optimizers as optim  # isort: skip

Bag = tuple[np.ndarray, np.ndarray]  # distinct feature ids and their weights
Pairs = list[list[tuple[Bag, list[Bag]]]]  # groups of passages, each with its queries


@dataclass(frozen=True)
class Recipe:
    """How to train.

    Attributes:
        steps: optimizer steps.
        batch: pairs in a batch; every other passage of it is a negative.
        group: passages taken from one group: more make negatives harder, fewer more varied.
        learning_rate: peak, for Adam; rises over `warmup` steps, then falls to 0 linearly.
        warmup: steps.
        temperature: cosines are divided by it.
        seed: of weights and batches.
    """

    steps: int = 800
    batch: int = 512
    group: int = 16
    learning_rate: float = 1e-2
    warmup: int = 20
    temperature: float = 0.05
    seed: int = 0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of `python -m train embedder`."""
    parser.add_argument("--data", help="directory with the training data (or MLX_TOY_DATA)")
    parser.add_argument("--tokenizer", help="directory or file of the trained tokenizer")
    parser.add_argument("--out", help="directory to write the retriever to")
    parser.add_argument(
        "--evaluate", metavar="DIR", help="only measure this embedder, '' the bundled"
    )
    parser.add_argument("--steps", type=int, default=Recipe.steps, help="optimizer steps")
    parser.add_argument("--seed", type=int, default=Recipe.seed, help="of weights and batches")
    parser.add_argument("--buckets", type=int, default=BagConfig.buckets, help="rows for words")
    parser.add_argument("--dimensions", type=int, default=BagConfig.dimensions, help="of a vector")


def run(options: argparse.Namespace) -> None:
    """Train and write a retriever, or measure one.

    Raises:
        UserError: a flag is missing, or the data or the tokenizer cannot be read.
    """
    data = data_directory(options.data)
    if options.evaluate is not None:
        print(evaluation_table(load_embedder(options.evaluate or None), data)[1])
        return
    if not options.tokenizer or not options.out:
        raise UserError("say where from and to: pass --tokenizer DIR and --out DIR")
    if options.steps < 1:
        raise UserError(f"--steps {options.steps} is no training: pass a positive number")
    out = Path(options.out)
    if out.exists() and not (out.is_dir() and ((out / CONFIG).exists() or not any(out.iterdir()))):
        raise UserError(f"{out} holds something else: pass --out with a new directory")
    tokenizer = Tokenizer.load(options.tokenizer)
    config = BagConfig(tokenizer.vocab_size, options.buckets, options.dimensions)
    recipe = Recipe(steps=options.steps, seed=options.seed)
    start = time.monotonic()
    trained, held_out = read_training_groups(data)
    if not held_out[THRESHOLD_SOURCE]:
        raise UserError(f"{data} has too few articles to hold one out: give the whole pack")
    features = Features(tokenizer, config)
    pairs = {name: to_bags(groups, features) for name, groups in trained.items()}
    log(f"read {sum(map(count_passages, pairs.values())):,} passages")
    model = train(pairs, config, recipe, MIXTURE)
    facts = {
        "recipe": asdict(recipe),
        "network": asdict(config),
        "training_seconds": round(time.monotonic() - start),
        "pairs_seen": recipe.steps * recipe.batch,
        "command": "python -m train embedder --data DIR --tokenizer DIR --out DIR "
        f"--steps {options.steps} --seed {options.seed} "
        f"--buckets {options.buckets} --dimensions {options.dimensions}",
    }
    print(write_directory(model, tokenizer, held_out, data, facts, out))


def read_training_groups(data: Path) -> tuple[dict[str, Groups], dict[str, Groups]]:
    """What to train on and what is held out, by source."""
    trained: dict[str, Groups] = {}
    held_out: dict[str, Groups] = {}
    for source in catalogue_entries(tuple(MIXTURE)):
        log(f"reading {source.name}")
        trained[source.name] = read_groups(source, data)
        if source.name in QUESTION_SOURCES:
            trained[source.name], held_out[source.name] = split_held_out(trained[source.name])
    return trained, held_out


def to_bags(groups: Groups, features: Features) -> Pairs:
    """The features of every passage and query."""
    return [
        [
            (features(passage.text), [features(query) for query in passage.queries])
            for passage in group
        ]
        for group in groups.values()
    ]


def count_passages(pairs: Pairs) -> int:
    """Passages in all groups."""
    return sum(map(len, pairs))


def train(
    pairs: dict[str, Pairs], config: BagConfig, recipe: Recipe, mixture: dict[str, float]
) -> BagModel:
    """Train the network; the same arguments give the same weights.

    Args:
        pairs: by source.
        config: sizes.
        recipe: how.
        mixture: parts of the batches, by source.
    """
    mx.random.seed(recipe.seed)
    model = BagModel(config)
    idf = mx.array(inverse_document_frequencies(pairs, config))
    model.query_gain, model.passage_gain = idf, idf
    optimizer = optim.Adam(recipe.learning_rate, betas=[0.9, 0.98], bias_correction=True)
    optimizer.init(model.trainable_parameters())
    loss_and_gradient = nn.value_and_grad(model, contrastive_loss)
    start, total, since = time.monotonic(), 0.0, 0
    for step, (queries, passages) in enumerate(batches(pairs, recipe, mixture), start=1):
        rise, fall = step / recipe.warmup, (recipe.steps - step + 1) / recipe.steps
        optimizer.learning_rate = recipe.learning_rate * min(1.0, rise, fall)
        inputs = [mx.array(a) for a in (*to_matrix(queries), *to_matrix(passages))]
        loss, gradient = loss_and_gradient(model, *inputs, recipe.temperature)
        optimizer.update(model, gradient)
        mx.eval(model.state, optimizer.state, loss)
        total, since = total + loss.item(), since + 1
        if step % max(1, min(50, recipe.steps // 4)) == 0 or step == recipe.steps:
            speed = step / (time.monotonic() - start)
            log(
                f"step {step}/{recipe.steps}  loss {total / since:.3f} nats  "
                f"{speed * recipe.batch:,.0f} pairs/s  {(recipe.steps - step) / speed:,.0f} s left"
            )
            total, since = 0.0, 0
    return model


def contrastive_loss(
    model: BagModel,
    query_columns: mx.array,
    query_matrix: mx.array,
    passage_columns: mx.array,
    passage_matrix: mx.array,
    temperature: float,
) -> mx.array:
    """Mean negative log-likelihood of the right passage and of the right query, in nats."""
    queries = model(query_columns, query_matrix, True)  # [B, D]
    passages = model(passage_columns, passage_matrix, False)  # [B, D]
    logits = queries @ passages.T / temperature  # [B, B]
    right = mx.diagonal(logits)
    both = mx.logsumexp(logits, 1) + mx.logsumexp(logits, 0)
    return (both / 2 - right).mean()


def inverse_document_frequencies(pairs: dict[str, Pairs], config: BagConfig) -> np.ndarray:
    """ln(passages / passages with the feature) [rows], scaled to a mean of 1."""
    counts = np.zeros(config.rows)
    total = 0
    for groups in pairs.values():
        for group in groups:
            for (ids, _), _ in group:
                counts[ids] += 1
                total += 1
    idf = np.log((total + 1) / (counts + 1)) + 1e-3
    return (idf / idf.mean()).astype(np.float32)


def batches(
    pairs: dict[str, Pairs], recipe: Recipe, mixture: dict[str, float]
) -> Iterator[tuple[list[Bag], list[Bag]]]:
    """Yield queries and their passages; a batch is of one source, a passage is in it once."""
    random = np.random.default_rng(recipe.seed)
    names = [name for name in mixture if pairs.get(name)]
    parts = np.array([mixture[name] for name in names])
    for _ in range(recipe.steps):
        name = names[random.choice(len(names), p=parts / parts.sum())]
        groups = pairs[name]
        # Passages of one intent answer each other's queries: one of each.
        most = 1 if name == "pairs/intents" else recipe.group
        queries: list[Bag] = []
        passages: list[Bag] = []
        for index in random.permutation(len(groups)):
            group = groups[index]
            first = random.integers(len(group))
            for place in range(min(most, len(group))):
                passage, asked = group[(first + place) % len(group)]
                passages.append(passage)
                queries.append(asked[random.integers(len(asked))])
            if len(passages) >= recipe.batch:
                break
        yield queries[: recipe.batch], passages[: recipe.batch]


def log(line: str) -> None:
    """One line of progress."""
    print(line, file=sys.stderr, flush=True)
