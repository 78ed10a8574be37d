"""The parts of the evaluation, each against cases whose result is known."""

import json
import math
import random
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mlx_toy.errors import UserError
from mlx_toy.grounding import ABSTAINED, Answer
from mlx_toy.scoring import with_start
from train import squad
from train.evaluation import copying, grammar, ngram, pictures, replies, verbatim
from train.evaluation.citations import four_passages
from train.evaluation.endings import ends_well, goes_in_circles
from train.evaluation.figure import mean, ratio, share
from train.evaluation.openings import Reply, openings
from train.evaluation.questions import ask, at_best, calibration_error, question_figures
from train.evaluation.text import bits_per_byte

REPOSITORY = Path(__file__).parent.parent
PASSAGE = "The town has a bridge. Its mill was built in Orrin in 1702. Fish is sold there."


@pytest.mark.parametrize(
    ("answer", "gold", "match", "overlap"),
    [
        ("the Main Building", ["Main Building"], 1.0, 1.0),
        ("Paris, France.", ["paris france"], 1.0, 1.0),
        ("in 1990", ["1990"], 0.0, 2 / 3),
        ("blue", ["red", "dark blue"], 0.0, 2 / 3),
        ("", ["x"], 0.0, 0.0),
        ("", [], 1.0, 1.0),
        ("a b b", ["b b c"], 0.0, 0.8),  # "a" is an article
        ("", ["The"], 1.0, 1.0),  # a gold answer of which nothing is left does not count
    ],
)
def test_squad_score_of_known_cases(answer, gold, match, overlap):
    assert squad.exact_match(answer, gold) == match
    assert squad.f1(answer, gold) == pytest.approx(overlap)


def test_standard_errors_are_those_of_the_textbook():
    assert share([True] * 3 + [False], "x", "").standard_error == pytest.approx(21.65, abs=0.01)
    assert mean([0.0, 1.0], "x", "").standard_error == pytest.approx(50)
    assert ratio([2, 2], [1, 1], "x", "").standard_error == 0
    assert ratio([1, 3], [1, 1], "x", "").value == 2
    assert ratio([1, 3], [1, 1], "x", "").standard_error == pytest.approx(1)
    assert share([], "x", "").value == 0
    assert share([False] * 500, "x", "").standard_error == pytest.approx(0.2, abs=0.01)


def test_texts_scored_together_have_the_nats_of_each_alone(tiny_engine):
    texts = ["a", "a token", "One model definition, shards in", "The chat format: " * 40]
    tokenizer, stops = tiny_engine.tokenizer, tiny_engine.stop_ids
    ids = [with_start(tokenizer, stops, text) for text in texts]
    together = [nats for nats, _ in tiny_engine.score(ids)]
    alone = [tiny_engine.score([text])[0][0] for text in ids]
    assert together == pytest.approx(alone, rel=1e-5)


def test_bits_per_byte_counts_bytes_not_characters():
    figure = bits_per_byte([math.log(2) * 4, math.log(2) * 4], ["éé", "abcd"])
    assert figure.value == 1 and figure.n == 2


def test_pairs_are_drawn_alike_from_each_paradigm():
    pairs = [{"uid": uid, "number": i} for uid in "ab" for i in range(9)]
    drawn = grammar.choose(pairs, 3)
    assert [pair["uid"] for pair in drawn] == ["a"] * 3 + ["b"] * 3
    assert drawn == grammar.choose(pairs, 3)
    assert grammar.choose(pairs, 100) == pairs


def test_question_figures_count_refusals_and_quotes():
    records = [{"answers": ["1702"]}, {"answers": ["Orrin"]}, {"answers": []}, {"answers": []}]
    quote = "It was built in 1702."
    found = Answer("1702 [1]", "1702", quote, False, [1])
    figures = question_figures(records, [found, ABSTAINED, ABSTAINED, found])
    values = {name.split(".")[1]: figure.value for name, figure in figures.items()}
    assert values == {
        "f1": 50,
        "exact_match": 50,
        "quote_holds_answer": 50,
        "false_refusals": 50,
        "correct_refusals": 50,
        "answerable_questions": 2,
        "unanswerable_questions": 2,
    }


def test_a_question_that_is_too_long_counts_as_not_answered(tiny_engine):
    fits, too_long = ("When?", ["It was 1702."]), ("why " * 400, ["It was 1702."])
    assert [a.abstained for a in ask(tiny_engine, [fits, too_long], "x")][1] is True
    with pytest.raises(UserError):
        ask(tiny_engine, [too_long], "x")


