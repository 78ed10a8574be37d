"""The assistant answers from documents with their place, says when it cannot, and chats."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from cli_fixtures import PAGES
from cli_fixtures import QUESTION as NEAR
from documents_fixtures import make_pdf
from test_foreign import qwen_dir  # noqa: F401  (a fixture)

from mlx_toy.answers import NotVerbatimError, make_answer, quote_at, verify
from mlx_toy.assistant import MAX_MESSAGE, NOTHING_NEAR, Assistant, Update
from mlx_toy.chat import NOT_IN_PASSAGES, Message
from mlx_toy.errors import UserError
from mlx_toy.options import AnswerOptions
from mlx_toy.replies import Source, confirm
from mlx_toy.sampling import Sampling
from mlx_toy.settings import Settings

FAR = "Which enzyme splits lactose in milk?"
SHORT = AnswerOptions(max_tokens=8, seed=1)


@pytest.fixture(scope="module")
def pdf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_pdf(tmp_path_factory.mktemp("documents") / "brenn.pdf", PAGES)


@pytest.fixture(scope="module")
def assistant(
    tiny_model_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Assistant]:
    library = tmp_path_factory.mktemp("library")
    assistant = Assistant.load(Settings(model=str(tiny_model_dir), library=str(library)))
    yield assistant
    assistant.close()


@pytest.fixture(scope="module")
def foreign(request: pytest.FixtureRequest) -> Iterator[Assistant]:
    """With a chat model that is not ours."""
    model = str(request.getfixturevalue("qwen_dir"))
    assistant = Assistant(Settings(model=model, library="memory://"))
    yield assistant
    assistant.close()


def user(text: str) -> Message:
    return {"role": "user", "content": text}


def updates_of(updates: Iterator[Update]) -> list[Update]:
    """All updates; only the last is done, and each text continues the one before."""
    found = list(updates)
    assert [update.done for update in found] == [False] * (len(found) - 1) + [True]
    for before, after in pairwise(found[:-1]):
        assert after.text.startswith(before.text)
    return found


def check_source(update: Update) -> None:
    """The cited passages carry the answer's places and sentences, and no others do."""
    cited = [source for source in update.sources if source.quote is not None]
    assert [s.number for s in cited] == [s.number for s in update.sources if s.spans]
    assert cited
    for source in cited:
        text = source.hit.text
        assert source.start is not None and text[source.start : source.end].strip()
        assert source.spans[0] == (source.start, source.end)
        at = text.index(source.quote)
        assert at <= source.start < at + len(source.quote)


def test_an_answer_from_a_pdf_names_its_document_and_page(assistant: Assistant, pdf: Path) -> None:
    stored = assistant.add_document("pdf", pdf)
    assert (stored.name, stored.pages, stored.already) == ("brenn.pdf", 2, False)
    updates = updates_of(assistant.reply("pdf", [user(NEAR)]))
    last = updates[-1]
    first = last.sources[0]
    assert (first.number, first.hit.document, first.hit.page) == (1, "brenn.pdf", 1)
    assert all(update.sources for update in updates)
    assert last.stats is not None and last.stats.tokens > 0
    if last.abstained:
        assert last.text == NOT_IN_PASSAGES
    else:
        check_source(last)
        [cited] = [source for source in last.sources if source.quote]
        words = " ".join(cited.hit.text[cited.start : cited.end].split())
        assert last.text == f"{words} [{cited.number}]"


def test_when_nothing_is_near_the_model_is_not_asked(assistant: Assistant, pdf: Path) -> None:
    assistant.add_document("far", pdf)
    [update] = assistant.reply("far", [user(FAR)])
    assert (update.text, update.done, update.abstained) == (NOTHING_NEAR, True, True)
    assert update.stats is None


LIGHTHOUSE = """# Gull Rock Lighthouse

The lighthouse on Gull Rock was designed by the engineer Mary Tolland and lit for the first time in
1874. It is 31 metres high and built of grey granite. The keeper's house was added in 1890.

## Visits

Visitors may climb the tower from April to October, daily from 10 am to 4 pm. A ticket costs 6
euros; children under twelve climb free. Dogs are not allowed on the stairs, because the steps are
steep and narrow. The ferry to the rock leaves the harbour of Penwick every hour.

## Wildlife

Grey seals rest on the rocks below the tower, and puffins nest on the northern cliff from May to
July.
"""


def test_a_passage_is_near_by_its_words_where_the_vectors_do_not_see_it(tmp_path: Path) -> None:
    file = tmp_path / "lighthouse.md"
    file.write_text(LIGHTHOUSE)
    question = user("Are dogs allowed?")
    library = str(tmp_path / "library")
    with closing(Assistant(Settings(library=library))) as both:
        both.add_document("visits", file)
        found = both.search("visits", question["content"])
        assert max(hit.similarity for hit in found) < both.threshold  # or it shows nothing
        assert updates_of(both.reply("visits", [question]))[-1].text != NOTHING_NEAR
        cosine_alone = Settings(library=library, threshold=both.threshold)
        # by what the reader finds alone, where neither vectors nor words see anything
        unseen = replace(found[0], similarity=0.0, relevance=0.0, odds=None)
        assert both.is_near(replace(unseen, odds=0.0)) and not both.is_near(unseen)
        assert not both.is_near(replace(unseen, odds=-9.0))
    with closing(Assistant(cosine_alone)) as strict:
        assert not strict.is_near(replace(unseen, odds=0.0))
        assert updates_of(strict.reply("visits", [question]))[-1].text == NOTHING_NEAR


