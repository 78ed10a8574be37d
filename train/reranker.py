"""Train the reranker: of what the searches find for a question, the passage that answers it first.

    python -m train reranker --data DIR --out DIR          # train, calibrate, evaluate
    python -m train reranker --data DIR --out DIR --refit DIR    # that one for another embedder
    python -m train reranker --data DIR --evaluate DIR     # only print the table

Three steps, each cheap. The network of word matches learns on training articles and everyday
documents, listwise: the cross-entropy of the right passage among the candidates (Cao et al. 2007).
Beside it, on articles alone, whether a passage answers at all, with questions of other libraries as
what nothing answers: an everyday question may share no word with its passage, so it would teach to
find foreign ones relevant. Then the articles held out of the embedder's training weigh the network
against the embedder and the vectors of words: on its own training articles the embedder is surer
than on others, so weights learned there would trust it too much; held-out everyday documents have a
part in it. Last, on the same held-out articles, relevance becomes a probability. Figures on them
are cross-validated by article. `--refit` takes the network of a reranker that is there: of the
embedder it knows only the candidates that it learned on, and learning it takes the longest.

An interrupted run leaves the directory as it was; a finished one replaces it whole.
"""

import argparse
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from corpus.catalog import data_directory
from mlx_toy.embedder import BagEmbedder, Embedder, load_embedder
from mlx_toy.errors import UserError
from mlx_toy.lexicon import BUCKET, BUCKETS, Lexicon
from mlx_toy.reranker import (
    BUNDLED,
    CONFIG,
    NET,
    PASSAGE_TOKENS,
    Reranker,
    load_reranker,
    read_weights,
)
from train.everyday import FILE as EVERYDAY_FILE
from train.everyday import everyday_groups
from train.progress import say
from train.reranker_data import TrainingLibrary, deal, foreign, sample, together
from train.reranker_fit import Examples, Recipe, join, learn_network, learn_weights, make_examples
from train.reranker_report import (
    THRESHOLD_SOURCE,
    choose_threshold,
    evaluation_table,
    write_directory,
)
from train.retrieval_data import EVERYDAY, Groups, read_groups, sources, split_held_out