def test_confidence_is_judged_by_what_it_separates_and_by_its_calibration():
    sure = [(0.1, i % 10 == 0) for i in range(100)] + [(0.9, i % 10 > 0) for i in range(100)]
    assert at_best(sure).value == 90
    assert calibration_error(sure).value == pytest.approx(0, abs=1e-9)
    boastful = [(0.99, answered) for answered in (True, False) * 50]
    assert calibration_error(boastful).value == pytest.approx(49)
    records = [{"answers": ["1"]}, {"answers": []}]
    answers = [replace(ABSTAINED, confidence=value) for value in (0.8, 0.2)]
    figures = question_figures(records, answers)
    assert figures["squad_dev_public.correct_refusals_at_best"].value == 100
    assert figures["squad_dev_public.calibration_error"].parts.keys() == {"20.00", "80.00"}


def test_calibration_is_drawn_from_what_is_there():
    curve = [{"questions": 9, "predicted": 0.1 * i, "observed": 0.09 * i} for i in range(10)]
    fitted = {"supported": {"reliability": curve}, "correct": {"reliability": curve}}
    parts = {"20.00": {"value": 10.0, "standard_error": 3.0}}
    report = {"details": {"squad_dev_public.calibration_error": {"parts": parts}}}
    assert pictures.calibration({}, {}) is None
    assert len(pictures.calibration(report, fitted).axes[0].get_legend().get_texts()) == 3
    assert pictures.calibration(report, {}) and pictures.calibration({}, fitted)


def test_copying_takes_the_sentence_and_the_name_that_fit():
    question = "In which place was the mill built?"
    assert copying.first_sentence(question, PASSAGE) == "The town has a bridge."
    assert copying.nearest_sentence(question, PASSAGE) == "Its mill was built in Orrin in 1702."
    assert copying.longest_name(question, PASSAGE) == "Orrin"
    assert copying.longest_name("?", "nothing of the kind") == "nothing of the kind"


def test_distractors_are_of_the_same_article_and_hold_no_answer():
    records = [
        {"title": "t", "context": f"passage {i} about {w}", "question": f"about {w}", "answers": a}
        for i, (w, a) in enumerate(
            [("mills", ["mills"]), ("mills", ["1"]), ("cats", []), ("dogs", []), ("owls", [])]
        )
    ] + [{"title": "short", "context": "alone", "question": "?", "answers": ["alone"]}]
    chosen = list(four_passages(records, 10))
    assert len(chosen) == 2  # the short article has no distractors
    for record, passages in chosen:
        assert len(passages) == 4 and len(set(passages)) == 4
        assert [record["answers"][0] in passage for passage in passages].count(True) == 1
    assert len(list(four_passages(records, 1))) == 1


@pytest.mark.parametrize(
    ("text", "circles"),
    [
        ("the cat sat down and the cat sat down and then it left", False),
        ("the cat sat down, the cat sat down, The cat sat down", True),
        ("ha! ha! ha! ha! ha! ha!", True),
        ("short", False),
        ("", False),
    ],
)
def test_a_reply_that_repeats_itself_is_noticed(text, circles):
    assert goes_in_circles(text) is circles
    assert ends_well(Reply(text, True)) is not circles
    assert not ends_well(Reply(text, False))


def test_a_sequence_is_found_wherever_it_stands_and_only_there(monkeypatch):
    monkeypatch.setattr(verbatim, "_PIECE", 1000)  # so that sequences lie across its border
    dice = np.random.default_rng(0)
    shard = dice.integers(0, 4096, 5000).astype("<u2")
    there = [shard[at : at + 48].tolist() for at in (0, 970, 999, 4952)]
    nearly = [*shard[100:147].tolist(), (int(shard[147]) + 1) % 4096]
    twice = there[1]
    wanted = [*there, nearly, twice, shard[2000:2032].tolist(), [7] * 48]
    assert verbatim.find(wanted, [shard]) == [True] * 4 + [False, True, True, False]
    assert verbatim.find([there[3]], [shard[:10], shard]) == [True]
    assert verbatim.find([], [shard]) == []
    with pytest.raises(ValueError, match="32 tokens"):
        verbatim.find([[1] * 31], [shard])


def test_ngram_probabilities_sum_to_one_and_follow_the_counts():
    dice = np.random.default_rng(0)
    tokens = dice.integers(0, 6, 2000)
    model = ngram.NGramModel(tokens, vocab_size=8, order=3)
    for context in ([1, 2], [5, 5], [7, 7], [3]):  # 7 was never seen
        after = [model.probabilities(np.array([*context, word]))[-1] for word in range(8)]
        assert sum(after) == pytest.approx(1) and min(after) > 0


