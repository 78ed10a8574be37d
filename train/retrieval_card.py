"""The retriever's model card: what it is and is worth, what was tried, and whose data it is."""

from pathlib import Path
from typing import Any

from train.retrieval_data import SOURCES, sources

LICENCES = {"all-MiniLM-L6-v2": " (Apache-2.0)"}  # of teachers that we know
TAUGHT = """, and distilled: the rows of words
begin with what {} says of each word alone, and it learned from that one's vectors of words and
short texts"""
TRIED = """## What was tried

The retriever before hashed each word to two of 30,720 rows, which began with the same teacher's
words but were learned by a million questions and more; it imitated the teacher on passages, too.
What a word means was lost in it: of questions on everyday documents, asked in other words than
stand there, it put the right passage of its document first for .384, where the teacher's vectors of
single words, each word of the question with its nearest of the passage, did for .565 and the
teacher itself for .618. With a row for each of the commonest words, recall of the vectors alone on
what is held out (SQuAD, FairytaleQA, headings and definitions: @5; everyday documents: @1, each
document a library), one seed:

| | SQuAD | FairytaleQA | headings | definitions | everyday |
|---|---:|---:|---:|---:|---:|
| the one before, 1.9 million pairs | .815 | .734 | .750 | .805 | .384 |
| the teacher's words, untrained | .684 | .557 | .587 | .689 | .451 |
| only gains and the last layer learned, 100 steps of 512 | .746 | .653 | .669 | .730 | .556 |
| rows learned at a fifth of the rate, 400 steps of 1,024 | .783 | .679 | .763 | .824 | .519 |
| at the full rate | .806 | .714 | .771 | .817 | .521 |
| the lesson with three times the weight | .810 | .710 | .771 | .820 | .530 |
| the teacher itself | .906 | .644 | .858 | .843 | .618 |

Weights mixed with a quarter or a half of those in the beginning find more of everyday documents
(.553, .576) and less of the others (SQuAD .808, .793).
"""


def figures_row(found: dict[str, Any]) -> str:
    """Figures of `threshold_figures` as cells of a table."""
    own = f"{found['own_questions']:,} | {found['own_questions_kept']:.1%}"
    return f"{own} | {found['foreign_questions']:,} | {found['foreign_questions_let_in']:.1%}"


def model_card(report: dict[str, Any], table: str, held_out_table: str, path: Path) -> str:
    """README.md of the directory, with the front matter that the hub reads."""
    used = sources(SOURCES)
    network = report["network"]
    chosen, checked = report["calibration"], report["threshold"]
    data_lines = "\n".join(
        f"| {s.name} | {s.licence} | {s.attribution.replace('|', '/')} |" for s in used
    )
    data_sources = "\n".join(f"- {{name: {s.name}, licence: '{s.licence}'}}" for s in used)
    teacher = report["teacher"]
    taught = TAUGHT.format(teacher + LICENCES.get(teacher, "")) if teacher else ""
    went_on = ""
    if before := report.get("before"):
        went_on = (
            f"\nIt went on from one that was made by `{before['command']}`\n"
            f"({before['pairs_seen']:,} pairs).\n"
        )
    size = network["dimensions"]
    rows = network["vocab_size"] + network["words"]
    parameters = rows * (size + 2) + 2 * size * network["head_size"]
    megabytes = sum(file.stat().st_size for file in path.iterdir()) / 1e6
    return f"""---
license: apache-2.0
language: en
pipeline_tag: sentence-similarity
library_name: mlx
tags: [mlx, retrieval, sentence-similarity]
data_sources:
{data_sources}
---

# The retriever of mlx-toy

Turns a question or a passage of English into a unit vector of {network["dimensions"]} numbers; the
cosine says how near they are. Trained with contrastive learning on the sources below, with hard
negatives that BM25 mined{taught}. {megabytes:.1f} MB, {parameters:,} parameters: a table of vectors
of {network["words"]:,} words and of word pieces with learned gains and one residual layer
(`mlx_toy/bag.py`).

## Measured

{table}

All passages of a set are one library; every answerable question is asked. BM25 has k1 1.2, b 0.75
and no stemming. Neither set was trained on, nor used to choose anything. On the articles, stories
and pages held out of the training sources, where settings were chosen, and on held-out everyday
documents of our own, those of six passages or more, each of them a library:

{held_out_table}

Reproduce: `python -m train embedder --data DIR --evaluate {{this directory}}`. The weights:
`{report["command"]}`
({report["training_seconds"]} s in one thread of a busy machine, {report["pairs_seen"]:,} pairs).
{went_on}
{TRIED}
## Nothing is near

A passage with a cosine under **{chosen["threshold"]:.2f}** is not near the question. Each
article is a library; its own questions should be kept, those about other articles refused.

| articles | own questions | kept | foreign questions | let in |
|---|---:|---:|---:|---:|
| {chosen["libraries"]} held out of training (chosen on) | {figures_row(chosen)} |
| {checked["libraries"]} of SQuAD dev (checked on) | {figures_row(checked)} |

## Limits

- It sees which words occur, not their order: "who beat whom" is one bag.
- English; of other languages and scripts it knows no word's meaning.
- Where people ask in the words of the text (SQuAD, FairytaleQA) it finds less alone than a BM25
  index does; it is meant to be fused with one.
- Numbers and rare names are known by their pieces, without their order: 3150 looks like 5310. A
  search by words must tell them apart.
- Facts, names and tone of the sources, which are encyclopedias, textbooks and fairy tales, shape
  what it takes to be near.

## Data

| source | licence | attribution |
|---|---|---|
{data_lines}
| `corpus/everyday_questions.jsonl` | Apache-2.0 | the authors of mlx-toy, with an AI assistant |

Which words are common was counted in conversations and stories as well (`train/common_words.py`),
and in what is held out here.
"""
