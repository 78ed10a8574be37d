"""Names that people tell, and written replies that say them: "My name is Rosa."

A reply to "My name is Ida" that says "Nice to meet you, Ida" fits everyone who tells a name, with
that name. So where a written message tells a name and its reply takes it up, the name is a place
that is filled with the one that was told now. Only plain ways of telling one are known; where none
was told, nothing is changed.
"""

import re
from dataclasses import replace

from mlx_toy.exchanges import Exchange

_NAME = r"(?P<name>[^\W\d_][\w'-]{0,20}+)(?!\w)"
_END = r"(?=\s*+(?:$|[^\w\s]|(?i:and|but|from|i|im)\b))"
_FAMILY_NAME = r"(?:\s+[^\W\d_a-z][\w'-]*+)?"
_OWN = re.compile(
    r"\b(?i:my name(?: is|'s|s)|call me|(?:hi|hello|hey|hiya)[,.!]? (?:this is|i am|i'm|im)"
    r"|(?:i am|i'm|im) called)\s+" + _NAME + _FAMILY_NAME + _END
)
# "I am Rosa" tells a name only with a capital letter, which the code looks at.
_CAPITAL = re.compile(r"\b(?i:i am|i'm|im)\s+" + _NAME + r"(?=\s*+(?:[.,!?]|$|and\b))")
_OTHERS = re.compile(
    r"\b(?i:(?:his|her|its|their) name(?: is| was|'s)|(?<!you )(?:is|was) (?:called|named)"
    r"|(?:called|named) (?:him|her|it)|named)\s+" + _NAME
)
_NO_NAMES = frozenset(
    """a an the not so too very really just only my your his her our its their this that it off out
    back after by when if later tomorrow today now and or but i you he she we they me him us them in
    on at all more new what who something anything nothing nobody names crazy mad stupid lazy dear
    sir captain angry nervous scared feeling proud hungry always confused little calm waiting bored
    lonely alone ill sick busy late ready done grandpa grandma santa mr mrs ms dr mlx-toy ok okay
    fine good great sad happy tired sorry here sure glad english german french italian spanish
    american russian chinese japanese indian turkish polish dutch irish canadian australian
    brazilian mexican swedish norwegian danish finnish greek portuguese austrian swiss british
    scottish european african asian muslim christian jewish""".split()  # noqa: SIM905  (a paragraph)
)
_ASKS_NAME = re.compile(
    r"\b(?:my name(?!(?: is|'s) \w)|who (?:i am|am i)|remember me)\b", re.IGNORECASE
)
_ASKS_FOR_NAME = re.compile(
    r"\b(?:what is|what's|tell me|know|remember|ask|forgot|forget) your name\b|\bcall you\?",
    re.IGNORECASE,
)
OWN, OTHER = "own", "other"  # whose name is told


def told_names(text: str) -> dict[str, str]:
    """The names that a message tells, as they are written, by whose they are: the last of each."""
    text = text.replace("’", "'")
    patterns = ((OWN, _OWN), (OWN, _CAPITAL), (OTHER, _OTHERS))
    told = [(m, whose, m["name"]) for whose, p in patterns for m in p.finditer(text)]
    found = {}
    for match, whose, name in sorted(told, key=lambda one: one[0].start("name")):
        name = name.removesuffix("'s")
        may_be = match.re is not _CAPITAL or name[:1].isupper()
        if may_be and name.lower() not in _NO_NAMES:
            found[whose] = name
    return found


def asks_own_name(text: str) -> bool:
    """Whether somebody asks what they are called, and does not tell it."""
    return bool(_ASKS_NAME.search(text)) and OWN not in told_names(text)


def asks_for_name(reply: str) -> bool:
    """Whether a reply asks what the person is called, or says that it is not known."""
    return bool(_ASKS_FOR_NAME.search(reply))


def with_names(exchange: Exchange, told: dict[str, str]) -> Exchange:
    """An exchange with the names that were told now in the place of its own.

    Args:
        exchange: as it was written. A name that its reply does not say is left.
        told: from `told_names`, of what was said now.
    """
    if not told:
        return exchange
    own = told_names(exchange.before) | told_names(exchange.message)
    new = {
        form: told[whose][:1].upper() + told[whose][1:]
        for whose, name in own.items()
        if whose in told
        for form in (name, name[:1].upper() + name[1:])
    }
    if not new:
        return exchange
    pattern = re.compile(rf"\b(?:{'|'.join(map(re.escape, new))})\b")
    if not pattern.search(exchange.reply):
        return exchange
    parts = ("message", "reply", "before", "said")
    filled = {
        part: pattern.sub(lambda match: new[match.group()], getattr(exchange, part))
        for part in parts
    }
    return replace(exchange, **filled)
