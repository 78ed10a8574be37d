"""The figures of a model's `report.json` in words, and as bars; all of them in a table.

The report is flat, "set.figure" -> number. What is known here gets a sentence; a figure that is not
stands in the table under its own name.
"""

from collections.abc import Iterator
from typing import Any

from mlx_toy.ui.markup import as_text, plural

TEXTS = {
    "simplewiki_public": "pages of Simple English Wikipedia",
    "stories_public": "simple stories",
}
QUESTIONS = "squad_dev_public."
BARS = {
    "quote_holds_answer": "The sentence quoted holds the answer",
    "f1": "Words of the answer that are right (F1)",
    "exact_match": "Answers that are right to the letter",
    "correct_refusals": "Questions without an answer that it turns down",
    "false_refusals": "Questions with an answer that it turns down (fewer is better)",
}
RECALL_AT = "recall@5"


def report_card_html(report: dict[str, Any], retriever: dict[str, Any]) -> str:
    """What was measured, most telling first.

    Args:
        report: of the model.
        retriever: of the embedder, as `python -m train embedder` writes it.
    """
    numbers = {name: value for name, value in report.items() if _is_number(value)}
    sentences = [*_reading(numbers), *_answering(numbers), *_finding(retriever)]
    if not sentences and not numbers:
        return '<p class="empty">Nothing was measured for this model.</p>'
    said = "".join(f"<li>{as_text(line)}</li>" for line in sentences)
    return f"<ul>{said}</ul>{_bars(numbers, retriever)}{_table(numbers)}"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _reading(numbers: dict[str, float]) -> Iterator[str]:
    for name, words in TEXTS.items():
        if bits := numbers.get(f"bits_per_byte.{name}"):
            yield (
                f"To guess the next byte of {words} that it had not read, it needs {bits:.2f} bits "
                "on average; somebody who knows nothing needs 8."
            )


def _answering(numbers: dict[str, float]) -> Iterator[str]:
    asked = int(numbers.get(QUESTIONS + "answerable_questions", 0))
    others = int(numbers.get(QUESTIONS + "unanswerable_questions", 0))
    quoted = numbers.get(QUESTIONS + "quote_holds_answer")
    if asked and quoted is not None:
        yield (
            f"Asked {plural(asked, 'question')} with the passage that answers, it quoted a "
            f"sentence that holds the answer for {round(asked * quoted / 100):,} ({quoted:.0f}%)."
        )
    refused = numbers.get(QUESTIONS + "correct_refusals")
    if others and refused is not None:
        yield (
            f"Asked {plural(others, 'question')} that the passage does not answer, it said so for "
            f"{round(others * refused / 100):,} ({refused:.0f}%)."
        )


def _finding(retriever: dict[str, Any]) -> Iterator[str]:
    for name, found in _recall(retriever):
        asked, passages = found["questions"], found["passages"]
        yield (
            f"Searching {passages:,} passages of {name} for {asked:,} questions, it had the right "
            f"passage among the first five for {found['recall']:.0%}."
        )


def _recall(retriever: dict[str, Any]) -> Iterator[tuple[str, dict[str, float]]]:
    """Sets that the search was measured on, with the recall of the better of its two fusions."""
    sets = retriever.get("evaluation")
    for name, figures in sets.items() if isinstance(sets, dict) else ():
        if not isinstance(figures, dict):
            continue
        fused = figures.get("summed") or figures.get("fused")
        if isinstance(fused, dict) and _is_number(fused.get(RECALL_AT)):
            yield (
                str(name),
                {
                    "questions": figures.get("questions", 0),
                    "passages": figures.get("passages", 0),
                    "recall": fused[RECALL_AT],
                },
            )


def _bars(numbers: dict[str, float], retriever: dict[str, Any]) -> str:
    shares = [
        (words, numbers[QUESTIONS + name] / 100)
        for name, words in BARS.items()
        if QUESTIONS + name in numbers
    ]
    shares += [
        (f"Right passage among the first five, {name}", found["recall"])
        for name, found in _recall(retriever)
    ]
    rows = "".join(
        f'<div class="bar-row"><span>{as_text(words)}</span>'
        f'<span class="track"><span style="width:{min(max(share, 0), 1):.1%}"></span></span>'
        f"<b>{share:.0%}</b></div>"
        for words, share in shares
    )
    return f'<h3>Accuracy by task</h3><div class="bars">{rows}</div>' if rows else ""


def _table(numbers: dict[str, float]) -> str:
    rows = "".join(
        f"<tr><th>{as_text(name)}</th><td>{value:,}</td></tr>" for name, value in numbers.items()
    )
    return (
        f"<details><summary>Every figure of the model</summary><table>{rows}</table></details>"
        if rows
        else ""
    )
