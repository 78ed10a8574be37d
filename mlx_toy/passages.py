"""Cut a document into passages: pieces of about a hundred tokens that can be found and quoted.

Why by structure: a passage is what retrieval ranks, what the model reads and what a citation points
at. It stays within one section, ends with a paragraph where it can and with a sentence where it
must, and keeps its section's heading beside it, because the words of a question often stand there
and not in the text. `document.text[passage.start:passage.end] == passage.text` always.
"""

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby

from mlx_toy.documents import Document
from mlx_toy.sentences import split_sentences
from mlx_toy.structure import Block, find_blocks, keep_empty_headings

__all__ = ["Passage", "split_passages", "split_sentences"]

TARGET_TOKENS = 110
LONGEST_SENTENCE = 2.0  # times the target; a longer one is cut between words
GOOD_FILL = 0.5  # of the target: a passage this full may end with its paragraph
SMALL_TAIL = 0.25  # of the target: a smaller last piece joins the one before ...
MAX_FILL = 1.3  # ... if together they are at most this many times the target
MAX_PATH = 240  # characters of a path of headings
CUT_WINDOW = 200  # characters within which a long sentence's cut looks for a space

_SPACE = re.compile(r"\s")
_LINE = re.compile(r"\S[^\n]*")


@dataclass(frozen=True)
class Passage:
    """A piece of a document.

    Attributes:
        text: exactly the document's text from `start` to `end`.
        start: offset of the first character.
        end: offset after the last one.
        page: the page it begins on, counted from 1; None if the format has no pages.
        heading: the headings above it, outermost first, joined by " > "; "" if there are none.
    """

    text: str
    start: int
    end: int
    page: int | None = None
    heading: str = ""


@dataclass(frozen=True)
class _Sentence:
    """A sentence at [start, end) and its length; `first` if it begins a paragraph."""

    start: int
    end: int
    tokens: int
    first: bool


def split_passages(
    document: Document,
    count_tokens: Callable[[str], int],
    target_tokens: int = TARGET_TOKENS,
) -> list[Passage]:
    """Cut a document into passages.

    All text that is not blank and not a heading is in exactly one passage, in order; a heading with
    nothing below it counts as text. Calls `count_tokens` once for each sentence.

    Args:
        document: what to cut.
        count_tokens: length of a text in tokens of the model that will read the passages.
        target_tokens: about how long a passage is to be.
    """
    text = document.text
    target_tokens = max(1, target_tokens)
    passages: list[Passage] = []
    path: list[tuple[int, str]] = []  # (level, title) of the headings above
    section: list[_Sentence] = []

    def finish_section() -> None:
        heading = " > ".join(title for _, title in path if title)
        heading = heading if len(heading) <= MAX_PATH else "… " + heading[2 - MAX_PATH :]
        # A page at a time, so that a passage and what is quoted from it have one page.
        for page, sentences in groupby(section, key=lambda s: document.page_at(s.start)):
            for start, end in _pack(list(sentences), target_tokens):
                passages.append(Passage(text[start:end], start, end, page, heading))
        section.clear()

    blocks = document.blocks
    known = keep_empty_headings(blocks) if blocks else find_blocks(text, document.kind)
    for block in known:
        if block.level:
            finish_section()
            path = [above for above in path if above[0] < block.level]
            path.append((block.level, block.title))
        else:
            section.extend(_sentences(text, block, count_tokens, target_tokens))
    finish_section()
    return passages


def _sentences(
    text: str, block: Block, count_tokens: Callable[[str], int], target: int
) -> Iterator[_Sentence]:
    """The sentences of a paragraph, or its lines; one that is far too long comes in pieces."""
    first = True
    piece = text[block.start : block.end]
    last = 0
    for start, end in split_sentences(piece) if block.form == "prose" else _lines(piece):
        if block.form == "code":
            first = first or piece.count("\n", last, start) > 1  # a blank line begins a paragraph
            last = end
        pieces = [(block.start + start, block.start + end)]
        while pieces:
            left, right = pieces.pop()
            tokens = count_tokens(text[left:right])
            if tokens > LONGEST_SENTENCE * target and right - left > 1:
                parts = min(math.ceil(tokens / target), right - left)
                pieces.extend(reversed(_cut(text, left, right, parts)))
                continue
            yield _Sentence(left, right, tokens, first)
            first = False


def _lines(text: str) -> Iterator[tuple[int, int]]:
    """Offsets (start, end) of the lines of a text that are not blank, without outer spaces."""
    for match in _LINE.finditer(text):
        yield match.start(), match.start() + len(match.group().rstrip())


def _cut(text: str, start: int, end: int, parts: int) -> list[tuple[int, int]]:
    """Cut text[start:end] into about `parts` pieces of equal length, at white space if it can."""
    pieces: list[tuple[int, int]] = []
    step = (end - start) / parts
    left = start
    for part in range(1, parts + 1):
        right = end if part == parts else start + round(part * step)
        if part < parts:
            window = max(left + 1, right - min(CUT_WINDOW, round(step / 2)))
            spaces = [match.start() for match in _SPACE.finditer(text, window, right)]
            right = max(spaces, key=lambda at: (text[at] == "\n", at), default=right)
        if right <= left:
            continue
        piece = text[left:right]
        if piece.strip():
            pieces.append((left + len(piece) - len(piece.lstrip()), left + len(piece.rstrip())))
        left = right
    return pieces


def _pack(sentences: list[_Sentence], target: int) -> Iterator[tuple[int, int]]:
    """Gather the sentences of a section into passages (start, end) of about `target` tokens."""
    if not sentences:
        return
    groups: list[list[_Sentence]] = [[]]
    tokens = 0
    paragraph_tokens = _paragraph_tokens(sentences)
    for sentence, paragraph in zip(sentences, paragraph_tokens, strict=True):
        full = tokens + sentence.tokens > target
        ends_well = sentence.first and tokens >= GOOD_FILL * target and tokens + paragraph > target
        if groups[-1] and (full or ends_well):
            groups.append([])
            tokens = 0
        groups[-1].append(sentence)
        tokens += sentence.tokens
    tail = sum(sentence.tokens for sentence in groups[-1])
    if len(groups) > 1 and tail < SMALL_TAIL * target:
        before = sum(sentence.tokens for sentence in groups[-2])
        if before + tail <= MAX_FILL * target:
            groups[-2:] = [groups[-2] + groups[-1]]
    for group in groups:
        yield group[0].start, group[-1].end


def _paragraph_tokens(sentences: list[_Sentence]) -> list[int]:
    """For each sentence that begins a paragraph the tokens of all of it; for the others 0."""
    totals = [0] * len(sentences)
    begin = 0
    for index, sentence in enumerate(sentences):
        begin = index if sentence.first else begin
        totals[begin] += sentence.tokens
    return totals


def below_headings(headings: str, text: str) -> str:
    """A passage as it is embedded and read: below what stands above it, if anything does."""
    return f"{headings}\n{text}" if headings else text
