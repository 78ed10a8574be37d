"""Train the selector: which of the replies that we wrote fits what somebody says.

    python -m train selector --model mlx_toy/weights/chat

It writes the directory `selector` of a model and takes minutes: the exchanges are the dialogues as
they stand, the networks that compare have a few thousand weights, and most of the time goes into
asking the model how likely it finds replies. A reply is given where it is likelier to fit than the
model's own words are good, which is what `--own-words` and `--own-words-later` say. All figures are
of messages that a network did not see.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from mlx_toy.embedder import load_embedder
from mlx_toy.engine import Engine
from mlx_toy.errors import UserError
from mlx_toy.exchange_features import ExchangeFeatures
from mlx_toy.exchange_search import ExchangeIndex
from mlx_toy.general_replies import GeneralReplies, general_features
from mlx_toy.loaded_model import BUNDLED
from mlx_toy.model_directory import WEIGHTS as MODEL_WEIGHTS
from mlx_toy.progress import Progress
from mlx_toy.reply_likelihood import ReplyNats, likelihood_features
from mlx_toy.selector import DIRECTORY, Selector, Thresholds, save_selector
from mlx_toy.told_names import with_names
from train.general_fit import GeneralRecipe, fit_general, held_out_general
from train.kept_nats import KeptNats
from train.progress import say
from train.records import write_json, write_text
from train.selector_data import (
    DIALOGUES,
    GENERAL,
    JUDGEMENTS,
    Judged,
    changes_of_topic,
    compared_views,
    read_dialogues,
    read_general,
    read_judgements,
)
from train.selector_fit import Recipe, fit, held_out
from train.selector_report import card, measure, measure_conversations

OWN_WORDS = 0.22  # share of the bundled model's own replies to the openings that are good
LATER = 0.05  # and of those in the middle of a conversation
FEWEST = 20  # messages: fewer cannot be learned from and measured on by turns
TOGETHER = 50  # messages whose candidates the model is asked about at once


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add the command's own flags."""
    command.add_argument(
        "--model", type=Path, default=BUNDLED, help="whose replies they are (default: bundled)"
    )
    command.add_argument("--dialogues", type=Path, default=DIALOGUES, help="(default: our own)")
    command.add_argument("--judged", type=Path, default=JUDGEMENTS, help="(default: our own)")
    command.add_argument(
        "--own-words",
        type=float,
        default=OWN_WORDS,
        metavar="SHARE",
        help=f"of the model's own replies are good (default: {OWN_WORDS})",
    )
    command.add_argument(
        "--own-words-later",
        type=float,
        default=LATER,
        metavar="SHARE",
        help=f"the same in the middle of a conversation (default: {LATER})",
    )
    command.add_argument("--general", type=Path, default=GENERAL, help="(default: our own)")
    command.add_argument(
        "--asked", type=Path, metavar="FILE", help="keeps what the model says, for the next run"
    )
    command.add_argument("--seed", type=int, default=Recipe.seed)


