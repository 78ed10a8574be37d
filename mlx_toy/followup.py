"""A question that leans on the conversation, made to stand alone for retrieval.

"And when did it end?" names nothing that could be looked up. By rule, and so without a model: if a
question leans (a pronoun, a connecting word, hardly a word of its own), the words of the question
before that say something, and the names in its answer, are added to it.

For looking up only: which sentence of a passage answers is better told from the question as it was
typed (39 of 60 best sentences are right; 11 with the added words, which draw back to the sentence
that answered before). `bench/followup.py` measures how much it helps.
"""

import re
from collections.abc import Sequence

from mlx_toy.chat import Message
from mlx_toy.evidence import is_common
from mlx_toy.small_talk import is_small_talk

MAX_ADDED = 10  # words: more drown those of the question
MAX_TURNS = 4  # questions looked back at
LONG = 300  # characters: a longer question says enough
FEW = 2  # words of its own with which a question without a name leans

_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")
_CITATION = re.compile(r"\[\d+\]")
# Words that point at something said before; "that" and "there" only where they do.
_POINTS = re.compile(
    r"\b(it|its|itself|he|him|his|she|her|hers|they|them|their|theirs|this|these|those"
    r"|(?:about|of|after|before|since|by|like|with|for|to|from|than|is|was|did|does) that"
    r"|(?<!is )(?<!are )(?<!was )(?<!were )there|then|afterwards|the (?:same|other|others|former"
    r"|latter))\b",
    re.IGNORECASE,
)
_CONNECTS = re.compile(
    r"^\W*(and|but|so|also|or|then|what about|how about|why not|which ones?|what else|who else)\b",
    re.IGNORECASE,
)


def standalone_query(messages: Sequence[Message]) -> str:
    """What to look up for the last message of a conversation.

    Args:
        messages: the conversation; the last one is the user's question.

    Returns:
        The question, with what it leans on behind it if it leans.
    """
    if not messages or messages[-1]["role"] != "user":
        return messages[-1]["content"] if messages else ""
    last = len(messages) - 1
    asked = [
        index
        for index, message in enumerate(messages)
        if message["role"] == "user" and (index == last or not is_small_talk(message["content"]))
    ]
    query, answer = "", ""
    for index in asked[-MAX_TURNS:]:
        question = messages[index]["content"]
        query = _joined(question, query, answer) if query and leans(question) else question
        answer = _answer_to(messages, index)
    return query


def leans(question: str) -> bool:
    """Whether a question says too little to be understood alone."""
    if len(question) > LONG:
        return False
    if _CONNECTS.search(question):
        return not _names(question)
    pointer = _POINTS.search(question)
    if pointer and len(_telling(question[: pointer.start()])) < FEW:
        return True  # "who built the tower and when did it fall" explains its "it" itself
    return not _names(question) and len(_telling(question)) <= FEW


def _joined(question: str, before: str, answer: str) -> str:
    """A question with the words of the one before and the names of its answer, each word once."""
    own = {word.lower() for word in _WORD.findall(question)}
    added = {w.lower(): w for w in [*_telling(before), *_names(answer)] if w.lower() not in own}
    return " ".join([question.strip(), *list(added.values())[:MAX_ADDED]])


def _telling(text: str) -> list[str]:
    """The words that say something, in order."""
    return [word for word in _WORD.findall(text) if not is_common(word)]


def _names(text: str) -> list[str]:
    """Capitalised words that do not begin a sentence."""
    starts = {match.end() for match in re.finditer(r"^\W*|[.!?:]\s+\W*", text)}
    return [
        match.group()
        for match in _WORD.finditer(text)
        if not is_common(match.group())
        and match.group()[0].isupper()
        and (match.start() not in starts or match.group().isupper())
    ]


def _answer_to(messages: Sequence[Message], question: int) -> str:
    """What was answered to the question at an index, without the numbers of passages."""
    following = messages[question + 1 : question + 2]
    said = [m["content"] for m in following if m["role"] == "assistant"]
    return _CITATION.sub("", " ".join(said))
