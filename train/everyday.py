"""Our own passages of everyday documents, with questions that they answer and some they do not.

The data's questions are of encyclopedia articles and fairy tales; people ask of manuals, contracts,
notes, letters and tables, in other words than stand there, and often a heading says what a text is
about. So these were written for this project, with the help of AI assistants: passages with a title
and often a heading, each with four to six questions that it answers and one to three that look just
so and are not answered; first passages that stand alone, then whole documents in passages that
compete. A line of `corpus/everyday_questions.jsonl` is a passage; those of a document follow each
other with the same title:

    {"id": "everyday/0001", "title": "…", "heading": "…", "text": "…",
     "questions": [{"question": "…", "answer": [120, 131]}, {"question": "…", "answer": null}]}

An answer is its offsets in the text.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from corpus.readers import read_json_lines
from mlx_toy.errors import UserError
from mlx_toy.passages import below_headings
from train.retrieval_data import Groups, Passage

FILE = Path(__file__).parents[1] / "corpus" / "everyday_questions.jsonl"
HELD_OUT_EVERY = 8  # documents


@dataclass(frozen=True)
class Everyday:
    """A question on a passage of an everyday document.

    Attributes:
        document: id of the first passage of its document.
        title, heading: what stands above it; the heading may be "".
        text: the passage.
        question: as a person would ask.
        answer: the words of the text that answer; "" if none do.
        held_out: whether nothing is to learn from its document.
    """

    document: str
    title: str
    heading: str
    text: str
    question: str
    answer: str
    held_out: bool

    @property
    def above(self) -> str:
        """What stands above the passage, as the app has it of a document."""
        return " > ".join(filter(None, (self.title, self.heading)))


def read_everyday(file: Path = FILE) -> Iterator[Everyday]:
    """All questions, in the order of the file.

    Raises:
        UserError: the file is missing or broken.
    """
    document, title, number = "", None, -1
    for place, record in enumerate(read_json_lines(file)):
        try:
            if record["title"] != title:
                document, title, number = record["id"], record["title"], number + 1
            yield from _questions(record, document, number % HELD_OUT_EVERY == 0)
        except (LookupError, TypeError, ValueError) as error:
            raise UserError(f"{file} has a broken record {place + 1} ({error})") from error


def _questions(record: dict[str, Any], document: str, held_out: bool) -> Iterator[Everyday]:
    above = document, record["title"], record["heading"], record["text"]
    for asked in record["questions"]:
        place = asked["answer"]
        answer = record["text"][slice(*place)] if place else ""
        if place and not answer:
            raise ValueError(f"the answer to {asked['question']!r} is not in the text")
        yield Everyday(*above, asked["question"], answer, held_out)


def everyday_groups(file: Path = FILE) -> tuple[Groups, Groups]:
    """By document its passages below their headings, with the questions that each answers.

    Returns:
        Documents to train on, and those held out.
    """
    parts: tuple[dict[str, dict[str, Passage]], ...] = ({}, {})
    for one in read_everyday(file):
        document = parts[one.held_out].setdefault(one.document, {})
        passage = document.setdefault(one.text, Passage(below_headings(one.above, one.text)))
        if one.answer:
            passage.queries.append(one.question)
            passage.answers.append([one.answer])
    trained, held_out = (
        {name: list(passages.values()) for name, passages in part.items()} for part in parts
    )
    return trained, held_out
