"""How it learned: from the records of runs to the page, and what a broken directory shows."""

import json
from pathlib import Path

import pytest

from mlx_toy.errors import UserError
from mlx_toy.settings import Settings
from mlx_toy.training_history import FILE, Metric, Sample, Stage, read_history
from mlx_toy.ui.curves import Line, curves_html, loss_lines, validation_lines
from mlx_toy.ui.learned import (
    card_html,
    introduction_html,
    moment_html,
    moments,
    read_files,
    sources_read_html,
)
from mlx_toy.ui.report_card import report_card_html
from train import records
from train.history import CHECKPOINTS_SHOWN, LOSSES, history

MARKUP = "<img src=x onerror=alert(1)>"


def write_run(run: Path, steps: range, stage: str = "pretrain", every: int = 10) -> Path:
    """The records that a run of 100 tokens a step, at 50 tokens a second, leaves behind."""
    run.mkdir(parents=True)
    state = run / "checkpoints" / f"step-{steps[-1]:08d}" / "state.json"
    state.parent.mkdir(parents=True)
    state.write_text(json.dumps({"step": steps[-1], "stage": stage}))
    for step in steps:
        base = {"step": step, "tokens": step * 100}
        metric = {**base, "loss": 10 - step / 100, "tokens_per_s": 50}
        records.append(run / records.METRICS_FILE, metric)
        if step % every == 0:
            figures = {"bits per byte base-book": 3 - step / 1000}
            records.append(run / records.METRICS_FILE, {**base, **figures})
            for prompt in ("Once", "The sun"):
                text = f" at step {step}"
                written = {**base, "prompt": prompt, "text": text}
                records.append(run / records.SAMPLES_FILE, written)
    return run


def read_back(directory: Path, runs: list[Path]) -> list[Stage]:
    (directory / FILE).write_text(json.dumps(history(runs)))
    return read_history(directory)


def test_the_records_of_two_runs_become_two_stages(tmp_path: Path):
    base = write_run(tmp_path / "base", range(1, 41))
    chat = write_run(tmp_path / "chat", range(1, 21), "finetune")
    first, second = read_back(tmp_path, [base, chat])
    assert (first.name, second.name) == ("pretrain", "finetune")
    assert [sample.step for sample in first.samples] == [10, 20, 30, 40]
    assert first.samples[0].texts == [("Once", " at step 10"), ("The sun", " at step 10")]
    losses = [metric for metric in first.metrics if metric.loss is not None]
    assert len(losses) == 40 and losses[-1].seconds == 40 * 100 / 50
    assert first.metrics[-1].bits_per_byte == {"base-book": 2.96}


def test_a_decay_replaces_what_its_trunk_did_after_it(tmp_path: Path):
    trunk = write_run(tmp_path / "trunk", range(1, 61))
    decay = write_run(tmp_path / "decay", range(31, 51))
    (stage,) = read_back(tmp_path, [trunk, decay])
    steps = [metric.step for metric in stage.metrics if metric.loss is not None]
    assert steps == list(range(1, 51))
    assert [sample.step for sample in stage.samples] == [10, 20, 30, 40, 50]
    assert stage.metrics[-1].seconds == 50 * 100 / 50


def test_a_run_that_begins_with_the_weights_of_another_is_a_stage_of_its_own(tmp_path: Path):
    first = write_run(tmp_path / "first", range(1, 31), "finetune")
    again = write_run(tmp_path / "again", range(1, 21), "finetune")
    stages = read_back(tmp_path, [first, again])
    assert [(stage.name, stage.metrics[-1].step) for stage in stages] == [
        ("finetune", 30),
        ("finetune", 20),
    ]


def test_a_long_run_is_thinned_and_keeps_its_ends(tmp_path: Path):
    run = write_run(tmp_path / "run", range(1, 1001))
    (stage,) = read_back(tmp_path, [run])
    losses = [metric for metric in stage.metrics if metric.loss is not None]
    assert len(losses) <= LOSSES and losses[-1].step == 1000
    assert losses[0].loss == pytest.approx(10 - 3 / 100)  # the mean of steps 1 to 5
    assert len(stage.samples) == CHECKPOINTS_SHOWN
    assert (stage.samples[0].step, stage.samples[-1].step) == (10, 1000)


def test_no_history_is_no_error_and_a_broken_one_is_said(tmp_path: Path):
    assert read_history(tmp_path) == []
    for broken in ("{", "[]", '{"stages": [{"stage": "pretrain", "metrics": [{}]}]}'):
        (tmp_path / FILE).write_text(broken)
        with pytest.raises(UserError, match="damaged"):
            read_history(tmp_path)


