"""What people send: made fit for a tokenizer, and refused when there is nothing or too much."""

from mlx_toy.errors import UserError

MAX_MESSAGE = 8_000  # characters: more than any context here holds, less than slows a tokenizer


def clean(text: str) -> str:
    """The text with U+FFFD for lone surrogates, which broken input has and tokenizers refuse."""
    return text.encode("utf-8", "surrogatepass").decode("utf-8", "replace")


def checked(message: str) -> str:
    """The message, stripped.

    Raises:
        UserError: it is empty or too long.
    """
    message = clean(message).strip()
    if not message:
        raise UserError("the message is empty: type a question")
    if len(message) > MAX_MESSAGE:
        raise UserError(
            f"the message has {len(message):,} characters, at most {MAX_MESSAGE:,} can be read: "
            "shorten it, or add it as a document and ask about it"
        )
    return message
