"""The replies to all openings as a page for a careful reader, and the reader's verdicts.

    python -m train replies --model DIR --out replies.md
    python -m train replies --model DIR --out own_words.md --own-words

On the first page the model replies as in the app, where a reply that was written beforehand is
given if one fits; on the second it finds all words itself. The reader writes `yes` or `no` into the
last column: is the reply fluent, and on topic? Written again, the page keeps the verdict of every
reply that is still the same. `python -m train evaluate` counts the verdicts once each row has one.
"""

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from mlx_toy.engine import Engine, Sampling
from mlx_toy.errors import UserError
from mlx_toy.progress import Progress
from train.evaluation.endings import MAX_TOKENS
from train.evaluation.figure import Figure, share
from train.evaluation.openings import Opening, Reply, conversations, openings
from train.evaluation.subject import Subject
from train.records import write_text

PAGE, OWN_PAGE = "replies.md", "own_words.md"
FLUENT, OWN_FLUENT = "chats.fluent_and_on_topic", "chats.own_words"
WRITTEN = "†"  # behind a reply that was written beforehand
_HOW = "a reader's verdict on the one reply to each fixed opening (the last of two turns), "
_AS_IN_APP = "as the app gives it: a written reply where one fits"
_OWN_WORDS = "all of it the model's own words"
_FIRST_SEED = 1
_HEAD = "| # | kind | opening | reply | fluent and on topic? |\n|---:|---|---|---|---|\n"
_CELLS = re.compile(r"(?<!\\)\|")


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add the command's own flags."""
    command.add_argument("--model", default="", help="directory or name (default: bundled)")
    command.add_argument(
        "--out", type=Path, default=Path(PAGE), help=f"Markdown file to write (default: {PAGE})"
    )
    command.add_argument("--own-words", action="store_true", help="no reply written beforehand")


def run(options: argparse.Namespace) -> None:
    """Answer all openings and write the page."""
    chosen = openings()
    sampling = Sampling(max_tokens=MAX_TOKENS, seed=_FIRST_SEED)
    with Engine.load(options.model) as engine:
        progress = Progress("replies", len(chosen))
        answered = []
        for replies in conversations(engine, chosen, sampling, not options.own_words):
            answered.append(replies)
            progress.add(1)
        progress.end()
        name = engine.name
    write_page(options.out, name, chosen, answered)
    print(options.out)


def write_page(
    path: Path, name: str, chosen: Sequence[Opening], answered: Sequence[Sequence[Reply]]
) -> None:
    """Write the page; verdicts on replies that are still the same are kept."""
    kept = dict(read_verdicts(path))
    rows = []
    for number, (opening, replies) in enumerate(zip(chosen, answered, strict=True), start=1):
        *before, (last, answer) = zip(opening.turns, replies, strict=True)
        lines = [f"{_cell(turn)}<br>*{_cell(reply.text)}*<br>" for turn, reply in before]
        mark = f" {WRITTEN}" if answer.written else ""
        shown = f"{''.join(lines)}{_cell(last)} | {_cell(answer.text)}{mark}"
        rows.append(f"| {number} | {opening.kind} | {shown} | {kept.get(shown, '')} |\n")
    text = (
        f"# Replies of {name} to {len(rows)} fixed openings\n\n"
        "Sampled with the app's settings, the number of the row as the seed; all of them, none "
        "chosen. Of two turns the second reply counts; the first stands in italics. Those with a "
        f"{WRITTEN} were written beforehand, for another message ({_written(answered)} of "
        f"{len(rows)}). The last column is the reader's: yes or no.\n\n"
    )
    write_text(text + _HEAD + "".join(rows), path)


def read_verdicts(path: Path) -> list[tuple[str, str]]:
    """What was shown, and the reader's verdict, of each row; nothing where there is no page."""
    if not path.is_file():
        return []
    found = []
    for line in path.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in _CELLS.split(line)[1:-1]]
        if len(cells) == 5 and cells[0].isdigit():
            found.append((f"{cells[2]} | {cells[3]}", cells[4]))
    return found


def measure(subject: Subject) -> dict[str, Figure]:
    """Share of replies that the reader found good; nothing while a verdict is missing."""
    as_in_app = verdict_figures(subject.replies)
    own = subject.replies.with_name(OWN_PAGE)
    return as_in_app | (verdict_figures(own, OWN_FLUENT, _OWN_WORDS) if own.is_file() else {})


def verdict_figures(page: Path, name: str = FLUENT, how: str = _AS_IN_APP) -> dict[str, Figure]:
    """The verdicts on a page, counted.

    Args:
        page: of replies.
        name: of the figure.
        how: the replies came about.

    Raises:
        UserError: a verdict is neither yes nor no.
    """
    verdicts = [verdict.lower() for _, verdict in read_verdicts(page)]
    if not verdicts or not all(verdicts):
        print(f"{page}: no reader's verdict on every reply yet", file=sys.stderr)
        return {}
    for verdict in verdicts:
        if verdict not in ("yes", "no"):
            raise UserError(f"{page} has the verdict {verdict!r}: write yes or no")
    return {name: share([verdict == "yes" for verdict in verdicts], "replies", _HOW + how)}


def _written(answered: Sequence[Sequence[Reply]]) -> int:
    """How many of the last replies were written beforehand."""
    return sum(replies[-1].written for replies in answered)


def _cell(text: str) -> str:
    """A text in one cell of a Markdown table, where nothing of it is markup."""
    escaped = re.sub(r"([\\|*_`<>\[\]#~&$])", r"\\\1", " ".join(text.split()))
    return escaped or "(nothing)"
