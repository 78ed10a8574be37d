"""The benchmark of retrieval: its own sets, its figures by hand, and its report."""

import json
import lzma

import pytest

from bench import long_documents, retrieval
from bench.passage_sizes import BUDGET_TOKENS, cutter, from_cut_articles, measure, overlapped
from bench.retrieval_answers import figures
from bench.retrieval_report import report
from bench.retrieval_speed import speed
from mlx_toy.answers import CLOSEST
from mlx_toy.documents import Document
from mlx_toy.errors import UserError
from mlx_toy.passages import Passage
from mlx_toy.replies import Source, Update
from mlx_toy.rows import Hit
from train.evaluate_retrieval import open_embedder
from train.retrieval_sets import DISTRACTORS_FILE, FILES, Question, QuestionSet, join, splitter


def words(text: str) -> int:
    return len(text.split())


def two_pages() -> Document:
    first, second = "The mill grinds corn.", "The miller ﬁnds his daughter. She laughs."
    return Document("mill.pdf", f"{first}\n\n{second}", (0, len(first) + 2), "pdf")


def asked(answer: str, page: int) -> dict:
    return {"document": "mill.pdf", "question": "Who laughs?", "pages": [page], "answer": answer}


def update(text: str, quoted: str | None, abstained: bool = False) -> Update:
    hit = Hit("0" * 32, "d", None, "", text, 0, len(text), 0.5, 0.1, 1, 1)
    start = text.find(quoted or "")
    place = (None, None) if quoted is None else (start, start + len(quoted))
    sentence = None if quoted is None else text.split(".")[0]
    return Update(text, [Source(1, hit, sentence, *place)], True, abstained)


def test_a_page_that_answers_makes_its_passages_right():
    documents = {"mill.pdf": two_pages()}
    # A PDF file's ligatures and lost spaces do not count.
    chosen = long_documents.long_documents_set(
        documents, [asked("miller finds hisdaughter", 2)], splitter(words)
    )
    right = {chosen.texts[place] for place in chosen.questions[0].right}
    assert right == {"The miller ﬁnds his daughter. She laughs."}
    with pytest.raises(UserError, match="another edition"):
        long_documents.long_documents_set(documents, [asked("laughs", 1)], splitter(words))


def test_our_questions_are_ten_for_each_document_and_short_of_quoting():
    questions = long_documents.read_questions()
    for name in long_documents.DOCUMENTS:
        assert sum(question["document"] == name for question in questions) == 10
    assert len({question["question"] for question in questions}) == 60
    assert all(words(question["answer"]) <= 9 for question in questions)


def test_books_are_typeset_with_a_page_for_each_chapter(tmp_path):
    pytest.importorskip("reportlab", reason="typesetting books needs `pip install reportlab`")
    chapters = ["CHAPTER I. The Mill.", "Corn is ground.", "CHAPTER II. The Miller.", "He laughs."]
    long_documents.typeset("A Tale", iter(chapters), tmp_path / "tale.pdf")
    document = long_documents.read_document(tmp_path / "tale.pdf")
    assert len(document.page_starts) == 2
    assert "Corn is ground." in long_documents.page_text(document, 1)
    assert "He laughs." in long_documents.page_text(document, 2)


def test_overlap_begins_with_the_sentence_before_and_stays_exact():
    text = "One is first. Two is next. Three is then. Four is last."
    document = Document("count.txt", text)
    passages = [Passage(text[:26], 0, 26), Passage(text[27:], 27, len(text))]
    found = overlapped(document, passages)
    assert [p.text for p in found] == [text[:26], "Two is next. Three is then. Four is last."]
    assert all(text[p.start : p.end] == p.text for p in found)
    other = [passages[0], Passage(text[27:], 27, len(text), heading="Elsewhere")]
    assert overlapped(document, other) == other  # not across headings


