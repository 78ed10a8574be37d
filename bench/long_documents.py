"""Three books and three manuals as PDF files of over 200 pages, and questions about their pages.

    python -m bench.long_documents --data DIR --out DIR   # makes the files, checks the questions

The manuals are the PDF files of Debian packages, fetched with `apt-get download`. The books are
texts of the training data, out of copyright, typeset here with running heads and page numbers
(`pip install reportlab`). `long_documents.jsonl` holds our questions: each with the pages that
answer it and a few words that stand there, which tell when a file is not the one that was asked
about. None of it is read in training the retriever.
"""

import argparse
import gzip
import html
import json
import re
import shutil
import subprocess
import sys
import tempfile
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from corpus.catalog import data_directory
from corpus.readers import read_json_lines
from mlx_toy.documents import Document, Limits, read_document
from mlx_toy.errors import UserError
from train.evaluate_retrieval import count_tokens
from train.retrieval_sets import Question, QuestionSet, Split, splitter

QUESTIONS = Path(__file__).with_name("long_documents.jsonl")
LIMITS = Limits(max_bytes=64 << 20, timeout_s=600)  # a benchmark is not in a hurry
CUTOFFS = (1, 3, 5, 10)

_CHAPTER = re.compile(r"(CHAPTER [IVXLC]+)\.?\s*(.*)", re.DOTALL)


@dataclass(frozen=True)
class Book:
    """A text of the training data: its file, the id of its parts, and its title."""

    file: str
    id: str
    title: str


@dataclass(frozen=True)
class Manual:
    """A PDF file in a Debian package; the version is that of Debian 12."""

    package: str
    version: str
    path: str


DOCUMENTS: dict[str, Book | Manual] = {
    "heidi.pdf": Book("base/gitenberg.jsonl.xz", "gutenberg/1448", "Heidi"),
    "birds.pdf": Book(
        "base/gitenberg.jsonl.xz", "gutenberg/3074", "The Burgess Bird Book for Children"
    ),
    "cricket.pdf": Book("base/gutenberg_children.jsonl.xz", "gutenberg/52684", "Cricket"),
    "debian-reference.pdf": Manual(
        "debian-reference-en", "2.100", "usr/share/debian-reference/debian-reference.en.pdf"
    ),
    "gnuplot.pdf": Manual("gnuplot-doc", "5.4.4+dfsg1-2", "usr/share/doc/gnuplot/gnuplot.pdf"),
    "lilypond-learning.pdf": Manual(
        "lilypond-doc-pdf", "2.24.1-2", "usr/share/doc/lilypond/html/Documentation/learning.pdf"
    ),
}


def make_documents(data: Path, out: Path) -> list[Path]:
    """Make or fetch the files that are not there yet.

    Args:
        data: directory of the training data.
        out: where the files go.
    """
    out.mkdir(parents=True, exist_ok=True)
    for name, source in DOCUMENTS.items():
        path = out / name
        if path.exists():
            continue
        partial = path.with_suffix(".partial")
        if isinstance(source, Book):
            typeset(source.title, _paragraphs(data / source.file, source.id), partial)
        else:
            _fetch(source, partial)
        partial.replace(path)
    return [out / name for name in DOCUMENTS]


def typeset(title: str, paragraphs: Iterator[str], path: Path) -> None:
    """Write paragraphs as a PDF of small pages, each with the title above and its number below."""
    try:
        from reportlab.lib.pagesizes import A5
        from reportlab.lib.styles import ParagraphStyle
        from reportlab.lib.units import mm
        from reportlab.platypus import PageBreak, Paragraph, SimpleDocTemplate
    except ImportError as error:
        raise UserError("typesetting books needs reportlab: pip install reportlab") from error

    body = ParagraphStyle("body", fontName="Times-Roman", fontSize=11, leading=14, spaceAfter=4)
    heading = ParagraphStyle("heading", parent=body, fontName="Times-Bold", fontSize=15, leading=20)

    def decorate(canvas: Any, template: Any) -> None:
        canvas.setFont("Times-Italic", 9)
        canvas.drawCentredString(A5[0] / 2, A5[1] - 12 * mm, title.upper())
        canvas.drawCentredString(A5[0] / 2, 10 * mm, str(canvas.getPageNumber()))

    flow: list[Any] = []
    for paragraph in paragraphs:
        chapter = _CHAPTER.fullmatch(paragraph)
        if chapter and flow:
            flow.append(PageBreak())
        for text in chapter.groups() if chapter else [paragraph]:
            if text:
                flow.append(Paragraph(html.escape(text), heading if chapter else body))
    template = SimpleDocTemplate(
        str(path),
        pagesize=A5,
        title=title,
        invariant=1,
        leftMargin=18 * mm,
        rightMargin=18 * mm,
        topMargin=20 * mm,
        bottomMargin=18 * mm,
    )
    template.build(flow, onFirstPage=decorate, onLaterPages=decorate)


