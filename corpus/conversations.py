"""Records to conversations: chats as they are, questions with the passages that answer them.

A context question becomes a `context` turn with one to four numbered passages in random order, the
question, and an answer that cites: `Saint Bernadette [2]`. The gold passage is a window of
sentences around the answer; the others come from the same article, those first that share most
words with the question (BM25). In part of the records the gold passage is left out, and the answer
is the fixed sentence that the passages do not say. The share that is unanswerable (Rajpurkar et al.
2018, arXiv:1806.03822) teaches the model to decline. Behind the first question others follow on the
same passages: they cost a tenth of a conversation of their own and are learned from as much.

Half of the questions are clozes: words of the passage around a gap where the answer stood. Finding
the place and copying what fills the gap is what every question asks of a model, and here nothing
else is asked; from questions alone, a model of a few million parameters learned in thousands of
steps only how often to decline. (Cloze questions before real ones: Dhingra et al. 2018,
arXiv:1804.00720.)

Answers stay spans, and only a nearly whole sentence is made whole (`corpus/short_answers.py`):
while it answers from passages, the model can write nothing but whole words of one sentence and the
number (`mlx_toy/span_grammar.py`).
"""

import random
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Any

from corpus.bm25 import Bm25
from corpus.short_answers import as_sentence, whole_sentence
from mlx_toy.chat import NOT_IN_PASSAGES, Message, format_passages
from mlx_toy.sentences import split_sentences

GAP = "…"  # in a cloze, instead of the answer
MAX_CHAT_TURNS = 8  # of a long chat, so that one fits the context of a small model
MAX_ANSWER_BYTES = 120  # as the span grammar allows
_OUTER_MARKS = " .,;:!?()[]-"  # around an annotated answer, and no part of it


@dataclass(frozen=True)
class ContextRecipe:
    """How a question is dressed.

    Attributes:
        unanswerable: share of questions whose passages do not answer them.
        max_passages: at most this many passages.
        window_words: words of a passage, about; whole sentences.
        max_words: of all passages together, at most; each conversation draws its own limit, so
            that many are short. With 2.4 tokens a word, as a small vocabulary cuts names and
            figures, they leave room for question and answer in a context of 512.
        min_words: the least of these limits.
        more_words: of all questions and answers together, as far as further questions go.
        more: at most this many further questions on the same passages.
        cloze: share of the questions that are put as a cloze.
        cloze_words: words of a cloze on each side of its gap, at most.
        spare: distractors are drawn from this many more than are needed, the likeliest ones.
        seed: of the choices.
    """

    unanswerable: float = 0.28
    max_passages: int = 4
    window_words: int = 50
    max_words: int = 170
    min_words: int = 40
    more_words: int = 60
    more: int = 3
    cloze: float = 0.5
    cloze_words: int = 9
    spare: int = 3
    seed: int = 1


def chat_messages(record: dict[str, Any]) -> list[Message]:
    """The turns of a chat, cut to the first few, ending with the assistant.

    The answer of a single question is made a sentence where that is safe. A `context` turn gets the
    question that follows it as its first line, as the chat format has it.
    """
    messages: list[Message] = [
        {"role": turn["role"], "content": turn["content"].strip()} for turn in record["messages"]
    ]
    if [message["role"] for message in messages] == ["user", "assistant"]:
        question, answer = messages
        answer["content"] = as_sentence(question["content"], answer["content"])
    for context, asked in pairwise(messages):
        if context["role"] == "context":
            context["content"] = f"{' '.join(asked['content'].split())}\n{context['content']}"
    return messages[:MAX_CHAT_TURNS]


def context_questions(
    records: Iterable[dict[str, Any]], recipe: ContextRecipe = ContextRecipe()
) -> Iterator[list[Message]]:
    """Turn questions into conversations.

    Args:
        records: questions with `title`, `context`, `question`, `answers` (a list of strings, empty
            when the context does not answer); those on one article one after the other.
        recipe: how they are dressed.

    Yields:
        context turn, question, answer, and further questions with their answers. Records whose
        answer is no span of a sentence are left out, because they cannot be cited.
    """
    for title, article in groupby(records, lambda r: str(r.get("title") or r["context"])):
        yield from _dress(list(article), recipe, random.Random(f"{recipe.seed} {title}"))


@dataclass(frozen=True)
class _Gold:
    """An answer as it may be written, and the index of its passage."""

    answer: str
    window: int


@dataclass(frozen=True)
class _Asked:
    """A question, every annotated answer, and the one that may be written, if any may."""

    question: str
    answers: list[str]
    context: str
    gold: _Gold | None

    def is_answered_by(self, window: str) -> bool:
        """Whether a window holds any of the answers."""
        return any(_says(window, answer, re.IGNORECASE) for answer in self.answers)


