"""Short answers as short sentences, by rule, where a rule can do no harm.

Why: instruction data answers "What is the capital of Germany?" now with "Berlin", now with "berlin"
and now with a sentence, and a small model learns all of these. A capital and a full stop make one
kind of answer of them, and the full stop teaches where an answer ends. Two rules, both of which
leave alone whatever they do not know:

- To a plain question without passages, a bare answer of one to six words begins with a capital and
  ends with a full stop. Only in records of one question and one answer: how people write to each
  other in a conversation is theirs. Not where the answer's form is what was asked for (a word, its
  letters, code), nor for lists, formulas and addresses, which have other marks than words have.
- To a question with passages, an answer that lacks nothing of a short sentence but a pronoun, an
  article or a conjunction at its beginning becomes that sentence: "ran to the mill" the whole of
  "So he ran to the mill." It still stands there word for word, so the span grammar can write it
  (`mlx_toy/span_grammar.py`); its full stop stays outside, as with every span, because the citation
  follows. Other spans stay spans: while it answers from passages the model can write no words of
  its own, so a sentence around the span ("It opened in 1872 [2]") would teach it what it can never
  say. And what lacks a verb or a noun is a better answer alone: "the witch", not "I serve the
  witch".
"""

import re

VERSION = 1  # to be raised when a rule changes: all conversations are encoded again
MAX_WORDS = 6  # of a bare answer
MIN_SPAN_WORDS = 4  # of a span that is nearly a sentence; a shorter one is a name or a figure
MAX_SENTENCE_BYTES = 100  # a short sentence; the span grammar allows 120

_BARE = re.compile(r"[\w'’&-]+(?:,? [\w'’&-]+)*\.?")
_TWO_LETTERS = re.compile(r"[^\W\d_]{2}")
_ABOUT_FORM = re.compile(
    r"[\"“”‘`:=<>/\\\d]|(?<!\w)'|\b(?:words?|spell|spelled|letters?|abbreviat\w+|acronym|symbol"
    r"|code|command|function|variable|keyword|plural|tense|synonym|antonym|prefix|suffix|rhymes?"
    r"|string|file|format)\b",
    re.IGNORECASE,
)
_SENTENCE = re.compile(r"[A-Z0-9][^()\[\]{}\"“”]*[.!?]")
_MAY_BE_ADDED = frozenset(
    (
        *("a", "all", "an", "and", "at", "both", "but", "first", "for", "hence", "he"),
        *("her", "here", "his", "however", "i", "in", "it", "its", "last", "many", "most"),
        *("my", "next", "now", "our", "she", "so", "soon", "still", "that", "the", "their"),
        *("then", "there", "these", "they", "this", "those", "thus", "today", "we", "yet"),
        *("you", "your"),
    )
)


def as_sentence(question: str, answer: str) -> str:
    """A bare answer to a plain question with a capital and a full stop; any other as it is."""
    question = question.strip()
    if not question.endswith("?") or "\n" in question or _ABOUT_FORM.search(question):
        return answer
    if not _BARE.fullmatch(answer) or len(answer.split()) > MAX_WORDS:
        return answer
    if not _TWO_LETTERS.search(answer):
        return answer  # a figure
    first = re.split(r"[\s,.]", answer, maxsplit=1)[0]
    if first.isalpha() and first.islower():  # no iPhone, pH or 3rd
        answer = answer[0].upper() + answer[1:]
    return answer if answer.endswith(".") else answer + "."


def whole_sentence(answer: str, sentence: str) -> str:
    """The sentence without its mark, where the answer is nearly all of it; else the answer.

    Args:
        answer: stands in the sentence, as whole words.
        sentence: of a passage.
    """
    solid = sentence.rstrip(".!?")
    if (
        len(answer.split()) < MIN_SPAN_WORDS
        or len(sentence.encode()) > MAX_SENTENCE_BYTES
        or not _SENTENCE.fullmatch(sentence)
        or not solid.endswith(answer)
    ):
        return answer
    missing = solid.removesuffix(answer).lower().replace(",", " ").split()
    return solid if _MAY_BE_ADDED.issuperset(missing) else answer