def test_articles_cut_anew_are_right_where_the_answer_stands_in_its_paragraph():
    contexts = ["Mills are old. They grind corn.", "Corn is yellow. Cows eat corn."]
    records = [
        {"title": "T", "context": contexts[0], "question": "Grind what?", "answers": ["corn"]},
        {"title": "T", "context": contexts[1], "question": "What eats?", "answers": ["Cows"]},
        {"title": "T", "context": contexts[1], "question": "Who?", "answers": []},
    ]
    chosen = from_cut_articles(records, cutter(words, 3, 0))
    assert [q.text for q in chosen.questions] == ["Grind what?", "What eats?"]
    held = [[chosen.texts[place] for place in q.right] for q in chosen.questions]
    assert held == [["They grind corn."], ["Cows eat corn."]]


def test_answer_counts_only_within_the_budget_of_tokens():
    texts = ["mill", "mill mill corn"]
    chosen = QuestionSet("made", [join("made", texts)], [Question("mill corn", frozenset([1]))])
    small = measure(chosen, open_embedder(""), words)
    large = measure(chosen, open_embedder(""), lambda text: BUDGET_TOKENS * words(text))
    assert (small["within_budget"], large["within_budget"]) == (1.0, 0.0)
    assert small["recall@1"] == 1.0


def test_answers_are_scored_by_hand():
    record = {"answers": ["corn"]}
    answered = [
        (record, update("They grind corn. It is old.", "corn")),
        (record, update("They grind wheat. Or corn.", "wheat")),
        (record, update("Nothing of it.", None, abstained=True)),
        (record, update(f"{CLOSEST} corn is old.", "corn")),
        ({"answers": []}, update("Nothing of it.", None, abstained=True)),
        ({"answers": []}, update("They grind corn.", "corn")),
    ]
    assert figures(answered) == {
        "answerable_questions": 4,
        "f1": 50.0,
        "exact_match": 50.0,
        "answers": 2,
        "f1_of_answers": 50.0,
        "only_shows": 25.0,
        "false_refusals": 25.0,
        "right_passage_given": 75.0,
        "citations": 3,
        "cited_passage_holds_answer": 100.0,
        "quoted_sentence_holds_answer": 66.7,
        "unanswerable_questions": 2,
        "only_shows_unanswerable": 0.0,
        "correct_refusals": 50.0,
    }


def test_speed_and_report_on_a_small_library(tmp_path):
    text = "\n\n".join(f"Mill {n} grinds corn. " * 12 for n in range(5))
    made = {
        DISTRACTORS_FILE: [{"title": "Mill", "text": text}],
        FILES["squad"]: [
            {"title": "T", "context": "A mill.", "question": f"Is {n} old?", "answers": ["A"]}
            for n in range(8)
        ],
    }
    for name, records in made.items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        lines = "".join(json.dumps({"id": "made", **record}) + "\n" for record in records)
        file.write_bytes(lzma.compress(lines.encode()))
    rows = speed(tmp_path, [12, 24])
    assert [row["passages"] for row in rows] == [12, 24]
    assert all(row["ours_p50_ms"] > 0 and row["lancedb_p95_ms"] > 0 for row in rows)

    results, page = tmp_path / "results.json", tmp_path / "retrieval.md"
    retrieval.keep("speed", rows, results, page)
    size = {"target_tokens": 60, "overlap": 1, "set": "made", "passages": 2, "mean_tokens": 50.0}
    size |= dict.fromkeys(("recall@1", "recall@3", "recall@5", "mrr", "within_budget"), 0.5)
    retrieval.keep("passage_size", [size], results, page)
    found = {"passages": 3, "questions": 2, "rows": {"BM25": {"recall@1": 0.5, "mrr": 0.7}}}
    retrieval.keep("alone", {"made": found}, results, page)
    assert retrieval.read_results(results).keys() == {"speed", "passage_size", "alone"}
    written = page.read_text()
    assert written == report(retrieval.read_results(results))
    assert "| made: 3 passages, 2 questions | R@1 | MRR |" in written
    assert "| 60 | 1 | 2 | 50 |" in written
    assert "## Speed" in written and "## From question to answer" not in written
