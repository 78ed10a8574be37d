"""Passages and sentences: where they begin and end."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlx_toy.documents import Document
from mlx_toy.passages import split_passages, split_sentences


def count_words(text: str) -> int:
    return len(text.split())


def sentences(text: str) -> list[str]:
    return [text[start:end] for start, end in split_sentences(text)]


def passages(text: str, kind: str = "text", target: int = 110):
    return split_passages(Document("a", text, kind=kind), count_words, target)


@pytest.mark.parametrize(
    "expected",
    [
        ["Dr. Smith met J. R. Jones in the U.S. Army.", "They talked."],
        ["See e.g. Fig. 3 and No. 5, which cost 3.14 p.m. each.", "Is it so?", "Yes!"],
        ['"Stop!" she said.', "He did (at once.)", "So do I.", "Good."],
        ["He said no.", "Then he left in 1999.", "The end..."],
        ["Wait... what?", "It went on, etc. and so on.", "At 5 p.m.", "The door opened."],
        ["Visit example.org for v1.2.3 of it.", "[1] A note."],
    ],
)
def test_sentences(expected):
    assert sentences(" ".join(expected)) == expected


def test_sentences_of_lists_headings_and_other_scripts():
    assert sentences("Title\n\nText here. More") == ["Title", "Text here.", "More"]
    assert sentences("1. First. It is.\n2. Second\n- a\n- b") == [
        "1. First.",
        "It is.",
        "2. Second",
        "- a",
        "- b",
    ]
    assert sentences("これはペンです。本当？「はい。」") == [
        "これはペンです。",
        "本当？",
        "「はい。」",
    ]
    assert sentences(" \n ") == []


@given(st.text() | st.text(alphabet="aB1.!? \n\t\"'()-#。", max_size=300))
def test_sentences_cover_all_text_in_order(text):
    end = 0
    for left, right in split_sentences(text):
        assert not text[end:left].strip() and text[left:right].strip() == text[left:right] != ""
        end = right
    assert not text[end:].strip()


MARKDOWN = """Before.

# Whales

They are big.

## Food ##
Krill, mostly.
```
# not a heading

code
```

## Nothing here
## The `sea` and [ships](x)

Wide.

Underlined
----------
Text below.
"""


def test_markdown_headings_become_paths():
    found = [(passage.heading, passage.text) for passage in passages(MARKDOWN, "markdown")]
    assert found == [
        ("", "Before."),
        ("Whales", "They are big."),
        ("Whales > Food", "Krill, mostly.\n```\n# not a heading\n\ncode\n```\n\n## Nothing here"),
        ("Whales > The sea and ships", "Wide."),
        ("Whales > Underlined", "Text below."),
    ]


def test_markdown_tables_are_cut_between_rows():
    rows = [f"| row {n} | It is so. Is it? Yes. |" for n in range(6)]
    text = "Below is a table.\n| name | said |\n|---|:-:|\n" + "\n".join(rows) + "\nAfter it."
    found = [passage.text for passage in passages(text, "markdown", 20)]
    assert found[0].startswith("Below is a table.") and found[-1].endswith("After it.")
    kept = [line for passage in found for line in passage.splitlines()]
    assert kept == text.splitlines()


def test_fenced_code_is_cut_between_lines():
    code = "\n".join(f"step{n} = run(1. / x) . And so on" for n in range(8))
    found = [passage.text for passage in passages(f"```py\n{code}\n```", "markdown", 20)]
    assert len(found) > 2
    kept = [line for passage in found for line in passage.splitlines()]
    assert kept == ["```py", *code.splitlines(), "```"]


def test_plain_lines_that_look_like_headings_become_paths():
    text = "The Blue Whale\n\nIt is big.\n\n1 Food\n\nKrill.\n\n1.1 Amount\n\nMuch.\n\nSea\n\nWide."
    assert [(passage.heading, passage.text) for passage in passages(text)] == [
        ("The Blue Whale", "It is big."),
        ("The Blue Whale > 1 Food", "Krill."),
        ("The Blue Whale > 1 Food > 1.1 Amount", "Much."),
        ("The Blue Whale > Sea", "Wide."),
    ]


def test_a_heading_with_nothing_below_it_is_text():
    assert [passage.text for passage in passages("# Only a title", "markdown")] == [
        "# Only a title"
    ]
    found = [(passage.heading, passage.text) for passage in passages("Ann\n\nBen\n\nCarl")]
    assert found == [("Ann", "Ben\n\nCarl")]


def test_passages_end_with_sentences_and_are_near_the_target():
    text = " ".join(f"Sentence {n} has exactly seven words here." for n in range(200))
    found = passages(text, target=50)
    assert all(passage.text.endswith(".") for passage in found)
    assert all(35 <= count_words(passage.text) <= 65 for passage in found[:-1])


def test_passages_prefer_to_end_with_a_paragraph():
    paragraph = "One two three four five. " * 6
    found = passages("\n\n".join([paragraph.strip()] * 4), target=40)
    assert [passage.text for passage in found] == [paragraph.strip()] * 4


def test_only_a_far_too_long_sentence_is_cut_and_then_between_words():
    long = " ".join(f"word{n}" for n in range(1000))
    found = passages(long, target=50)
    assert " ".join(passage.text for passage in found) == long
    assert all(count_words(passage.text) <= 100 for passage in found)
    assert len(passages(" ".join(["word"] * 95), target=50)) == 1


def test_pages_come_from_the_document():
    text = "First page.\n\nSecond page."
    document = Document("a", text, page_starts=(0, text.index("Second")), kind="pdf")
    found = split_passages(document, count_words, target_tokens=2)
    assert [passage.page for passage in found] == [1, 2]


lines = st.sampled_from(
    [
        "# A",
        "## B",
        "Plain Title",
        "1.2 Part",
        "```",
        "| a | b |",
        "|---|---|",
        "===",
        "---",
        "- item",
        "",
        "  ",
        "A. B. c.",
        "w " * 40,
    ]
)


@settings(max_examples=200, deadline=None)
@given(
    st.text() | st.lists(lines | st.text(max_size=30)).map("\n".join),
    st.sampled_from(["markdown", "text", "pdf"]),
    st.integers(1, 30),
)
def test_passages_are_exact_and_cover_all_that_is_no_heading(text, kind, target):
    end = 0
    skipped = []
    found = passages(text, kind, target)
    for passage in found:
        assert text[passage.start : passage.end] == passage.text
        assert passage.text.strip() == passage.text != ""
        assert passage.start >= end
        skipped.append(text[end : passage.start])
        end = passage.end
    assert not text[end:].strip()
    for gap, passage in zip(skipped, found, strict=True):
        assert not gap.strip() or passage.heading  # only headings are left out


@pytest.mark.parametrize(
    "text",
    [
        "Some words of a sentence. " * 40_000,
        "." * 1_000_000 + "x",
        "A. " * 300_000,
        "Head\n\n" * 150_000,
        "\n x" * 300_000,
        "a" + " " * 1_000_000 + "b",
        "```\n" * 200_000,
        "a|b\n-|-\n" * 100_000,
        "w " * 500_000,
    ],
    ids=["prose", "dots", "initials", "headings", "lines", "spaces", "fences", "tables", "words"],
)
def test_a_megabyte_takes_seconds_and_one_count_a_sentence(text):
    counted = 0

    def count(piece: str) -> int:
        nonlocal counted
        counted += len(piece)
        return count_words(piece)

    begin = time.process_time()
    split_passages(Document("a", text), count)
    assert time.process_time() - begin < 15
    assert counted <= 3 * len(text)