def test_small_talk_is_answered_by_the_model_whatever_documents_there_are(
    assistant: Assistant, pdf: Path
) -> None:
    assistant.add_document("talk", pdf)
    last = updates_of(assistant.reply("talk", [user("Hello, who are you?")], SHORT))[-1]
    assert last.sources == [] and not last.abstained and last.stats is not None


def test_a_question_that_leans_on_the_conversation_is_looked_up_with_it(
    assistant: Assistant, pdf: Path
) -> None:
    assistant.add_document("leans", pdf)
    answer: Message = {"role": "assistant", "content": "1874 [1]"}
    last = list(assistant.reply("leans", [user(NEAR), answer, user("Who kept it?")], SHORT))[-1]
    assert last.query == "Who kept it? lighthouse Brenn built" and last.sources[0].hit.page == 1
    assert list(assistant.reply("leans", [user(NEAR)], SHORT))[-1].query is None


def test_without_documents_it_chats(assistant: Assistant) -> None:
    for workspace in (None, "empty"):
        last = updates_of(assistant.reply(workspace, [user("Hello.")], SHORT))[-1]
        assert last.sources == [] and not last.abstained
        assert last.stats is not None and last.stats.finish in ("stop", "length")


def test_threads_that_use_a_part_first_share_it(tiny_model_dir: Path) -> None:
    assistant = Assistant(Settings(model=str(tiny_model_dir), library="memory://"))
    with ThreadPoolExecutor(8) as pool:
        engines = list(pool.map(lambda _: assistant.engine, range(8)))
    assistant.close()
    assert len(set(map(id, engines))) == 1


def test_the_same_seed_gives_the_same_reply(assistant: Assistant) -> None:
    first, second = (list(assistant.reply(None, [user("Hello.")], SHORT))[-1] for _ in range(2))
    assert first.text == second.text


def test_a_removed_document_is_not_found_again(assistant: Assistant, pdf: Path) -> None:
    stored = assistant.add_document("gone", pdf)
    assert assistant.search("gone", NEAR)
    assert assistant.remove("gone", stored.id)
    assert assistant.documents("gone") == [] and assistant.search("gone", NEAR) == []
    assert not assistant.remove("gone", stored.id)
    assert list(assistant.reply("gone", [user(NEAR)], SHORT))[-1].sources == []


def test_the_same_content_is_stored_once(assistant: Assistant, pdf: Path, tmp_path: Path) -> None:
    first = assistant.add_document("twice", pdf)
    again = assistant.add_document("twice", make_pdf(tmp_path / "copy.pdf", PAGES))
    assert again.already and (again.id, again.name) == (first.id, "brenn.pdf")
    assert len(assistant.documents("twice")) == 1


def test_workspaces_do_not_see_each_other(assistant: Assistant, pdf: Path) -> None:
    assistant.add_document("mine", pdf)
    assert assistant.documents("yours") == [] and assistant.search("yours", NEAR) == []


@pytest.mark.parametrize("text", ["", " \n\t "])
def test_an_empty_message_is_refused(assistant: Assistant, text: str) -> None:
    with pytest.raises(UserError, match="message is empty"):
        next(assistant.reply(None, [user(text)]))
    with pytest.raises(UserError, match="message is empty"):
        assistant.search("pdf", text)
    with pytest.raises(UserError, match="nothing to continue"):
        next(assistant.complete(text))


def test_a_message_of_a_megabyte_is_refused(assistant: Assistant, pdf: Path) -> None:
    assistant.add_document("long", pdf)
    for workspace in (None, "long"):
        with pytest.raises(UserError, match=r"1,000,000 characters, at most 8,000"):
            next(assistant.reply(workspace, [user("a" * 1_000_000)]))
    with pytest.raises(UserError, match="1,000,000 characters"):
        assistant.answer("a" * 1_000_000, PAGES)


