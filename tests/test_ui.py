"""What the parts of the page promise: text stays text, visitors stay apart, streams stop."""

import re
import threading
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlx_toy.assistant import Source, Update
from mlx_toy.errors import UserError
from mlx_toy.generation import Stats
from mlx_toy.rows import Hit
from mlx_toy.settings import OWN_WORKSPACE
from mlx_toy.ui.frames import frames
from mlx_toy.ui.markup import (
    as_message,
    as_text,
    cited_line,
    from_text,
    sentence,
    stats_line,
)
from mlx_toy.ui.sources import links_html, passage_html
from mlx_toy.ui.stops import Stops
from mlx_toy.ui.visitors import Visitors, is_secret, new_secret

MARKUP = "<img src=x onerror=alert(1)> & <script>alert(2)</script>"


# --- text and markup ------------------------------------------------------------------------------


@given(st.text(st.characters(exclude_categories=["Cc", "Cs"])))
def test_text_in_the_page_is_text_and_comes_back_unchanged(text: str):
    shown = as_text(text)
    assert "<" not in shown and ">" not in shown
    assert from_text(shown) == text


@given(st.text(st.sampled_from("<>&;#!/? abltgx"), max_size=12))
def test_what_could_act_in_a_message_is_escaped_and_comes_back_unchanged(text: str):
    shown = as_message(text)
    assert not re.search(r"<[a-z/!?]", shown)
    assert from_text(shown) == text
    assert as_message("a < b & c, 1<2") == "a < b & c, 1<2"


def test_controls_do_not_reach_the_page():
    assert as_text("a\x00b\x1b[31mc\td\n") == "ab[31mc\td\n"


def hit(text: str, document: str = "a.pdf", heading: str = "", page: int | None = 3) -> Hit:
    return Hit("0" * 32, document, page, heading, text, 0, len(text), 0.5, 1.0, 1, 1)


def test_a_passage_shows_document_page_and_the_answer_marked_in_its_sentence():
    text = "It rained. The shop opens at six o'clock. It rained."
    source = Source(1, hit(text), "The shop opens at six o'clock.", 29, 32)
    html = passage_html(source)
    assert "a.pdf" in html and "page 3" in html and "similarity 0.50" in html
    quote = '<span class="quote">The shop opens at <mark>six</mark> o\'clock.</span>'
    assert f"It rained. {quote} It rained." in html
    assert cited_line([source, Source(2, hit(text))]) == "From [1] a.pdf, page 3"


@pytest.mark.parametrize(("start", "end"), [(0, 3), (4, 9), (0, 200), (150, 160)])
def test_a_passage_is_shown_whole_wherever_its_answer_stands(start: int, end: int):
    text = "one two three one two three"
    html = passage_html(Source(1, hit(text), "two three", start, end))
    for tag in ("<mark>", "</mark>", '<span class="quote">', "</span>"):
        html = html.replace(tag, "")
    assert f">{text}</p>" in html


def test_markup_in_documents_is_shown_and_does_not_run():
    html = passage_html(Source(1, hit(MARKUP, MARKUP, MARKUP), MARKUP, 0, 4))
    assert "<img" not in html and "<script" not in html
    assert html.count("&lt;script&gt;") == 3


def test_a_cited_passage_has_a_link_that_leads_to_it():
    cited = Source(2, hit("text", document="<b>.pdf"), "text", 0, 4)
    html = links_html([Source(1, hit("more")), cited])
    assert '<a href="#source-2">[2] &lt;b&gt;.pdf, page 3</a>' in html and "source-1" not in html
    assert 'id="source-2"' in passage_html(cited)
    assert links_html([]) == ""


def test_figures_name_only_what_is_known():
    assert stats_line(None) == ""
    assert stats_line(Stats(1)) == "1 token"
    line = stats_line(Stats(120, 30, 0.418, 35.2, "length"), dropped=2, context=512)
    assert line == (
        "0.42 s to the first token · 35 tokens/s · 150 of 512 tokens of context · "
        "cut off at the length limit · the first 2 messages no longer fit and were left out"
    )


def test_an_error_becomes_a_sentence():
    assert (
        sentence(UserError("the message is empty: type one")) == "The message is empty: type one."
    )
    assert sentence("notes.md is empty.") == "notes.md is empty."


# --- visitors, stops, frames ----------------------------------------------------------------------


def test_on_a_space_each_visitor_has_a_workspace_of_a_secret_that_the_server_made():
    visitors = Visitors(shared=True)
    first, second = visitors.secret(""), visitors.secret(None)
    assert is_secret(first) and first != second
    assert visitors.secret(first) == first
    assert visitors.workspace(first) == visitors.workspace(first) != visitors.workspace(second)
    assert first not in visitors.workspace(first)


@pytest.mark.parametrize(
    "forged", [None, "", "default", 7, ["a"], "a" * 42, "a" * 44, "../" + "a" * 40, "a" * 43 + "\n"]
)
def test_a_secret_that_the_server_cannot_have_made_opens_nothing(forged: object):
    visitors = Visitors(shared=True)
    assert is_secret(visitors.secret(forged)) and visitors.secret(forged) != forged
    with pytest.raises(UserError, match="reload"):
        visitors.workspace(forged)


def test_on_ones_own_computer_there_is_one_workspace():
    visitors = Visitors(shared=False)
    assert visitors.secret(new_secret()) == ""
    assert visitors.workspace("anything") == OWN_WORKSPACE


def test_a_workspace_expires_when_its_visitor_stays_away():
    now = [0.0]
    visitors = Visitors(shared=True, max_age_s=100, clock=lambda: now[0])
    stays, leaves = new_secret(), new_secret()
    gone = visitors.workspace(leaves)
    now[0] = 60
    visitors.workspace(stays)
    assert visitors.expired() == []
    now[0] = 120
    assert visitors.expired() == [gone]
    assert visitors.expired() == []


def test_stop_reaches_the_requests_of_one_page_only():
    stops = Stops()
    with stops.watch("a") as mine, stops.watch("b") as other:
        stops.stop("a")
        stops.stop("nobody")
        assert mine.is_set() and not other.is_set()
    with stops.watch("a") as later:
        assert not later.is_set()


def test_whoever_leaves_a_conversation_waits_until_its_answer_has_ended():
    stops, ended = Stops(), threading.Event()

    def answer(started: threading.Event) -> None:
        with stops.watch("a") as flag:
            started.set()
            flag.wait()
            assert flag.left
            ended.set()

    started = threading.Event()
    thread = threading.Thread(target=answer, args=[started])
    thread.start()
    started.wait()
    assert stops.busy("a") and not stops.busy("b")
    stops.leave("a")
    assert ended.is_set() and not stops.busy("a")
    thread.join()


def test_frames_are_few_and_end_with_the_last_update():
    updates = iter([*(Update("x" * n) for n in range(1, 50)), Update("x" * 50, done=True)])
    shown = list(frames(updates, lambda: False, frame_s=60))
    assert [(update.text, last) for update, last in shown] == [("x", False), ("x" * 50, True)]


def test_a_stopped_stream_ends_at_once_and_is_closed():
    closed = threading.Event()

    def endless() -> Iterator[Update]:
        try:
            while True:
                yield Update("x")
        finally:
            closed.set()

    assert list(frames(endless(), lambda: True)) == [(Update("x"), True)]
    assert closed.is_set()
