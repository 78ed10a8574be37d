"""Train the selector: which of the replies that we wrote fits what somebody says.

    python -m train selector --out mlx_toy/weights/chat/selector

It takes seconds: the exchanges are the dialogues as they stand, and the network that compares has a
few thousand weights. A reply is given where it is likelier to fit than the model's own words are
good, which is what `--own-words` says. All figures are of messages that a network did not see.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from mlx_toy.embedder import load_embedder
from mlx_toy.errors import UserError
from mlx_toy.exchange_features import ExchangeFeatures
from mlx_toy.exchange_search import ExchangeIndex
from mlx_toy.selector import CONFIG, Selector, save_selector
from train.logistic import area, reliability
from train.progress import say
from train.records import write_json, write_text
from train.selector_data import DIALOGUES, JUDGEMENTS, Judged, read_dialogues, read_judgements
from train.selector_fit import Recipe, fit, held_out

OWN_WORDS = 0.37  # share of the bundled model's own replies to the openings that are good
THRESHOLDS = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7)


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add the command's own flags."""
    command.add_argument("--out", type=Path, required=True, help="directory to write")
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
    out: Path = options.out
    if out.exists() and not (out.is_dir() and ((out / CONFIG).exists() or not any(out.iterdir()))):
        raise UserError(f"{out} holds something else: pass --out with a new directory")
    exchanges = read_dialogues(options.dialogues)
    judged = read_judgements(exchanges, options.judged)
    if not any(one.fits.any() for one in judged):
        raise UserError(f"{options.judged} says of no reply that it fits: give more judgements")
    say(f"{len(exchanges):,} exchanges, {len(judged):,} judged messages")
    recipe = Recipe(seed=options.seed)
    index = ExchangeIndex(exchanges, load_embedder())
    compare = ExchangeFeatures(index)
    features = [compare(one.said, one.places) for one in judged]
    figures = measure(judged, held_out(judged, features, recipe), options.own_words)
    arrays = fit(features, [one.fits for one in judged], recipe)
    report = {"recipe": asdict(recipe), "exchanges": len(exchanges), **figures}
    out.mkdir(parents=True, exist_ok=True)
    save_selector(Selector(index, arrays, options.own_words), out)
    write_json(report, out / "report.json")
    write_text(card(report), out / "README.md")
    print(json.dumps(figures, indent=1))


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

{report["messages"]:,} messages of people, written for the purpose without sight of the dialogues,
each with the replies that were found for it: {report["candidates"]:,}, judged one by one by an AI
assistant (`corpus/judged_replies.jsonl`). For {report["some_reply_fits"]:.1%} of the messages one of
these fits. Cross-validated over messages, the area under the ROC curve of a reply's probability is
{report["area_under_roc"]}. At the threshold in use, {report["threshold"]}, a written reply is given
to {report["given"]:.1%} of the messages, and fits {report["given_fits"]:.1%} of these:

| threshold | given to | fits |
|---:|---:|---:|
{rows}

The threshold is the share of the model's own replies that a reader found good: a written reply is
given where it is likelier to fit than that. These messages are more special than what most people
type first; the replies to sixty fixed openings stand in `replies.md` beside the model's card.

## Training

`python -m train selector --out DIR --own-words {report["threshold"]} --seed {report["recipe"]["seed"]}`

## Limits

English. It knows nothing of a conversation but the last message and the exchange before it, and
does not count, reason or look anything up. A reply may fit in form and be wrong in fact for the
case at hand. It was fitted for the bundled retriever, whose vectors it uses.
"""
