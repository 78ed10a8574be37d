"""The names of the corpus's sources for people: "base-enwiki_leads" is "enwiki leads", prose."""

KINDS = {"base": "prose", "chat": "conversation", "qa": "questions", "own": "our own"}


def source_kind(name: str) -> str:
    """What kind of text a source is; "" if its name does not tell."""
    return KINDS.get(name.partition("-")[0], "")


def source_title(name: str) -> str:
    """The name of a source without its kind."""
    kind, _, rest = name.partition("-")
    return rest.replace("_", " ") if kind in KINDS and rest else name
