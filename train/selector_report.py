"""What the selector is worth, in figures and on its card."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from mlx_toy.selector import SURE, Thresholds
from train.logistic import area, reliability
from train.selector_data import Judged

THRESHOLDS = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7)


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


def measure_conversations(
    judged: Sequence[Judged],
    probabilities: Sequence[np.ndarray],
    general_fits: np.ndarray,
    general: np.ndarray,
    thresholds: Thresholds,
) -> dict[str, Any]:
    """What is said to messages for which the general replies were judged, too.

    Args:
        judged: N messages.
        probabilities: [P] of each one's candidates, by a network that did not see it.
        general_fits: whether each general reply fits [N, K].
        general: how probably, by a network that did not see the message [N, K].
        thresholds: from which on a reply is given.
    """
    given, good, is_general, some, later = [], [], [], [], []
    for one, fits, found, also, likely in zip(
        judged, (j.fits for j in judged), probabilities, general_fits, general, strict=True
    ):
        best = found if found.max() >= min(SURE, likely.max()) else likely
        is_general.append(best is likely)
        good.append((also if best is likely else fits)[best.argmax()])
        given.append(best.max() >= thresholds.of(one.said))
        some.append(fits.any() or also.any())
        later.append(bool(one.said.before))
    figures: dict[str, Any] = {"thresholds": asdict(thresholds)}
    for name, wanted in (("first", False), ("later", True)):
        own = np.array(later) == wanted
        told = own & np.array(given)
        figures[name] = {
            "messages": int(own.sum()),
            "some_reply_fits": _share(np.array(some)[own]),
            "given": _share(np.array(given)[own]),
            "given_fits": _share(np.array(good)[told]),
            "general": _share(np.array(is_general)[told]),
            "general_fits": _share(np.array(good)[told & np.array(is_general)]),
        }
    return figures


def _share(values: Any) -> float:
    return round(float(np.mean(values)), 3) if len(values) else 0.0


def card(report: dict[str, Any]) -> str:
    """README.md of the directory, with the front matter that the hub reads."""
    alone, changed = report["without_the_model"], report["changes_of_topic"]
    talk = report["conversations"]
    thresholds = talk["thresholds"]
    flags = f"--own-words {thresholds['first']} --own-words-later {thresholds['later']} "
    flags += f"--seed {report['recipe']['seed']}"
    rows = "\n".join(
        f"| {row['threshold']} | {row['given']:.1%} | {row['fits']:.1%} |"
        for row in report["by_threshold"]
    )
    talk_rows = "\n".join(
        f"| {title} | {row['messages']:,} | {row['some_reply_fits']:.1%} | {row['given']:.1%} | "
        f"{row['given_fits']:.1%} | {row['general']:.1%} | {row['general_fits']:.1%} |"
        for title, row in (("first", talk["first"]), ("later", talk["later"]))
    )
    return f"""---
license: apache-2.0
---

# mlx-toy selector

It chooses what the chat model says where one of {report["exchanges"]:,} written replies fits, or
one of {report["general_replies"]} general ones, and leaves the rest to the model's own words. How
it works stands in `mlx_toy/selector.py` and `mlx_toy/general_replies.py`. The replies are the
dialogues in `corpus/dialogues`, most of which the model also learned from, and
`corpus/general_replies.jsonl`; they were written for this project, with the help of an AI
assistant.

## Figures

On {report["messages"]:,} messages, each with the replies that were found for it,
{report["candidates"]:,} in all (`corpus/judged_replies.jsonl`). The messages were written by AI
assistants, as people type them: most by some that did not see the dialogues, some in conversations
with the program, and some are of the dialogues, whose own replies were then left out; other
assistants judged reply by reply. For {report["some_reply_fits"]:.1%} of the messages one of the
replies fits. Cross-validated over messages, the area under the ROC curve of a reply's probability
is {report["area_under_roc"]} ({alone["area_under_roc"]} by the messages alone, before the model is
asked how likely it finds the replies). At a threshold of {report["threshold"]}, a written reply is
given to {report["given"]:.1%} of the messages, and fits {report["given_fits"]:.1%} of these:

| threshold | given to | fits |
|---:|---:|---:|
{rows}

{changed["messages"]:,} of the messages were also put into the middle of another conversation, as a
person may change the topic at any moment; there a written reply is given to
{changed["given"]:.1%}, and fits {changed["given_fits"]:.1%} of these.

The messages from conversations were judged with the general replies, too, and these are as hard as
what people say in the middle of one. The likeliest reply of all, cross-validated:

| messages | count | some reply fits | given to | fits | general | of these fit |
|---|---:|---:|---:|---:|---:|---:|
{talk_rows}

The thresholds are the shares of the model's own replies that readers found good, at the beginning
of a conversation and in the middle of one: a written reply is given where it is likelier to fit.
The replies to sixty fixed openings stand in `replies.md` beside the model's card, and in
`conversations.md` sixty conversations of five turns that were held with it.

## Training

`python -m train selector --model DIR {flags}`

## Limits

English. It knows nothing of a conversation but the last message and the exchange before it, and
does not count, reason or look anything up. A reply may fit in form and be wrong in fact for the
case at hand. It was fitted for the bundled retriever, whose vectors it uses.
"""