STAGES = [
    Stage(
        "pretrain",
        [Metric(10, 1_000_000, 5.0, 6.0, {"base-book": 3.0}), Metric(20, 2_000_000, 9.0, 4.0, {})],
        [Sample(10, 1_000_000, [(MARKUP, f"{MARKUP}\n\nend")])],
    ),
    Stage("finetune", [Metric(5, 500_000, 3.0, 2.0, {"base-book": 2.5})], []),
]


def test_curves_go_on_from_stage_to_stage():
    first, second = loss_lines(STAGES, {"pretrain": "Pretraining"})
    assert first == Line("Pretraining", [(1.0, 6.0), (2.0, 4.0)])
    assert second == Line("finetune", [(2.5, 2.0)])
    assert validation_lines(STAGES) == [Line("book", [(1.0, 3.0), (2.5, 2.5)])]
    html = curves_html([Line(MARKUP, [(0, 1), (1, 0.5)])], MARKUP, MARKUP)
    assert html.count("<polyline") == 1 and "<img" not in html and "<b>0.50</b>" in html
    assert curves_html([], "nothing", "") == ""


@pytest.mark.parametrize("points", [[(0.0, 1.0)], [(1.0, 2.0), (2.0, 2.0)], [(0, 0.0), (1e6, 9e9)]])
def test_any_numbers_can_be_drawn(points: list[tuple[float, float]]):
    assert "nan" not in curves_html([Line("a", points)], "t", "y")


def test_a_moment_shows_prompt_text_and_figures_as_text():
    (moment,) = moments(STAGES)
    assert moment.bits_per_byte == 3.0
    html = moment_html(moment)
    assert "Pretraining · step 10 · 1,000,000 tokens read · 3.00 bits per byte" in html
    assert "<img" not in html and html.count("&lt;img") == 2


def test_the_report_card_says_in_words_what_was_measured():
    report = {
        "bits_per_byte.stories_public": 1.051,
        "squad_dev_public.answerable_questions": 130,
        "squad_dev_public.quote_holds_answer": 83.077,
        "squad_dev_public.unanswerable_questions": 170,
        "squad_dev_public.correct_refusals": 1.765,
        "new_set.figure": 7,
        "details": {"new_set.figure": {"n": 40, "of": "pairs", "how": MARKUP}},
        "baselines": {
            "trigrams": {
                "bits_per_byte.stories_public": 2.25,
                "squad_dev_public.answerable_questions": 130,
            }
        },
        "note": MARKUP,
    }
    fused = {"questions": 3019, "passages": 636, "summed": {"recall@5": 0.9447}}
    html = report_card_html(report, {"evaluation": {"SQuAD dev": fused}})
    assert "it needs 1.05 bits" in html
    assert "holds the answer for 108 (83%)" in html
    assert "it said so for 3 (2%)" in html
    assert "for 3,019 questions, it had the right passage among the first five for 94%" in html
    assert "<th>new_set.figure</th><td>7</td><td>40 pairs · &lt;img" in html
    assert "<th>trigrams</th>" in html and "<td>1.051</td><td>2.25</td>" in html
    assert html.count("squad_dev_public.answerable_questions") == 1  # no figure to compare
    assert "<img" not in html
    assert "Nothing was measured" in report_card_html({}, {})


def test_sources_are_listed_with_licence_and_share():
    lineage = {
        "mixture": {"pretrain": {"base-a_book": 3, "chat-b": 1}, "finetune": {"chat-b": 1}},
        "sources": {
            "base-a_book": {"licence": "CC0-1.0", "attribution": MARKUP},
            "chat-b": {"licence": "MIT"},
            "base-unused": {"licence": "X"},
        },
    }
    html = sources_read_html(lineage)
    assert "2 sources" in html and "a book" in html and "75.0%" in html and "CC0-1.0" in html
    assert (
        "unused" not in html and "<img" not in html and html.index("<b>b<") < html.index("a book")
    )
    assert "does not tell" in sources_read_html({})


def test_a_directory_of_others_says_that_it_has_no_records(tmp_path: Path):
    (tmp_path / "README.md").write_text(f"---\nlicense: mit\n---\n# A card {MARKUP}")
    (tmp_path / "report.json").write_text("{")
    files = read_files(Settings(model=str(tmp_path), library="unused"))
    assert "did not train" in introduction_html(files) and files.report == {} == files.lineage
    card = card_html(files.card)
    assert "# A card &lt;img" in card and "license:" not in card
    assert card_html("") == ""


def test_the_bundled_model_introduces_itself():
    html = introduction_html(read_files(Settings(library="unused")))
    assert "trained from an empty folder" in html and "parameters in" in html
