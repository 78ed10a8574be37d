"""What the command line shows below an answer."""

from mlx_toy.output import show_sources
from mlx_toy.replies import Source, Update
from mlx_toy.rows import Hit


def source(number: int, heading: str, quote: str | None = None) -> Source:
    text = f"Text of passage {number}."
    hit = Hit("id", "staff.md", None, heading, text, 0, len(text), 0.5, 1.0, 1, 1)
    return Source(number, hit, quote)


def test_what_an_answer_cites_stands_apart_from_what_else_was_found(capsys):
    found = [source(1, "Holidays > Who decides"), source(2, "Pay", "Pay day is the 27th.")]
    show_sources(Update("27th [2]", found, done=True))
    assert capsys.readouterr().out == (
        "\nSources:\n[2] staff.md, Pay: Pay day is the 27th.\n"
        "\nAlso found:\n[1] staff.md, Holidays > Who decides: Text of passage 1.\n"
    )


def test_passages_below_a_refusal_are_the_nearest_ones(capsys):
    show_sources(Update("The passages do not say.", [source(1, "")], done=True, abstained=True))
    assert capsys.readouterr().out == "\nNearest passages:\n[1] staff.md: Text of passage 1.\n"


def test_nothing_is_shown_below_a_reply_without_passages(capsys):
    show_sources(Update("Hello!", [], done=True))
    assert capsys.readouterr().out == ""
