"""`retrieval.md` from the figures alone."""

from typing import Any

from train.evaluate_retrieval import DISTRACTORS, to_table

HEAD = """# Retrieval, measured

Written by `python -m bench.retrieval`; the figures are in `results/retrieval.json`. Questions are
sampled by a fixed seed; with 500 of them a recall of .8 has a standard error of .018.

R@k is the share of questions with a right passage among the first k, MRR the mean of 1 / its rank.
"""
SETS = """
## The sets

- **SQuAD**: all paragraphs of the public dev articles are the library; answerable questions.
- **FairytaleQA**: all sections of the validation stories; their questions.
- **Simple Wikipedia, headings**: held-out articles cut as the app cuts; the question is title and
  heading, right is any passage of that section. The headings themselves are not searched.
- **Simple Wikipedia, definitions**: the same library; the question is what the first sentence says
  that its subject is, without the words of the title. That sentence is taken out of the article, so
  the rest has to be recognised; right is any passage of the article.
- **Long documents**: three books and three manuals of 221 to 350 pages in PDF, read by the app's
  reader; 60 questions written by us, in words other than the page's where we could. Right is any
  passage of the page that answers: R@3 is the page hit@3.

The rows: "vectors" and "BM25" rank alone, in memory. "ranks" is reciprocal rank fusion (K=10) of
equal parts, "ranks a : b" the same with the app's weights (vectors : words), "scores" is BM25 plus
20 times the cosine. "LanceDB" is the library's search without what follows it, "the app's search"
what a question goes through in the app. LanceDB's BM25 stems words and drops the commonest; ours,
in memory, does neither. The rows of MiniLM are of a run before the bundled reranker and reader of
today.
"""
TOGETHER = f"""
## All in one library

All passages of the sets above are one library, with {DISTRACTORS:,} more of Simple Wikipedia.
"""
SIZES = """Ranked by BM25 + 20 cosine. *Within 360 tokens*: the share of questions for which a right
passage is among the best ones that fit 360 tokens together, which a small model can read.

Chosen: about 110 tokens without overlap. On SQuAD 90 to 120 are best within the budget, 60 and 160
hardly worse (standard error .014); on the long documents nothing differs by more than its standard
error of .06. Sections of Simple Wikipedia gain from short passages, but there any piece of the
section counts as right. A sentence of overlap moves the right passage up the ranking, and costs as
much of the budget as it brings."""
SPEED = """Paragraphs of Simple Wikipedia in one workspace. Milliseconds of one search for 10
passages, median / 95th percentile, the question embedded beforehand. NumPy is brute force in
memory, vectors alone; LanceDB is its hybrid search with default settings."""


def report(results: dict[str, Any]) -> str:
    """The whole of `retrieval.md`; parts that were not measured are left out."""
    parts = [HEAD, SETS]
    for part, heading in (("alone", "\n## Each set alone\n"), ("together", TOGETHER)):
        if part in results:
            parts.append(heading)
            parts += [f"\n{to_table(name, found)}" for name, found in results[part].items()]
    for part, write in (
        ("passage_size", passage_sizes),
        ("speed", speed),
        ("end_to_end", end_to_end),
    ):
        if part in results:
            parts.append(write(results[part]))
    return "".join(parts)


def passage_sizes(rows: list[dict[str, Any]]) -> str:
    """Size and overlap of passages, a table for each set."""
    lines = [
        "\n## Size and overlap of passages\n",
        SIZES,
    ]
    for name in dict.fromkeys(row["set"] for row in rows):
        lines += [
            f"\n| {name}: target | overlap | passages | mean tokens | R@1 | R@3 | R@5 | MRR "
            "| within 360 tokens |",
            "|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
        ]
        for row in rows:
            if row["set"] == name:
                keys = ("recall@1", "recall@3", "recall@5", "mrr", "within_budget")
                values = " | ".join(f"{row[key]:.3f}" for key in keys)
                lines.append(
                    f"| {row['target_tokens']} | {row['overlap']} | {row['passages']:,} "
                    f"| {row['mean_tokens']:.0f} | {values} |"
                )
    return "\n".join(lines) + "\n"


def speed(rows: list[dict[str, Any]]) -> str:
    """Ingest and search by the size of the library."""
    lines = [
        "\n## Speed\n",
        f"{SPEED}\n",
        "| passages | ingest, passages/s | of it embedding | ours | reranking 20 "
        "| reading 8 | NumPy | LanceDB |",
        "|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for row in rows:
        times = " | ".join(
            f"{row[f'{name}_p50_ms']:.1f} / {row[f'{name}_p95_ms']:.1f}"
            for name in ("ours", "rerank", "read", "numpy", "lancedb")
        )
        lines.append(
            f"| {row['passages']:,} | {row['ingest_passages_per_s']:,.0f} "
            f"| {row['embed_passages_per_s']:,.0f} | {times} |"
        )
    return "\n".join(lines) + "\n"


def end_to_end(found: dict[str, float]) -> str:
    """Answers of the app."""
    return f"""
## From question to answer

Questions of SQuAD, answerable or not as they come, put to the app with all paragraphs as its
library.

| | |
|---|---:|
| answerable questions | {found["answerable_questions"]:,} |
| F1 of the quoted span | {found["f1"]:.1f} |
| exact match | {found["exact_match"]:.1f} |
| answered outright | {found["answers"]:,} |
| F1 of these | {found["f1_of_answers"]:.1f} |
| shown the closest sentence only | {found["only_shows"]:.1f}% |
| left unanswered (wrongly) | {found["false_refusals"]:.1f}% |
| a gold answer stands in the passages given to the model | {found["right_passage_given"]:.1f}% |
| cited passage holds a gold answer, of {found["citations"]:,} citations \
| {found["cited_passage_holds_answer"]:.1f}% |
| quoted sentence holds it | {found["quoted_sentence_holds_answer"]:.1f}% |
| unanswerable questions | {found["unanswerable_questions"]:,} |
| shown the closest sentence only | {found["only_shows_unanswerable"]:.1f}% |
| left unanswered (rightly) | {found["correct_refusals"]:.1f}% |
"""
