"""Records to conversations: chats as they are, questions with the passages that answer them.

A context question becomes a `context` turn with one to three numbered passages in random order, the
question, and an answer that cites: `Saint Bernadette [2]`. The gold passage is a window of
sentences around the answer; the others come from the same article. In part of the records the gold
passage is left out, and the answer is the fixed sentence that the passages do not say. The share
that is unanswerable (Rajpurkar et al. 2018, arXiv:1806.03822) teaches the model to decline.
"""

import random
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from mlx_toy.chat import NOT_IN_PASSAGES, Message, format_passages

MAX_CHAT_TURNS = 8  # of a long chat, so that one fits the context of a small model


@dataclass(frozen=True)
class ContextRecipe:
    """How a question is dressed.

    Attributes:
        unanswerable: share of questions whose gold passage is left out.
        max_passages: at most this many passages.
        window_words: words of a passage, about; whole sentences.
        seed: of the choices.
    """

    unanswerable: float = 0.28
    max_passages: int = 3
    window_words: int = 50
    seed: int = 1


def chat_messages(record: dict[str, Any]) -> list[Message]:
    """The turns of a chat, cut to the first few, ending with the assistant."""
    messages: list[Message] = [
        {"role": turn["role"], "content": turn["content"].strip()} for turn in record["messages"]
    ]
    return messages[:MAX_CHAT_TURNS]


def _windows(text: str, words: int) -> list[str]:
    """Cut a text into windows of whole sentences of about so many words."""
    windows: list[str] = []
    current: list[str] = []
    for sentence in re.split(r"(?<=[.!?])\s+", " ".join(text.split())):
        current.append(sentence)
        if sum(len(part.split()) for part in current) >= words:
            windows.append(" ".join(current))
            current = []
    if current:
        windows.append(" ".join(current))
    return windows


def context_questions(
    records: Iterable[dict[str, Any]], recipe: ContextRecipe = ContextRecipe()
) -> Iterator[list[Message]]:
    """Turn questions into conversations.

    Args:
        records: questions with `title`, `context`, `question`, `answers` (a list of strings).
        recipe: how they are dressed.

    Yields:
        context turn, question, answer. Records whose answer does not stand in their passage are
        left out, because they cannot be cited.
    """
    rng = random.Random(recipe.seed)
    article: list[str] = []  # recent windows of the same title, for distractors
    title = None
    for record in records:
        if record.get("title") != title or title is None:
            article, title = [], record.get("title")
        windows = _windows(record["context"], rng.randint(20, 2 * recipe.window_words - 20))
        answers = [answer.strip() for answer in record["answers"] if answer.strip()]
        gold = next(
            ((a, w) for a in answers for w in windows if a in w),
            None,
        )
        others = [w for w in windows if gold is None or not any(a in w for a in answers)]
        pool = others + rng.sample(article, min(4, len(article)))
        article = (article + windows)[-40:]
        if answers and gold is None:
            continue
        answerable = gold is not None and rng.random() >= recipe.unanswerable
        wanted = rng.choice((1, 1, 2, recipe.max_passages))
        passages = [gold[1]] if answerable and gold else []
        pool = [w for w in pool if w not in passages and not any(a in w for a in answers)]
        rng.shuffle(pool)
        passages += pool[: wanted - len(passages)]
        if not passages:
            continue
        rng.shuffle(passages)
        reply = NOT_IN_PASSAGES
        if answerable and gold:
            reply = f"{gold[0]} [{passages.index(gold[1]) + 1}]"
        yield [
            {"role": "context", "content": format_passages(passages)},
            {"role": "user", "content": record["question"].strip()},
            {"role": "assistant", "content": reply},
        ]
