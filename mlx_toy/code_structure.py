"""Find the functions and classes of a program by their looks, in most languages at once.

Why no parser: a program that does not compile is still worth asking about, and each language would
bring its own. A line that begins like a definition is one; what is indented below it belongs to it.
"""

import re
from collections.abc import Iterator

from mlx_toy.structure import Block

# Kinds of files that are read as programs, or as data whose lines mean something.
SUFFIXES = """
    .py .pyi .ipy .js .mjs .cjs .jsx .ts .tsx .java .kt .scala .swift .m .mm .c .h .cc .cpp .hpp
    .cxx .cu .metal .cs .go .rs .zig .rb .php .pl .lua .r .jl .hs .ml .ex .exs .erl .clj .lisp .el
    .dart .sh .bash .zsh .ps1 .bat .sql .css .scss .json .jsonl .yaml .yml .toml .ini .cfg .xml
    .proto .tf .cmake .vue .svelte
"""
MAX_TITLE = 100  # characters of a definition that stand above its passages
MAX_LINE = 300  # characters; a longer line is data, not a definition

_WORDS_BEFORE = (
    r"(?:(?:export|default|public|private|protected|internal|static|final|abstract|async|override"
    r"|virtual|inline|extern|unsafe|const|pub(?:\([a-z]+\))?|open|sealed|data|partial) +)*"
)
_DEFINITION = re.compile(
    rf"{_WORDS_BEFORE}(?:class|def|function\*?|func|fn|fun|interface|struct|enum|trait|impl|module"
    r"|namespace|protocol|record|object|type|sub|defmodule|defp|(?i:create (?:table|view)))\b"
    r"[ <(]*[\w$(]"
    r"|(?:export +)?(?:const|let|var) +[\w$]+ *= *(?:async *)?"
    r"(?:function\b|\([^()]*\) *=>|\w+ *=>)"
)
# A function of the C family: a type, a name, parameters, and the body below or its brace here.
_C_FUNCTION = re.compile(
    r"(?:[\w:<>,\[\]*&~]+ +)+[*&]*[\w:~]+ *\([^;{}=]*\)[\w :]*(?P<open>\{?)\s*$"
)
_NO_FUNCTION = re.compile(
    r"(?:else|return|if|for|while|switch|case|throw|raise|yield|assert|new|do|catch|await)\b"
)
_LEADING = re.compile(r"@|#\[|#(?!include|define)|//|/\*|\*|--")  # notes on what follows
_CLOSING = re.compile(r"[)}\]{]|end\b|else\b|elif\b|except\b|finally\b|catch\b|#|//|/?\*|:")
_LINE = re.compile(r"([^\S\n]*)(\S[^\n]*)")


def code_blocks(text: str) -> Iterator[Block]:
    """The definitions of a program as headings, each with its lines below it.

    A heading here is only a title: its line, with the comments and decorators above it, stands in
    the block that follows, so that no line of the program is lost.
    """
    begin = 0  # of the lines not yet given
    leading: int | None = None  # where the comments above the next line begin
    open_at: list[int] = []  # indents of the definitions that we are in
    for match in _LINE.finditer(text):
        space, line = match.groups()
        indent = len(space.expandtabs(4))
        short = line[:MAX_LINE]
        if _LEADING.match(short):
            leading = match.start() if leading is None else leading
            continue
        at = match.start() if leading is None else leading
        leading = None
        if len(line) <= MAX_LINE and _is_definition(line, indent):
            yield from _lines(begin, at)
            while open_at and open_at[-1] >= indent:
                open_at.pop()
            open_at.append(indent)
            yield Block(at, at, len(open_at), _title(line))
            begin = at
        elif open_at and indent <= open_at[-1] and not _CLOSING.match(short):
            yield from _lines(begin, at)
            while open_at and open_at[-1] >= indent:
                open_at.pop()
            yield Block(at, at, len(open_at) + 1)
            begin = at
    yield from _lines(begin, len(text))


def _lines(start: int, end: int) -> Iterator[Block]:
    if end > start:
        yield Block(start, end, form="code")


def _is_definition(line: str, indent: int) -> bool:
    if _DEFINITION.match(line):
        return True
    function = None if _NO_FUNCTION.match(line) else _C_FUNCTION.match(line)
    return function is not None and (not indent or bool(function["open"]))


def _title(line: str) -> str:
    """A definition without the body that it opens."""
    title = " ".join(re.sub(r"\s*(?:\{.*|[:(]|=>.*)$", "", line).split())
    return title if len(title) <= MAX_TITLE else title[: MAX_TITLE - 1] + "…"
