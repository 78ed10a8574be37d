"""From a question to its answer: SQuAD's questions against the library of all its paragraphs."""

import random
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from corpus.readers import read_json_lines
from mlx_toy.answers import CLOSEST
from mlx_toy.assistant import Assistant
from mlx_toy.replies import Update
from train.evaluate_retrieval import open_embedder
from train.retrieval_rows import WORKSPACE, in_app
from train.retrieval_sets import FILES, from_questions
from train.squad import exact_match, f1


def end_to_end(data: Path, questions: int) -> dict[str, float]:
    """Figures of the app's answers; the questions are chosen by a fixed seed.

    Args:
        data: directory that holds `eval/`.
        questions: how many, answerable or not as they come.
    """
    records = list(read_json_lines(data / FILES["squad"]))
    chosen = from_questions("SQuAD", records)
    asked = random.Random(0).sample(records, min(questions, len(records)))
    with in_app(chosen, open_embedder("")) as (assistant, _):
        return figures([(record, answer(assistant, record["question"])) for record in asked])


def answer(assistant: Assistant, question: str) -> Update:
    """The app's reply, whole."""
    *_, last = assistant.reply(WORKSPACE, [{"role": "user", "content": question}])
    print(".", end="", file=sys.stderr, flush=True)
    return last


def figures(answered: Sequence[tuple[dict[str, Any], Update]]) -> dict[str, float]:
    """What the replies are worth, in percent.

    Args:
        answered: records of SQuAD with the last update of each reply.

    Returns:
        F1 and exact match of the quoted span over answerable questions; how many of them were
        answered outright, with their F1, how many only shown the closest sentence, how many left
        unanswered; citation precision: of all answers to answerable questions, how many cite a
        passage, and how many quote a sentence, that holds a gold answer; and the same shares of
        unanswerable questions.
    """
    known = [(record["answers"], update) for record, update in answered if record["answers"]]
    unknown = [update for record, update in answered if not record["answers"]]
    spans = [(span(update), gold) for gold, update in known]
    cited = [(cited_passage(update), quote(update), gold) for gold, update in known]
    cited = [item for item in cited if item[0]]
    sure = [
        f1(span(update), gold)
        for gold, update in known
        if not (update.abstained or only_shows(update))
    ]
    return {
        "answerable_questions": len(known),
        "f1": _percent(sum(f1(text, gold) for text, gold in spans), len(known)),
        "exact_match": _percent(sum(exact_match(text, gold) for text, gold in spans), len(known)),
        "answers": len(sure),
        "f1_of_answers": _percent(sum(sure), len(sure)),
        "only_shows": _percent(sum(only_shows(update) for _, update in known), len(known)),
        "false_refusals": _percent(sum(update.abstained for _, update in known), len(known)),
        "right_passage_given": _percent(
            sum(_holds(" ".join(s.hit.text for s in u.sources), gold) for gold, u in known),
            len(known),
        ),
        "citations": len(cited),
        "cited_passage_holds_answer": _percent(
            sum(_holds(passage, gold) for passage, _, gold in cited), len(cited)
        ),
        "quoted_sentence_holds_answer": _percent(
            sum(_holds(sentence, gold) for _, sentence, gold in cited), len(cited)
        ),
        "unanswerable_questions": len(unknown),
        "only_shows_unanswerable": _percent(sum(map(only_shows, unknown)), len(unknown)),
        "correct_refusals": _percent(sum(update.abstained for update in unknown), len(unknown)),
    }


def only_shows(update: Update) -> bool:
    """Whether a reply claims no answer, but shows the closest sentence."""
    return not update.abstained and update.text.startswith(CLOSEST)


def span(update: Update) -> str:
    """The quoted words of a reply; "" if it quotes none."""
    for source in update.sources:
        if source.quote is not None and not update.abstained:
            return source.hit.text[source.start : source.end]
    return ""


def cited_passage(update: Update) -> str:
    """The text of the cited passage; "" if none is cited."""
    return "" if update.abstained else next((s.hit.text for s in update.sources if s.quote), "")


def quote(update: Update) -> str:
    """The quoted sentence; "" if none is quoted."""
    return next((source.quote for source in update.sources if source.quote), "")


def _holds(text: str, gold: Sequence[str]) -> bool:
    return any(answer in text for answer in gold)


def _percent(part: float, whole: int) -> float:
    return round(100 * part / max(1, whole), 1)