def _dress(
    records: list[dict[str, Any]], recipe: ContextRecipe, rng: random.Random
) -> Iterator[list[Message]]:
    """The conversations on one article."""
    windows: list[str] = []
    places: dict[str, range] = {}  # of a context's windows
    for context in dict.fromkeys(record["context"] for record in records):
        cut = _windows(context, rng.randint(20, 2 * recipe.window_words - 20))
        places[context] = range(len(windows), len(windows) + len(cut))
        windows += cut
    index = Bm25(windows)
    questions = []
    for record in records:
        answers = [answer.strip() for answer in record["answers"] if answer.strip()]
        gold = _find(answers, windows, places[record["context"]])
        if gold or not answers:
            question = " ".join(record["question"].split())
            if gold and rng.random() < recipe.cloze:
                sides = rng.randint(3, recipe.cloze_words), rng.randint(0, recipe.cloze_words)
                question = _cloze(gold, windows[gold.window], *sides)
            questions.append(_Asked(question, answers, record["context"], gold))
    keep, leave_out = _chances(questions, recipe.unanswerable)
    for asked in questions:
        if asked.gold is None and rng.random() >= keep:
            continue
        gold = asked.gold if rng.random() >= leave_out else None
        own = places[asked.context]
        pool = [
            place
            for place in index.ranking(asked.question)
            if (asked.answers or place in own) and not asked.is_answered_by(windows[place])
        ]
        wanted = rng.randint(1, recipe.max_passages) - (gold is not None)
        chosen = sorted(rng.sample(pool[: wanted + recipe.spare], min(wanted, len(pool))))
        if gold:
            chosen = [gold.window, *chosen]
        chosen = _fitting(chosen, windows, rng.randint(recipe.min_words, recipe.max_words))
        if not chosen:
            continue
        rng.shuffle(chosen)
        passages = [windows[place] for place in chosen]
        turns = [(asked.question, _reply(gold, chosen))]
        turns += _more(asked, questions, chosen, passages, recipe, rng)
        yield [
            {"role": "context", "content": format_passages(passages, asked.question)},
            *(turn for question, answer in turns for turn in _exchange(question, answer)),
        ]


def _cloze(gold: _Gold, window: str, left: int, right: int) -> str:
    """So many words before and behind an answer, and a gap in its place."""
    found = _whole(window, gold.answer)
    assert found is not None
    before, behind = window[: found.start()], window[found.end() :]
    return " ".join([*before.split()[-left:], GAP, *behind.split()[:right]])


def _reply(gold: _Gold | None, chosen: list[int]) -> str:
    return f"{gold.answer} [{chosen.index(gold.window) + 1}]" if gold else NOT_IN_PASSAGES


def _exchange(question: str, answer: str) -> tuple[Message, Message]:
    return {"role": "user", "content": question}, {"role": "assistant", "content": answer}


def _more(
    first: _Asked,
    questions: list[_Asked],
    chosen: list[int],
    passages: list[str],
    recipe: ContextRecipe,
    rng: random.Random,
) -> list[tuple[str, str]]:
    """Further questions on the same passages, with their answers."""
    others = [asked for asked in questions if asked.question != first.question]
    answerable = [asked for asked in others if asked.gold and asked.gold.window in chosen]
    foreign = [
        asked
        for asked in others
        if asked.answers and not any(asked.is_answered_by(passage) for passage in passages)
    ]
    turns: list[tuple[str, str]] = []
    words = len(first.question.split()) * 2
    for _ in range(rng.randint(0, recipe.more)):
        refuse = rng.random() < recipe.unanswerable
        pool = foreign if refuse else answerable
        if not answerable or not pool:  # else refusals would be most of what is left
            break
        asked = pool.pop(rng.randrange(len(pool)))
        reply = _reply(None if refuse else asked.gold, chosen)
        words += len(asked.question.split()) + len(reply.split())
        if words > recipe.more_words:
            break
        turns.append((asked.question, reply))
    return turns


def _windows(text: str, words: int) -> list[str]:
    """Cut a text into windows of whole sentences of about so many words."""
    text = " ".join(text.split())
    windows: list[str] = []
    current: list[str] = []
    for start, end in split_sentences(text):
        current.append(text[start:end])
        if sum(len(part.split()) for part in current) >= words:
            windows.append(" ".join(current))
            current = []
    if current:
        windows.append(" ".join(current))
    return windows


def _chances(questions: list[_Asked], wanted: float) -> tuple[float, float]:
    """Chance to keep a question without an answer, and to take the answer away from another.

    Together they make the wanted share of unanswerable questions, however many there are at first.
    """
    share = sum(asked.gold is None for asked in questions) / max(1, len(questions))
    if share >= 1:
        return wanted, 0.0
    if share > wanted:
        return wanted * (1 - share) / (share * (1 - wanted)), 0.0
    return 1.0, (wanted - share) / (1 - share)


def _find(answers: list[str], windows: list[str], places: range) -> _Gold | None:
    """The first answer that may be written from one of these windows."""
    for answer in answers:
        for written in (answer, answer.strip(_OUTER_MARKS)):
            for place in places:
                if sentence := _sentence_of(written, windows[place]):
                    return _Gold(whole_sentence(written, sentence), place)
    return None


def _sentence_of(answer: str, window: str) -> str | None:
    """The sentence of which an answer is whole words, as the span grammar asks; None if none is."""
    if not answer or len(answer.encode()) > MAX_ANSWER_BYTES:
        return None
    if not (answer[0].isalnum() or answer[0] in "$€£\"“'"):
        return None
    if not (answer[-1].isalnum() or answer[-1] in '%°"”’)'):
        return None
    sentences = (window[start:end] for start, end in split_sentences(window))
    return next((sentence for sentence in sentences if _says(sentence, answer)), None)


def _says(text: str, answer: str, flags: int = 0) -> bool:
    """Whether an answer stands in a text as whole words."""
    return _whole(text, answer, flags) is not None


def _whole(text: str, answer: str, flags: int = 0) -> re.Match[str] | None:
    """Where an answer first stands in a text as whole words."""
    return re.search(rf"(?<!\w){re.escape(answer)}(?!\w)", text, flags)


def _fitting(chosen: list[int], windows: list[str], max_words: int) -> list[int]:
    """As many of the passages, from the first, as fit together; the first always."""
    words = 0
    for count, place in enumerate(chosen):
        words += len(windows[place].split())
        if count and words > max_words:
            return chosen[:count]
    return chosen