def test_ngram_model_prefers_what_it_has_read():
    text = [0, 1, 2, 3, 4, 5] * 50
    model = ngram.NGramModel(np.array(text), vocab_size=10)
    read, other = model.nats([[0, 1, 2, 3, 4], [0, 4, 2, 1, 3]])
    assert read < other
    assert model.nats([[3]]) == [0.0]


def test_ngram_model_is_kneser_ney_as_written_down():
    tokens = np.random.default_rng(1).zipf(1.5, 400) % 7
    pairs = list(zip(tokens.tolist(), tokens[1:].tolist(), strict=False))
    before = Counter(second for _, second in set(pairs))  # different tokens that stand before
    model = ngram.NGramModel(tokens, vocab_size=9, order=2)
    for context in range(9):
        after = Counter(second for first, second in pairs if first == context)
        for word in range(9):
            chance = _interpolated(before, before, word, 1 / 9)
            wanted = _interpolated(after, Counter(pairs), word, chance)
            assert model.probabilities(np.array([context, word]))[0] == pytest.approx(wanted)


def _interpolated(counts: Counter, order: Counter, word: int, shorter: float) -> float:
    """Equation 20 of Chen and Goodman 1998, with the discounts of all n-grams of the order."""
    if not counts:
        return shorter
    n = [max(1, list(order.values()).count(k)) for k in (1, 2, 3, 4)]
    rate = n[0] / (n[0] + 2 * n[1])
    discounts = [0] + [k - (k + 1) * rate * n[k] / n[k - 1] for k in (1, 2, 3)]
    taken = [max(0.1, discounts[min(count, 3)]) for count in counts.values()]
    kept = counts[word] and counts[word] - max(0.1, discounts[min(counts[word], 3)])
    return (kept + sum(taken) * shorter) / sum(counts.values())


def test_openings_are_sixty_and_nothing_like_them_is_in_the_dialogues_that_the_model_reads():
    chosen = openings()
    kinds = ("greeting", "identity", "small talk", "request", "follow-up")
    assert [sum(o.kind == kind for o in chosen) for kind in kinds] == [12] * 5
    assert all(len(o.turns) == (2 if o.kind == "follow-up" else 1) for o in chosen)
    asked = [_words(turn) for opening in chosen for turn in opening.turns]
    for file in (REPOSITORY / "corpus" / "dialogues").glob("*.jsonl"):
        for line in file.read_text(encoding="utf-8").splitlines():
            for message in json.loads(line)["messages"]:
                read = _words(message["content"])
                if message["role"] == "user":
                    assert not [a for a in asked if len(a & read) >= 0.75 * len(a | read)], line


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.lower()))


def test_page_of_replies_keeps_verdicts_of_replies_that_are_the_same(tmp_path):
    page, chosen = tmp_path / "replies.md", openings()
    said = [[Reply(f"<b>{i} | yes", True)] * len(o.turns) for i, o in enumerate(chosen)]
    replies.write_page(page, "tiny", chosen, said)
    assert page.read_text().count("\n| ") == 61
    page.write_text(re.sub(r"\|  \|$", "| yes |", page.read_text(), flags=re.MULTILINE))
    assert [verdict for _, verdict in replies.read_verdicts(page)] == ["yes"] * 60
    said[3] = [Reply("something else", True)]
    replies.write_page(page, "tiny", chosen, said)
    assert [verdict for _, verdict in replies.read_verdicts(page)].count("yes") == 59
    assert "<b>" not in page.read_text()


def test_verdicts_are_counted_once_all_are_there(tmp_path):
    page, chosen = tmp_path / "replies.md", openings()
    said = [[Reply(f"reply {i}", True)] * len(o.turns) for i, o in enumerate(chosen)]
    assert replies.verdict_figures(page) == {}
    replies.write_page(page, "tiny", chosen, said)
    assert replies.verdict_figures(page) == {}
    dice = random.Random(0)
    verdicts = iter(dice.sample(["yes"] * 45 + ["no"] * 15, 60))
    text = re.sub(r"\|  \|$", lambda _: f"| {next(verdicts)} |", page.read_text(), flags=re.M)
    page.write_text(text)
    assert replies.verdict_figures(page)[replies.FLUENT].value == 75
    page.write_text(text.replace("| no |", "| perhaps |", 1))
    with pytest.raises(UserError, match="yes or no"):
        replies.verdict_figures(page)