QUESTIONS = ("qa/squad_train", "qa/fairytaleqa_train")
KEPT_ARRAYS = (*NET, "mean", "deviation", "rarity")  # of a reranker that is fitted again
TITLES = "pairs/simplewiki"  # titles and headings as queries
PERSONAL = 60  # passages of a library of everyday documents: of many, several answer alike
HELD_FOUND = 30  # candidates of each search, as in use
HELD_EVERYDAY = 3000  # questions: more would outweigh those on articles
FOREIGN_HELD = 0.5  # foreign questions for each own one


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of `python -m train reranker`."""
    parser.add_argument("--data", help="directory with the training data (or MLX_TOY_DATA)")
    parser.add_argument("--out", help="directory to write the reranker to")
    parser.add_argument("--embedder", help="our embedder to train beside (default: bundled)")
    parser.add_argument(
        "--refit",
        metavar="DIR",
        help="keep this one's network, learn the rest, '' the bundled one's",
    )
    parser.add_argument("--evaluate", metavar="DIR", help="only measure this one, '' the bundled")
    parser.add_argument(
        "--everyday", type=Path, default=EVERYDAY_FILE, metavar="FILE", help="(default: our own)"
    )
    parser.add_argument("--questions", type=int, default=Recipe.questions, help="of each library")
    parser.add_argument("--epochs", type=int, default=Recipe.epochs, help="passes over them")
    parser.add_argument("--seed", type=int, default=Recipe.seed, help="of weights and batches")


def run(options: argparse.Namespace) -> None:
    """Train and write a reranker, or measure one.

    Raises:
        UserError: a flag is missing, or the data cannot be read.
    """
    data = data_directory(options.data)
    embedder = load_embedder(options.embedder)
    if options.evaluate is not None:
        print(evaluation_table(load_reranker(options.evaluate), embedder, data)[1])
        return
    if not options.out:
        raise UserError("say where to: pass --out DIR")
    if not isinstance(embedder, BagEmbedder):
        raise UserError("the reranker's vectors of words are our own embedder's: pass one of ours")
    out = Path(options.out)
    if out.exists() and not (out.is_dir() and ((out / CONFIG).exists() or not any(out.iterdir()))):
        raise UserError(f"{out} holds something else: pass --out with a new directory")
    recipe = Recipe(questions=options.questions, epochs=options.epochs, seed=options.seed)
    start = time.monotonic()
    trained, held_out = read_training_groups(data, options.everyday)
    if missing := [n for n, groups in (*held_out.items(), *trained.items()) if not groups]:
        raise UserError(f"{missing[0]} has too few documents to hold one out: give the whole pack")
    base = None if options.refit is None else network_of(Path(options.refit or BUNDLED))
    reranker, facts = train(trained, held_out, embedder, recipe, base)
    facts |= {
        "recipe": asdict(recipe),
        "training_seconds": round(time.monotonic() - start),
        "embedder": embedder.fingerprint,
        "command": f"python -m train reranker --data DIR --out DIR --questions {recipe.questions} "
        f"--epochs {recipe.epochs} --seed {recipe.seed}" + (" --refit DIR" if base else ""),
    }
    print(write_directory(reranker, embedder, held_out, data, facts, out))


def read_training_groups(data: Path, everyday: Path) -> tuple[dict[str, Groups], dict[str, Groups]]:
    """What to train on and what is held out, by source."""
    trained: dict[str, Groups] = {}
    held_out: dict[str, Groups] = {}
    for source in sources((*QUESTIONS, TITLES)):
        say(f"reading {source.name}")
        trained[source.name] = read_groups(source, data)
        if source.name in QUESTIONS:
            trained[source.name], held_out[source.name] = split_held_out(trained[source.name])
    trained[EVERYDAY], held_out[EVERYDAY] = everyday_groups(everyday)
    return trained, held_out


def train(
    trained: dict[str, Groups],
    held_out: dict[str, Groups],
    embedder: BagEmbedder,
    recipe: Recipe,
    base: dict[str, np.ndarray] | None = None,
) -> tuple[Reranker, dict[str, Any]]:
    """Train a reranker; the same arguments give the same weights.

    Args:
        trained, held_out: groups by source.
        embedder: finds candidates, and gives the vectors of words.
        recipe: how.
        base: the network of another reranker, to be kept: it sees words alone, not the embedder.

    Returns:
        The reranker, and cross-validated figures of the held-out articles.
    """
    random = np.random.default_rng(recipe.seed)
    lexicon = Lexicon()
    facts: dict[str, Any] = {}
    if base:
        reranker = with_vectors(embedder, base, recipe)
    else:
        libraries = training_libraries(trained, embedder, lexicon, recipe, random)
        reranker = blank_reranker(embedder, libraries, lexicon, recipe)
        examples = training_examples(reranker, libraries, recipe, random)
        facts["questions"] = len(examples.right)
        say(f"{facts['questions']:,} training questions")
        learn_network(reranker, examples, recipe)
        del libraries, examples
    held = held_out_examples(reranker, held_out, embedder, lexicon, random)
    facts["held_out"] = learn_weights(reranker, held, recipe)
    articles = held_out[THRESHOLD_SOURCE]
    reranker.default_threshold = choose_threshold(reranker, embedder, articles)
    return reranker, facts


def training_libraries(
    trained: dict[str, Groups],
    embedder: Embedder,
    lexicon: Lexicon,
    recipe: Recipe,
    random: np.random.Generator,
) -> list[tuple[str, TrainingLibrary]]:
    """Libraries of each source, of several make-ups, with the name of the source."""
    made = []
    for name, groups in trained.items():
        dealt = deal(groups, PERSONAL if name == EVERYDAY else recipe.library, random)
        for number, part in enumerate(dealt[: recipe.wiki_libraries] if name == TITLES else dealt):
            titled = number % 3 == 2 and name != EVERYDAY  # whose passages have their headings
            library = TrainingLibrary(
                part, embedder, lexicon, headings=titled, apart=number % 3 == 1
            )
            made.append((name, library))
    return made


def blank_reranker(
    embedder: BagEmbedder,
    libraries: list[tuple[str, TrainingLibrary]],
    lexicon: Lexicon,
    recipe: Recipe,
) -> Reranker:
    """A reranker that knows how rare words are and has their vectors, and else nothing."""
    texts = sorted({text for _, library in libraries for text in library.texts})
    asked = [q for name, library in libraries if name != TITLES for q in library.asked.questions]
    common = np.maximum(shares_of(texts, lexicon), shares_of(asked, lexicon))
    rarity = np.log((1 + 1 / len(texts)) / (common + 1 / len(texts)))
    return with_vectors(embedder, {"rarity": rarity.astype(np.float32)}, recipe)


def with_vectors(embedder: BagEmbedder, arrays: dict[str, np.ndarray], recipe: Recipe) -> Reranker:
    """A reranker of these weights and the embedder's vectors of words."""
    model = embedder.model
    gains = np.array(model.query_gain), np.array(model.passage_gain)
    rows = np.array(model.embedding)
    weighted = rows * gains[1][:, None]
    axes = np.linalg.eigh(weighted.T @ weighted)[1][:, -recipe.axes :]  # where they differ most
    vectors = {
        "table": (rows @ axes).astype(np.float32),
        "query_gain": gains[0],
        "passage_gain": gains[1],
    }
    return Reranker({**arrays, **vectors}, embedder.features, 0.0)


