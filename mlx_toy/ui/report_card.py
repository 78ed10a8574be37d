"""The figures of a model's `report.json` in words, and as bars; all of them in a table.

A report is flat, "set.figure" -> number, with `details` (how many items, how it was obtained) and
the same of `baselines` and `peers`. What is known here gets words; a figure that is not stands in
the table under its own name.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from mlx_toy.ui.markup import as_text, plural

TEXTS = {
    "simplewiki_public": "pages of Simple English Wikipedia",
    "stories_public": "simple stories",
}
QUESTIONS = "squad_dev_public."
RECALL_AT = "recall@5"
SHARES = {  # figures in percent, the most telling first
    f"{QUESTIONS}quote_holds_answer": "The sentence quoted holds the answer",
    f"{QUESTIONS}cited_holds_answer": "It cites the passage that answers, of four",
    f"{QUESTIONS}f1": "Words of the answer that are right (F1)",
    f"{QUESTIONS}exact_match": "Answers that are right to the letter",
    f"{QUESTIONS}correct_refusals": "Questions without an answer that it turns down",
    f"{QUESTIONS}false_refusals": "Questions with an answer that it turns down (fewer is better)",
    "blimp_public.accuracy": "Grammar: the right one of two sentences (by chance 50%)",
    "chats.fluent_and_on_topic": "Replies in the app that are fluent and on topic, by a reader",
    "chats.own_words": "The same, all of it in the model's own words",
    "endings.by_themselves": "Replies that end by themselves",
    "memory.verbatim": "Samples that stand word for word in what it read (fewer is better)",
}

Report = Mapping[str, Any]


class Found(NamedTuple):
    """How well the search did on a set: questions, passages, and recall from 0 to 1."""

    name: str
    questions: int
    passages: int
    recall: float


def report_card_html(report: Report, retriever: Report) -> str:
    """What was measured, most telling first.

    Args:
        report: of the model.
        retriever: of the embedder, as `python -m train embedder` writes it.
    """
    numbers = _numbers(report)
    found = list(_recall(retriever))
    sentences = [*_reading(numbers), *_answering(numbers, _counts(report)), *map(_finding, found)]
    if not sentences and not numbers:
        return '<p class="empty">Nothing was measured for this model.</p>'
    said = "".join(f"<li>{as_text(line)}</li>" for line in sentences)
    details = f"{_beside_others(report, numbers)}{_table(report, numbers)}"
    return f"<ul>{said}</ul>{_bars(numbers, found)}{details}"


def _numbers(report: Report) -> dict[str, float]:
    return {name: value for name, value in report.items() if _is_number(value)}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _detail(report: Report, name: str) -> dict[str, Any]:
    details = report.get("details")
    found = details.get(name) if isinstance(details, dict) else None
    return found if isinstance(found, dict) else {}


def _counts(report: Report) -> dict[str, int]:
    """Number of items behind each figure of questions."""
    counts = {}
    for name, all_of in (
        ("quote_holds_answer", "answerable_questions"),
        ("correct_refusals", "unanswerable_questions"),
    ):
        count = _detail(report, QUESTIONS + name).get("n", report.get(QUESTIONS + all_of, 0))
        counts[name] = int(count or 0) if _is_number(count) else 0
    return counts


def _reading(numbers: Mapping[str, float]) -> Iterator[str]:
    for name, words in TEXTS.items():
        if bits := numbers.get(f"bits_per_byte.{name}"):
            yield (
                f"To guess the next byte of {words} that it had not read, it needs {bits:.2f} bits "
                "on average; somebody who knows nothing needs 8."
            )


def _answering(numbers: Mapping[str, float], counts: Mapping[str, int]) -> Iterator[str]:
    for name, asked in (
        (
            "quote_holds_answer",
            "with the passage that answers, it quoted a sentence that holds the answer",
        ),
        ("correct_refusals", "that the passage does not answer, it said so"),
    ):
        share, count = numbers.get(QUESTIONS + name), counts[name]
        if share is not None and count:
            hits = round(count * share / 100)
            yield f"Asked {plural(count, 'question')} {asked} for {hits:,} ({share:.0f}%)."


def _finding(found: Found) -> str:
    return (
        f"Searching {found.passages:,} passages of {found.name} for {found.questions:,} questions, "
        f"it had the right passage among the first five for {found.recall:.0%}."
    )


def _recall(retriever: Report) -> Iterator[Found]:
    """Sets that the search was measured on, with the recall of the best way to fuse there is."""
    sets = retriever.get("evaluation")
    for name, figures in sets.items() if isinstance(sets, dict) else ():
        if not isinstance(figures, dict):
            continue
        fused = figures.get("summed") or figures.get("fused")
        if isinstance(fused, dict) and _is_number(fused.get(RECALL_AT)):
            questions, passages = (int(figures.get(key, 0)) for key in ("questions", "passages"))
            yield Found(str(name), questions, passages, fused[RECALL_AT])


def _bars(numbers: Mapping[str, float], found: list[Found]) -> str:
    shares = [(words, numbers[name] / 100) for name, words in SHARES.items() if name in numbers]
    shares += [(f"Right passage among the first five, {f.name}", f.recall) for f in found]
    rows = "".join(
        f'<div class="bar-row"><span>{as_text(words)}</span>'
        f'<span class="track"><span style="width:{min(max(share, 0), 1):.1%}"></span></span>'
        f"<b>{share:.0%}</b></div>"
        for words, share in shares
    )
    return f'<h3>Accuracy by task</h3><div class="bars">{rows}</div>' if rows else ""


def _beside_others(report: Report, numbers: Mapping[str, float]) -> str:
    """A column for each baseline and other model that was measured the same way."""
    others = {
        name: _numbers(figures)
        for kind in ("peers", "baselines")
        for name, figures in (report.get(kind) or {}).items()
    }
    shared = [
        name
        for name in numbers
        if any(name in other for other in others.values())
        and not name.endswith("_questions")  # how many were asked is the same for all
    ]
    if not shared:
        return ""
    heads = "".join(f"<th>{as_text(name)}</th>" for name in ("This model", *others))
    rows = "".join(
        f"<tr><th>{as_text(_words(name))}</th>"
        + "".join(_cell(figures.get(name)) for figures in (numbers, *others.values()))
        + "</tr>"
        for name in shared
    )
    return (
        "<details><summary>Beside other models</summary><div class='wide'><table>"
        f"<thead><tr><th></th>{heads}</tr></thead><tbody>{rows}</tbody></table></div></details>"
    )


def _words(name: str) -> str:
    """What a figure is called."""
    kind, _, what = name.partition(".")
    if kind == "bits_per_byte":
        return f"Bits per byte of {TEXTS.get(what, what)}"
    return SHARES.get(name, name)


def _cell(value: float | None) -> str:
    return f"<td>{'' if value is None else f'{value:,.4g}'}</td>"


def _table(report: Report, numbers: Mapping[str, float]) -> str:
    rows = "".join(
        f"<tr><th>{as_text(name)}</th><td>{value:,}</td><td>{_how(report, name)}</td></tr>"
        for name, value in numbers.items()
    )
    return (
        "<details><summary>Every figure, and how it was obtained</summary>"
        f"<div class='wide'><table>{rows}</table></div></details>"
        if rows
        else ""
    )


def _how(report: Report, name: str) -> str:
    about = _detail(report, name)
    error = about.get("standard_error")
    parts = [
        *([f"± {error:g}"] if _is_number(error) else []),
        *([f"{about['n']:,} {about.get('of', '')}"] if _is_number(about.get("n")) else []),
        *([str(about["how"])] if about.get("how") else []),
    ]
    return as_text(" · ".join(parts))
