"""Train the selector: which of the replies that we wrote fits what somebody says.

    python -m train selector --model mlx_toy/weights/chat

It writes the directory `selector` of a model and takes minutes: the exchanges are the dialogues as
they stand, the networks that compare have a few thousand weights, and most of the time goes into
asking the model how likely it finds replies. A reply is given where it is likelier to fit than the
model's own words are good, which is what `--own-words` says. All figures are of messages that a
network did not see.
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
from mlx_toy.loaded_model import BUNDLED
from mlx_toy.progress import Progress
from mlx_toy.reply_likelihood import ReplyNats, likelihood_features
from mlx_toy.selector import DIRECTORY, Selector, save_selector
from train.logistic import area, reliability
from train.progress import say
from train.records import write_json, write_text
from train.selector_data import (
    DIALOGUES,
    JUDGEMENTS,
    Judged,
    changes_of_topic,
    read_dialogues,
    read_judgements,
)
from train.selector_fit import Recipe, fit, held_out

OWN_WORDS = 0.22  # share of the bundled model's own replies to the openings that are good
FEWEST = 20  # messages: fewer cannot be learned from and measured on by turns
TOGETHER = 50  # messages whose candidates the model is asked about at once
THRESHOLDS = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7)


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
    command.add_argument("--seed", type=int, default=Recipe.seed)


def run(options: argparse.Namespace) -> None:
    """Train, measure and write a selector.

    Raises:
        UserError: a share that is none, or data that cannot be read.
    """
    if not 0 <= options.own_words <= 1:
        raise UserError(f"--own-words {options.own_words} is no share: use 0 to 1")
    exchanges = read_dialogues(options.dialogues)
    judged = read_judgements(exchanges, options.judged)
    if not any(one.fits.any() for one in judged):
        raise UserError(f"{options.judged} says of no reply that it fits: give more judgements")
    say(f"{len(exchanges):,} exchanges, {len(judged):,} judged messages")
    recipe = Recipe(seed=options.seed)
    index = ExchangeIndex(exchanges, load_embedder())
    changed = changes_of_topic(judged, index, recipe.seed)
    if not changed or len({one.said.message for one in judged}) < FEWEST:
        raise UserError(f"{options.judged} judges too few messages: give {FEWEST} or many more")
    every, compare = [*judged, *changed], ExchangeFeatures(index)
    fits = [one.fits for one in every]
    by_messages = [compare(one.said, one.places) for one in every]
    with Engine.load(options.model) as engine:
        if not engine.is_ours:
            raise UserError(f"{options.model} is none of our models: they alone reply for mlx-toy")
        by_model = _ask(engine.reply_nats, every, index)
        both = [np.concatenate(pair, 1) for pair in zip(by_messages, by_model, strict=True)]
        first, second = (fit(features, fits, recipe) for features in (by_messages, both))
        selector = Selector(index, engine.reply_nats, first, second, options.own_words)
    by_both = held_out(every, both, recipe)
    figures = measure(judged, by_both[: len(judged)], options.own_words)
    report = {"recipe": asdict(recipe), "exchanges": len(exchanges), **figures}
    report["changes_of_topic"] = measure(changed, by_both[len(judged) :], options.own_words)
    alone = held_out(every, by_messages, recipe)[: len(judged)]
    report["without_the_model"] = measure(judged, alone, options.own_words)
    out = options.model / DIRECTORY
    out.mkdir(exist_ok=True)
    save_selector(selector, out)
    write_json(report, out / "report.json")
    write_text(card(report), out / "README.md")
    say(json.dumps(report, indent=1))


def _ask(nats: ReplyNats, judged: Sequence[Judged], index: ExchangeIndex) -> list[np.ndarray]:
    """What the model says of all candidates."""
    progress, found = Progress("asking the model", len(judged)), []
    for start in range(0, len(judged), TOGETHER):
        some = judged[start : start + TOGETHER]
        cases = [(one.said, [index.exchanges[place] for place in one.places]) for one in some]
        found += likelihood_features(cases, nats)
        progress.add(len(some))
    progress.end()
    return found


def measure(
    judged: Sequence[Judged], probabilities: Sequence[np.ndarray], threshold: float
) -> dict[str, Any]:
    """What choosing among the judged candidates is worth, in shares of the messages.

    Args:
        judged: the messages.
        probabilities: [P] of each one's candidates, by a network that did not see it.
        threshold: from which on a reply is given.
    """
    best = np.array([found.max() for found in probabilities])
    good = np.array(
        [one.fits[found.argmax()] for one, found in zip(judged, probabilities, strict=True)]
    )
    every = np.concatenate([one.fits for one in judged]).astype(float)
    flat = np.concatenate(probabilities)
    return {
        "messages": len(judged),
        "candidates": len(every),
        "some_reply_fits": _share([one.fits.any() for one in judged]),
        "area_under_roc": round(area(flat, every), 3),
        "threshold": threshold,
        "given": _share(best >= threshold),
        "given_fits": _share(good[best >= threshold]),
        "by_threshold": [
            {"threshold": at, "given": _share(best >= at), "fits": _share(good[best >= at])}
            for at in THRESHOLDS
        ],
        "reliability": reliability(best, good.astype(float)),
    }


def _share(values: Any) -> float:
    return round(float(np.mean(values)), 3) if len(values) else 0.0


def card(report: dict[str, Any]) -> str:
    """README.md of the directory, with the front matter that the hub reads."""
    alone, changed = report["without_the_model"], report["changes_of_topic"]
    flags = f"--own-words {report['threshold']} --seed {report['recipe']['seed']}"
    rows = "\n".join(
        f"| {row['threshold']} | {row['given']:.1%} | {row['fits']:.1%} |"
        for row in report["by_threshold"]
    )
    return f"""---
license: apache-2.0
---

# mlx-toy selector

It chooses what the chat model says where one of {report["exchanges"]:,} written replies fits, and
leaves the rest to the model's own words. How it works stands in `mlx_toy/selector.py`. The replies
are the dialogues in `corpus/dialogues`, which the model also learned from; they were written for
this project, with the help of an AI assistant.

## Figures

On {report["messages"]:,} messages, each with the replies that were found for it,
{report["candidates"]:,} in all (`corpus/judged_replies.jsonl`). The messages were written by AI
assistants that did not see the dialogues, as people type them; other assistants judged reply by
reply. For {report["some_reply_fits"]:.1%} of the messages one of the replies fits. Cross-validated
over messages, the area under the ROC curve of a reply's probability is {report["area_under_roc"]}
({alone["area_under_roc"]} by the messages alone, before the model is asked how likely it finds the
replies). At the threshold in use, {report["threshold"]}, a written reply is given to
{report["given"]:.1%} of the messages, and fits {report["given_fits"]:.1%} of these:

| threshold | given to | fits |
|---:|---:|---:|
{rows}

{changed["messages"]:,} of the messages were also put into the middle of another conversation, as a
person may change the topic at any moment; there a written reply is given to
{changed["given"]:.1%}, and fits {changed["given_fits"]:.1%} of these.

The threshold is the share of the model's own replies that a reader found good: a written reply is
given where it is likelier to fit than that. These messages are more special than what most people
type first; the replies to sixty fixed openings stand in `replies.md` beside the model's card.

## Training

`python -m train selector --model DIR {flags}`

## Limits

English. It knows nothing of a conversation but the last message and the exchange before it, and
does not count, reason or look anything up. A reply may fit in form and be wrong in fact for the
case at hand. It was fitted for the bundled retriever, whose vectors it uses.
"""