def run(options: argparse.Namespace) -> None:
    """Train, measure and write a selector.

    Raises:
        UserError: a share that is none, or data that cannot be read.
    """
    for share in (options.own_words, options.own_words_later):
        if not 0 <= share <= 1:
            raise UserError(f"{share} is no share of the model's own words: use 0 to 1")
    exchanges, replies = read_dialogues(options.dialogues), read_general(options.general)
    judged = read_judgements(exchanges, options.judged)
    if not any(one.fits.any() for one in judged):
        raise UserError(f"{options.judged} says of no reply that it fits: give more judgements")
    say(f"{len(exchanges):,} exchanges, {len(judged):,} judged messages")
    recipe, embedder = Recipe(seed=options.seed), load_embedder()
    index = ExchangeIndex(exchanges, embedder)
    changed = changes_of_topic(judged, index, recipe.seed)
    conversing = [number for number, one in enumerate(judged) if one.general is not None]
    if not changed or min(len({one.said.message for one in judged}), len(conversing)) < FEWEST:
        raise UserError(f"{options.judged} judges too few messages: give {FEWEST} or many more")
    every = [*judged, *changed]
    rows, by_messages = compare(every, index)
    fits = [one.fits[row] for one, row in zip(every, rows, strict=True)]
    cases = [judged[number].said for number in conversing]
    general_fits = np.array([[e.id in judged[n].general for e in replies] for n in conversing])
    general_recipe = GeneralRecipe(seed=options.seed)
    with Engine.load(options.model) as engine:
        if not engine.is_ours:
            raise UserError(f"{options.model} is none of our models: they alone reply for mlx-toy")
        nats = KeptNats(engine.reply_nats, options.model / MODEL_WEIGHTS, options.asked)
        asked = _ask(nats, every, index)
        nats.save()
        by_model = [each[row] for each, row in zip(asked, rows, strict=True)]
        both = [np.concatenate(pair, 1) for pair in zip(by_messages, by_model, strict=True)]
        first, second = (fit(features, fits, recipe) for features in (by_messages, both))
        of_cases = general_features(cases, embedder, engine.reply_states)
        arrays = fit_general(of_cases, general_fits, general_recipe)
        general = GeneralReplies(replies, arrays, embedder, engine.reply_states)
        thresholds = Thresholds(options.own_words, options.own_words_later)
        selector = Selector(index, engine.reply_nats, first, second, general, thresholds)
    by_both = _likeliest(held_out(every, fits, both, recipe), rows)
    threshold = options.own_words
    report: dict[str, Any] = {"recipe": asdict(recipe), "general_recipe": asdict(general_recipe)}
    report |= {"exchanges": len(exchanges), "general_replies": len(replies)}
    report |= measure(judged, by_both[: len(judged)], threshold)
    later = thresholds.later
    report["changes_of_topic"] = measure(changed, by_both[len(judged) :], later)
    alone = _likeliest(held_out(every, fits, by_messages, recipe), rows)
    report["without_the_model"] = measure(judged, alone[: len(judged)], threshold)
    general_found = held_out_general(cases, of_cases, general_fits, general_recipe)
    report["conversations"] = measure_conversations(
        [judged[number] for number in conversing],
        [by_both[number] for number in conversing],
        general_fits,
        general_found,
        thresholds,
    )
    out = options.model / DIRECTORY
    out.mkdir(exist_ok=True)
    save_selector(selector, out)
    write_json(report, out / "report.json")
    write_text(card(report), out / "README.md")
    say(json.dumps(report, indent=1))


def compare(
    judged: Sequence[Judged], index: ExchangeIndex
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """For each message which candidate each row of features is of [R], and the features [R, F].

    A candidate has a row for the whole message and for each sentence that it is found for.
    """
    of_words, rows, features = ExchangeFeatures(index), [], []
    for one in judged:
        views = compared_views(one, index)
        rows.append(np.concatenate([view.candidates for view in views]))
        parts = [of_words(one.said, view.said, view.places)[view.rows] for view in views]
        features.append(np.concatenate(parts))
    return rows, features


def _likeliest(probabilities: Sequence[np.ndarray], rows: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Of each candidate the highest probability of its rows."""
    found = []
    for each, row in zip(probabilities, rows, strict=True):
        highest = np.zeros(row.max() + 1, np.float32)
        np.maximum.at(highest, row, each)
        found.append(highest)
    return found


def _ask(nats: ReplyNats, judged: Sequence[Judged], index: ExchangeIndex) -> list[np.ndarray]:
    """What the model says of all candidates."""
    progress, found = Progress("asking the model", len(judged)), []
    for start in range(0, len(judged), TOGETHER):
        some = judged[start : start + TOGETHER]
        cases = [
            (one.said, [with_names(index.exchanges[place], one.said.told) for place in one.places])
            for one in some
        ]
        found += likelihood_features(cases, nats)
        progress.add(len(some))
    progress.end()
    return found