def network_of(path: Path) -> dict[str, np.ndarray]:
    """What `--refit` keeps of the reranker in a directory.

    Raises:
        UserError: there is none.
    """
    try:
        arrays, _ = read_weights(path)
        return {name: arrays[name] for name in KEPT_ARRAYS}
    except (LookupError, RuntimeError, ValueError) as error:
        raise UserError(f"no reranker at {path} ({error}): pass --refit with one") from error


def shares_of(texts: list[str], lexicon: Lexicon) -> np.ndarray:
    """The share of the texts that hold a stem, by its bucket [BUCKETS]."""
    counts = np.zeros(BUCKETS)
    for text in texts:
        counts[np.unique(lexicon.look_up(lexicon.rows(text, PASSAGE_TOKENS))[:, BUCKET])] += 1
    return counts / max(1, len(texts))


def training_examples(
    reranker: Reranker,
    libraries: list[tuple[str, TrainingLibrary]],
    recipe: Recipe,
    random: np.random.Generator,
) -> Examples:
    """Own and foreign questions of every library."""
    found = []
    most = {
        TITLES: recipe.questions // 4,
        EVERYDAY: min(recipe.questions, recipe.everyday_questions),
    }
    for number, (name, library) in enumerate(libraries):
        count = most.get(name, recipe.questions)
        own = sample(library.asked, count, random)
        others = libraries[number - 1][1].asked
        # of everyday questions nothing learns whether anything answers
        share = 0.0 if name == EVERYDAY else recipe.foreign
        strange = foreign(others, int(share * len(own.questions)), random)
        asked = together([own, strange])
        found.append(make_examples(reranker, library, asked, recipe.found, name == EVERYDAY))
        say(f"library {number + 1}/{len(libraries)}: {len(own.questions)} questions")
    return join(found)


def held_out_examples(
    reranker: Reranker,
    held_out: dict[str, Groups],
    embedder: Embedder,
    lexicon: Lexicon,
    random: np.random.Generator,
) -> dict[str, Examples]:
    """By source: the held-out groups as one library, asked their own and the others' questions.

    Everyday documents are dealt into libraries of a person's size.
    """
    libraries = {
        name: [
            TrainingLibrary(part, embedder, lexicon)
            for part in (deal(groups, PERSONAL, random) if name == EVERYDAY else [groups])
        ]
        for name, groups in held_out.items()
    }
    found = {}
    for name, parts in libraries.items():
        rest = [other[0].asked for key, other in libraries.items() if key != name]
        examples = []
        for library in parts:
            own = library.asked
            if name == EVERYDAY:
                own = sample(own, max(1, HELD_EVERYDAY // len(parts)), random)
            count = int(FOREIGN_HELD * len(own.questions) / max(1, len(rest)))
            strange = [foreign(asked, count, random) for asked in rest]
            asked = together([own, *strange])
            examples.append(make_examples(reranker, library, asked, HELD_FOUND, name == EVERYDAY))
        found[name] = join(examples)
        say(f"held out of {name}: {int(found[name].own.sum())} questions")
    return found
