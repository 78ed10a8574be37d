"""Continuing a text: samples side by side, other tokens to go on from, and what goes wrong."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from mlx_toy.assistant import Assistant
from mlx_toy.settings import Settings
from mlx_toy.ui.complete import (
    TAIL,
    Dials,
    Sample,
    alternatives,
    continue_from,
    continue_text,
    highlighted,
    position_line,
)
from mlx_toy.ui.loading import Loading

GREEDY = Dials(temperature=0.0, max_tokens=12)


@pytest.fixture(scope="module")
def loading(tiny_model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loading]:
    library = tmp_path_factory.mktemp("complete") / "library"
    settings = Settings(
        model=str(tiny_model_dir), base_model=str(tiny_model_dir), library=str(library)
    )
    loading = Loading(lambda: Assistant(settings))
    loading.start()
    yield loading
    loading.close()


@pytest.fixture(scope="module")
def written(loading: Loading) -> Sample:
    *_, last = continue_text(loading, "The chat format", GREEDY)
    return last.samples[0]


def test_a_sample_grows_and_ends_with_details_and_figures(loading: Loading):
    views = list(continue_text(loading, "The chat format", GREEDY))
    assert [view.busy for view in views] == [True] * (len(views) - 1) + [False]
    lengths = [len(view.samples[0].trace.answer_ids) for view in views]
    assert lengths == sorted(lengths) and views[-1].warning is None
    (sample,) = views[-1].samples
    assert len(sample.details) == len(sample.trace.answer_ids) > 0
    assert [detail.id for detail in sample.details] == list(sample.trace.answer_ids)
    assert "token" in sample.figures and "tokens/s" in sample.figures


def test_samples_are_written_in_turn_and_differ(loading: Loading):
    *others, last = continue_text(loading, "a token", Dials(1.5, 12, samples=3))
    assert len(last.samples) == 3
    for sample in last.samples:  # one that ends at once has none
        assert len(sample.details) == len(sample.trace.answer_ids)
    assert len({sample.trace.answer_ids for sample in last.samples}) > 1
    begun = [sum(bool(sample.text) for sample in view.samples) for view in others]
    assert begun == sorted(begun)


def test_without_chance_one_sample_is_enough(loading: Loading):
    *_, last = continue_text(loading, "a token", Dials(0.0, 8, samples=4))
    assert len(last.samples) == 1


def test_the_text_goes_on_from_another_token(loading: Loading, written: Sample):
    position = 3
    other = written.details[position].alternatives[1].id
    *_, last = continue_from(loading, [written], 0, position, other, GREEDY)
    (sample,) = last.samples
    ids = written.trace.answer_ids
    assert sample.trace.answer_ids[: position + 1] == (*ids[:position], other)
    assert sample.trace.prompt_ids == written.trace.prompt_ids
    assert len(sample.details) == len(sample.trace.answer_ids) > position + 1
    assert sample.details[position].rank == 2


def test_the_token_that_was_taken_leads_to_the_same_text(loading: Loading, written: Sample):
    *_, last = continue_from(loading, [written], 0, 2, written.trace.answer_ids[2], GREEDY)
    assert last.samples[0].text.startswith(written.text)


def test_the_end_of_the_text_can_be_chosen(loading: Loading, written: Sample):
    stop = min(loading.get().base_engine.stop_ids)
    *_, last = continue_from(loading, [Sample("x"), written], 1, 4, stop, GREEDY)
    first, second = last.samples
    assert first == Sample("x") and second.trace.answer_ids == written.trace.answer_ids[:4]
    assert len(second.details) == 4 and written.text.startswith(second.text)


def test_a_stopped_sample_keeps_what_was_written(loading: Loading):
    *_, last = continue_text(loading, "a token", Dials(0.5, 12, samples=3), lambda: True)
    assert len(last.samples) == 1 and "stopped" in last.samples[0].figures and not last.busy


@pytest.mark.parametrize("text", ["", " \n"])
def test_nothing_to_continue_is_said(loading: Loading, text: str):
    *_, last = continue_text(loading, text, GREEDY)
    assert last.warning and "nothing to continue" in last.warning and not last.busy


def test_a_failed_turn_leaves_the_samples_as_they_were(loading: Loading, written: Sample):
    too_long = Dials(0.0, 400)
    *_, last = continue_from(loading, [written], 0, 2, written.trace.answer_ids[2], too_long)
    assert last.warning and last.samples == [written]


def test_what_is_shown_is_the_beginning_and_then_each_token(written: Sample):
    shown = highlighted(written)
    assert shown[0] == ("The chat format", None)
    assert [text for text, _ in shown[1:]] == [detail.text for detail in written.details]
    streaming = Sample("x" * 2 * TAIL, "and so on")
    assert highlighted(streaming) == [("…" + "x" * TAIL, None), ("and so on", None)]


def test_a_token_is_told_with_its_alternatives(written: Sample):
    choices = alternatives(written.details[0])
    assert len(choices) == 10 and choices[0][1] == written.details[0].id
    assert choices[0][0].endswith("%")
    assert "the first choice" in position_line(written, 0)
