"""What the selector learns from: our dialogues, and which of their replies fit other messages.

The dialogues are `corpus/dialogues`; the judgements stand in `corpus/judged_replies.jsonl`. For
those, an AI assistant wrote messages as people type them, the exchanges that were near were looked
up, and another one that did not know why said which replies would fit, as a careful reader:

    {"id": "…", "turns": ["what do owls eat"], "fits": ["facts/0012#0"], "others": ["facts/0031#1"]}

Exchanges are named by dialogue and message; of three turns the last is the one that is answered.
Where the general replies (`corpus/general_replies.jsonl`) were judged as well, "general" has those
that would fit.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from corpus.readers import read_json_lines
from mlx_toy.errors import UserError
from mlx_toy.exchange_search import ExchangeIndex, Said
from mlx_toy.exchanges import Exchange, exchanges_of
from mlx_toy.general_replies import general_exchange

CORPUS = Path(__file__).parents[1] / "corpus"
CHANGED = 0.25  # of the judged beginnings are learned once more as a change of the topic
WRONG = 4  # exchanges that go on with the old topic, found for each of these
DIALOGUES = CORPUS / "dialogues"
JUDGEMENTS = CORPUS / "judged_replies.jsonl"
GENERAL = CORPUS / "general_replies.jsonl"


@dataclass(frozen=True)
class Judged:
    """A message with candidates.

    Attributes:
        said: the message.
        places: of P exchanges.
        fits: whether the reply of each fits [P].
        general: ids of the general replies that fit; None if they were not judged.
    """

    said: Said
    places: list[int]
    fits: np.ndarray
    general: frozenset[str] | None = None


def read_dialogues(directory: Path = DIALOGUES) -> list[Exchange]:
    """The exchanges of all dialogues in a directory, in the order of the files' names.

    Raises:
        UserError: there are none, or a file is broken.
    """
    found: list[Exchange] = []
    for file in sorted(directory.glob("*.jsonl")):
        try:
            for dialogue in read_json_lines(file):
                found += exchanges_of(dialogue["id"], dialogue["messages"])
        except (LookupError, TypeError) as error:
            raise UserError(f"{file} holds something else than dialogues ({error})") from error
    if not found:
        raise UserError(f"{directory} has no dialogues: give a directory with *.jsonl files")
    return found


def read_general(file: Path = GENERAL) -> list[Exchange]:
    """The general replies.

    Raises:
        UserError: the file is missing or broken.
    """
    try:
        found = [general_exchange(one["id"], one["reply"]) for one in read_json_lines(file)]
        if not found:
            raise UserError(f"{file} has no general replies: give one at least")
        return found
    except (LookupError, TypeError) as error:
        raise UserError(f"{file} holds something else than general replies ({error})") from error


def read_judgements(exchanges: Sequence[Exchange], file: Path = JUDGEMENTS) -> list[Judged]:
    """The judged messages; candidates that are not among the exchanges are left out.

    Raises:
        UserError: the file is missing or broken.
    """
    places = {exchange.id: place for place, exchange in enumerate(exchanges)}
    judged = []
    try:
        for record in read_json_lines(file):
            *earlier, message = record["turns"]
            before, said = earlier or ("", "")
            known = {
                places[id]: fits
                for key, fits in (("fits", True), ("others", False))
                for id in record[key]
                if id in places
            }
            if known:
                fits = np.array(list(known.values()))
                general = frozenset(record["general"]) if "general" in record else None
                judged.append(Judged(Said(message, before, said), list(known), fits, general))
    except (ValueError, LookupError, TypeError) as error:
        raise UserError(f"{file} holds something else than judgements ({error})") from error
    return judged


@dataclass(frozen=True)
class View:
    """What candidates of a message are compared with: it, or a sentence of it.

    Attributes:
        said: the message or the sentence.
        places: of exchanges, beside which a candidate is seen.
        rows: of `places`, which are candidates, and
        candidates: which of the message's P candidates they are.
    """

    said: Said
    places: list[int]
    rows: list[int]
    candidates: list[int]


def compared_views(one: Judged, index: ExchangeIndex) -> list[View]:
    """What the candidates of a message are compared with.

    All are compared with the whole message, and those that are found for one of its sentences
    with that, too, beside all that is found for it, as in use.
    """
    whole, *parts = one.said.views
    every = list(range(len(one.places)))
    views = [View(whole, one.places, every, every)]
    for part in parts:
        found = index.search(part)
        row = {place: number for number, place in enumerate(found)}
        own = [number for number in every if one.places[number] in row]
        if own:
            views.append(View(part, found, [row[one.places[number]] for number in own], own))
    return views


def changes_of_topic(judged: Sequence[Judged], index: ExchangeIndex, seed: int) -> list[Judged]:
    """Beginnings that were judged, said in the middle of another conversation.

    What fitted a beginning fits there, too; what goes on with the other conversation does not. No
    message of the judged ones is like that, so the network would learn to go on whatever is said.

    Args:
        judged: the messages.
        index: the exchanges, any of which may be the conversation before.
        seed: of which are taken, and what stands before each.
    """
    random = np.random.default_rng(seed)
    changed = []
    for one in judged:
        if one.said.before or random.random() >= CHANGED:
            continue
        earlier = index.exchanges[random.integers(len(index.exchanges))]
        said = Said(one.said.message, earlier.message, earlier.reply)
        found = [p for p in index.search(said) if index.exchanges[p].goes_on][:WRONG]
        fits = np.concatenate([one.fits, np.zeros(len(found), bool)])
        changed.append(Judged(said, [*one.places, *found], fits))
    return changed