def test_a_message_that_alone_fills_the_context_is_refused(assistant: Assistant, pdf: Path) -> None:
    question = "brenn lighthouse " * (MAX_MESSAGE // 17)
    assistant.add_document("full", pdf)
    for workspace in (None, "full"):
        with pytest.raises(UserError, match="make it shorter"):
            list(assistant.reply(workspace, [user(question)]))


def test_broken_characters_do_no_harm(assistant: Assistant, foreign: Assistant) -> None:
    for one in (assistant, foreign):
        assert list(one.reply(None, [user("a \ud800 b")], SHORT))[-1].done
        assert list(one.complete("a \ud800 b", SHORT.sampling()))[-1].done


def test_the_oldest_turns_leave_a_long_conversation_whole(assistant: Assistant) -> None:
    messages: list[Message] = []
    for number in range(30):
        messages += [
            user(f"Question {number}?"),
            {"role": "assistant", "content": f"It is {number}"},
        ]
    messages.append(user("And the last?"))
    last = list(assistant.reply(None, messages, SHORT))[-1]
    room = assistant.engine.context_length - SHORT.max_tokens
    assert last.dropped > 0 and messages[last.dropped]["role"] == "user"
    assert last.stats is not None
    assert (
        last.stats.prompt_tokens == len(assistant.engine.render(messages[last.dropped :])) <= room
    )
    assert len(assistant.engine.render(messages[last.dropped - 2 :])) > room


def test_what_the_assistant_said_before_any_question_leaves_too(assistant: Assistant) -> None:
    said: Message = {"role": "assistant", "content": "Welcome. " * 2_000}
    last = list(assistant.reply(None, [said, user("Hello.")], SHORT))[-1]
    assert last.done and last.dropped == 1


def test_a_system_prompt_stands_before_what_is_left_of_the_conversation(
    assistant: Assistant,
) -> None:
    told = replace(SHORT, system_prompt="Speak like a sailor.")
    system: Message = {"role": "system", "content": "Speak like a sailor."}
    many: list[Message] = []
    for number in range(30):
        many += [user(f"Question {number}?"), {"role": "assistant", "content": "Aye."}]
    for messages in ([user("Hello.")], [*many, user("Hello.")]):
        last = list(assistant.reply(None, messages, told))[-1]
        prompt = assistant.engine.render([system, *messages[last.dropped :]])
        assert last.stats is not None and last.stats.prompt_tokens == len(prompt)


@pytest.mark.parametrize(
    "value",
    [{"passages": 0}, {"passages": 11}, {"system_prompt": "x" * 1_001}, {"top_p": 0.0}],
)
def test_options_outside_their_range_are_refused(value: dict[str, object]) -> None:
    with pytest.raises(UserError, match=next(iter(value)).replace("_", "[_ ]")):
        replace(SHORT, **value)


def test_a_text_is_continued(assistant: Assistant) -> None:
    last = updates_of(assistant.complete("Once upon a time", SHORT.sampling()))[-1]
    assert last.text and last.stats is not None and last.stats.tokens <= 8
    assert list(assistant.complete("word " * 50_000, SHORT.sampling()))[
        -1
    ].done  # its end is what counts
    with pytest.raises(UserError, match="leave no room"):
        next(assistant.complete("Once", Sampling(max_tokens=2000)))


@pytest.mark.parametrize("kind", ["assistant", "foreign"])
@pytest.mark.parametrize("repeat", [1, 40])
def test_an_answer_stands_verbatim_in_a_passage(
    request: pytest.FixtureRequest, kind: str, repeat: int
) -> None:
    assistant: Assistant = request.getfixturevalue(kind)
    passages = [page + "\nSheep graze on the island." * repeat for page in PAGES]
    answer = assistant.answer(NEAR, passages)
    if answer.abstained:
        assert (answer.span, answer.quote, answer.citations) == (None, None, [])
        return
    number = answer.citations[0]
    assert answer.span and answer.span in passages[number - 1]
    assert answer.quote and answer.quote in passages[number - 1]
    assert passages[number - 1][answer.start : answer.end] == answer.span
    assert len(answer.quotes) == 1 or kind == "foreign"
    verify(answer, passages)


def test_a_free_answer_is_compared_with_its_passages(assistant: Assistant, pdf: Path) -> None:
    assistant.add_document("free", pdf)
    options = replace(assistant.options(1), strict=False, max_tokens=12)
    last = updates_of(assistant.reply("free", [user(NEAR)], options))[-1]
    assert last.abstained or "".join(part.text for part in last.segments) == last.text
    assert any(part.unsupported for part in last.segments)  # its weights are random
    for part in last.segments:
        if part.number:
            there = last.sources[part.number - 1].hit.text[part.start : part.end]
            assert there.lower().split() == part.text.lower().split()


def test_a_quote_is_read_again_in_the_stored_document(assistant: Assistant, pdf: Path) -> None:
    assistant.add_document("again", pdf)
    hits = assistant.search("again", NEAR)
    sources = [Source(number, hit) for number, hit in enumerate(hits, start=1)]
    quote = quote_at([hits[0].text], 1, 0, 5)
    confirm(assistant.library, "again", sources, make_answer("", [quote]))
    for wrong in (replace(quote, start=1, end=6), replace(quote, text="False")):
        with pytest.raises(NotVerbatimError):
            confirm(assistant.library, "again", sources, make_answer("", [wrong]))


def test_there_is_no_answer_without_passages(assistant: Assistant) -> None:
    for passages in ([], [""], [" \n"]):
        with pytest.raises(UserError, match="no passages"):
            assistant.answer(NEAR, passages)


def test_a_model_of_others_answers_from_documents_too(foreign: Assistant, pdf: Path) -> None:
    foreign.add_document("pdf", pdf)
    last = updates_of(foreign.reply("pdf", [user(NEAR)]))[-1]
    assert last.sources[0].hit.page == 1
    if not last.abstained:
        check_source(last)
    assert updates_of(foreign.reply(None, [user("Hello.")], SHORT))[-1].done