def read_questions() -> list[dict[str, Any]]:
    """Our questions: document, question, pages (from 1), and answer, words that stand there."""
    return [json.loads(line) for line in QUESTIONS.read_text(encoding="utf-8").splitlines()]


def read_documents(directory: Path) -> dict[str, Document]:
    """The files that `make_documents` made, as the app reads them, by name."""
    return {name: read_document(directory / name, limits=LIMITS) for name in DOCUMENTS}


def long_documents_set(
    documents: dict[str, Document], questions: list[dict[str, Any]], split: Split
) -> QuestionSet:
    """The documents as one library; a passage is right if it is on a page that answers.

    Raises:
        UserError: an answer does not stand on the pages that are said to give it.
    """
    library = [(document, split(document)) for document in documents.values()]
    places: dict[tuple[str, int | None], list[int]] = {}
    number = 0
    for document, passages in library:
        for passage in passages:
            places.setdefault((document.name, passage.page), []).append(number)
            number += 1
    asked = []
    for question in questions:
        check_answer(documents[question["document"]], question)
        pages = [(question["document"], page) for page in question["pages"]]
        right = frozenset(place for page in pages for place in places.get(page, []))
        asked.append(Question(question["question"], right))
    return QuestionSet("Long documents", library, asked, CUTOFFS)


def check_answer(document: Document, question: dict[str, Any]) -> None:
    """Raise if a question's answer does not stand on its pages."""
    text = " ".join(page_text(document, page) for page in question["pages"])
    if _plain(question["answer"]) not in _plain(text):
        raise UserError(
            f"{document.name}: {question['answer']!r} is not on page {question['pages']}; this is "
            "another edition than the questions were written for"
        )


def page_text(document: Document, page: int) -> str:
    """The text of a page, counted from 1."""
    starts = [*document.page_starts, len(document.text)]
    return document.text[starts[page - 1] : starts[page]]


def _plain(text: str) -> str:
    """Letters and digits alone: what a PDF file does to spaces and ligatures does not count."""
    return "".join(re.findall(r"\w+", unicodedata.normalize("NFKC", text).lower()))


def _paragraphs(file: Path, book: str) -> Iterator[str]:
    """The paragraphs of a book, whose parts are numbered in the order of the file."""
    for record in read_json_lines(file):
        if record["id"].partition("#")[0] == book:
            yield from record["text"].split("\n\n")


def _fetch(manual: Manual, path: Path) -> None:
    """Take a PDF file out of a Debian package."""
    if not shutil.which("apt-get"):
        raise UserError(
            f"{manual.path} of the Debian package {manual.package} is needed and there is no "
            f"apt-get here: put it at {path.with_suffix('.pdf')}"
        )
    with tempfile.TemporaryDirectory() as directory:
        print(f"fetching the Debian package {manual.package}", file=sys.stderr, flush=True)
        wanted = f"{manual.package}={manual.version}"
        subprocess.run(["apt-get", "-qq", "download", wanted], cwd=directory, check=True)
        (package,) = Path(directory).glob("*.deb")
        subprocess.run(["dpkg-deb", "-x", package, directory], check=True)
        content = (Path(directory) / manual.path).read_bytes()
    path.write_bytes(gzip.decompress(content) if manual.path.endswith(".gz") else content)


def main() -> None:
    """Make the documents and check that every answer stands where it should."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", help="directory of the training data (default: $MLX_TOY_DATA)")
    parser.add_argument("--out", type=Path, required=True, help="directory for the PDF files")
    options = parser.parse_args()
    make_documents(data_directory(options.data), options.out)
    documents = read_documents(options.out)
    chosen = long_documents_set(documents, read_questions(), splitter(count_tokens()))
    for name, document in documents.items():
        print(f"{name}: {len(document.page_starts)} pages")
    print(f"{len(chosen.questions)} questions, {len(chosen.texts)} passages")


if __name__ == "__main__":
    main()
