"""Which words of passages answer: the bundled reader, any text, and training on made-up data."""

import argparse
import json
import random
from dataclasses import replace
from itertools import pairwise

from mlx_toy.backend import mx

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from retrieval_fixtures import write_data, write_everyday

from mlx_toy.choices import CHOICES, likely_first, likely_regions
from mlx_toy.embedder import BUNDLED as EMBEDDER
from mlx_toy.embedder import load_embedder
from mlx_toy.errors import UserError
from mlx_toy.evidence import rank_sentences
from mlx_toy.gists import GIST, gists
from mlx_toy.lexicon import Lexicon
from mlx_toy.reader import (
    BUNDLED,
    CONFIG,
    KEPT,
    REMEMBERED,
    WEIGHTS,
    bundled_reader,
    load_reader,
)
from mlx_toy.reader_input import to_batch
from mlx_toy.reader_network import ReaderConfig, network
from mlx_toy.sentences import split_sentences
from train import reader as command
from train.everyday import read_everyday
from train.gist_fit import gap, imitate
from train.gist_targets import GistTargets, texts_of
from train.reader import begin, train
from train.reader_data import (
    SOURCES,
    Examples,
    Question,
    batches,
    everyday_questions,
    places_of,
    read_questions,
)
from train.reader_fit import loss_of, targets
from train.reader_recipe import Recipe
from train.retrieval_data import is_held_out, sources
from train.spoilt import Article, spoil
from train.teacher import Teacher
from train.twins import FILE, read_twins

STORY = (
    "In 1874 the keeper Ada Moor lit the lamp. It burned oil from whales. The tower is 31 m high."
)
OTHER = "The ferry to the island leaves at noon, and the crossing takes two hours."


def best(question, passages=(STORY,), reader=None):
    span = (reader or bundled_reader())(question, passages)[0]
    return passages[span.passage][span.start : span.end]


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("When was the lamp lit?", "1874"),
        ("Who lit the lamp?", "Ada Moor"),
        ("How high is the tower?", "31 m"),
        ("How long does the crossing take?", "two hours"),
    ],
)
def test_the_bundled_reader_finds_what_was_asked_for(question, expected):
    said = best(question, [OTHER, STORY])
    assert expected in said or said in expected


def test_an_answer_is_likelier_where_there_is_one():
    (answered, *_), (missed, *_) = (
        bundled_reader()("Who lit the lamp?", [text]) for text in (STORY, OTHER)
    )
    assert answered.odds > missed.odds


@settings(max_examples=40, deadline=None)
@given(
    question=st.text(max_size=40),
    texts=st.lists(st.text(max_size=80) | st.just("Årsta é\n\nb. " * 9), max_size=3),
    above=st.text(max_size=30),
)
def test_spans_of_any_text_lie_in_one_sentence_and_have_probabilities(question, texts, above):
    found = bundled_reader()(question, texts, [above] * len(texts))
    assert len(found) <= KEPT
    assert found == sorted(found, key=lambda span: -span.odds)
    for span in found:
        said = texts[span.passage][span.start : span.end]
        assert said and said.strip() == said
        sentences = split_sentences(texts[span.passage])
        assert any(start <= span.start and span.end <= end for start, end in sentences)
    assert sum(np.exp(span.logprob) for span in found) <= 1 + 1e-4


def test_a_passage_is_read_alike_beside_a_longer_one():
    alone = bundled_reader()("Who lit the lamp?", [STORY])[0]
    together = bundled_reader()("Who lit the lamp?", [STORY, OTHER * 5])
    same = next(s for s in together if (s.passage, s.start, s.end) == (0, alone.start, alone.end))
    assert same.odds == pytest.approx(alone.odds, abs=1e-3)


def test_a_heading_is_read_with_the_text_below_it_and_never_an_answer():
    text = "It takes forty minutes. Bicycles are carried for two crowns."
    other = "It takes an hour. Dogs are carried for three crowns."
    headings = ["Ferry to Alm", "Ferry to Brenn"]
    for number, expected in ((0, "forty minutes"), (1, "an hour")):
        found = bundled_reader()(f"How long is the {headings[number]}?", [text, other], headings)
        span = found[0]
        assert span.passage == number
        assert [text, other][number][span.start : span.end] in (expected, f"takes {expected}")
        assert all(0 <= s.start < s.end <= len([text, other][s.passage]) for s in found)


def test_an_answer_is_found_at_the_end_of_a_long_text():
    text = f"{OTHER} " * 200 + STORY
    span = bundled_reader()("Who lit the lamp?", [text])[0]
    assert text[span.start : span.end] in ("Ada Moor", "the keeper Ada Moor")


def test_the_model_may_copy_the_likeliest_spans_alone():
    passages = ["Nothing here.", STORY.replace(" ", "\n")]
    found = bundled_reader()("Who lit the lamp?", passages)
    ranked = likely_first(rank_sentences("tower", passages), found)
    assert ranked[0].start <= found[0].start < ranked[0].end
    assert sorted(s.text for s in ranked) == sorted(
        s.text for s in rank_sentences("x", passages)
    )  # none is lost
    regions = likely_regions(found, ranked, passages)
    choices = [(region, choice) for region in regions for choice in region.choices]
    assert 1 <= len(choices) <= CHOICES
    for region, choice in choices:
        start, end = region.offsets[choice.start], region.offsets[choice.end - 1] + 1
        said = passages[region.number - 1][start:end]
        assert said.split() == region.text[choice.start : choice.end].split()
    assert likely_regions([], ranked, passages) == []


@settings(max_examples=60, deadline=None)
@given(text=st.text(max_size=60) | st.text("aé\n .ﬁ漢", max_size=30))
def test_tokens_stand_where_they_are_said_to(text):
    lexicon = Lexicon()
    rows, offsets = lexicon.located(text, 50)
    assert len(rows) == len(offsets) >= 1
    for (start, end), (following, _) in pairwise(offsets):
        assert 0 <= start < end <= following
    if text.isascii():
        assert rows.tolist() == Lexicon().rows(text, 50).tolist()


# --- training -------------------------------------------------------------------------------------


def world(count=150):
    """Each town has a mayor, a founder and a year, in sentences of one form."""
    return [
        {
            "title": f"Town {i}",
            "context": f"The town of Alm{i} was founded in {1500 + i} by Ida Berg{i}. "
            f"Its mayor today is Bo Strand{i}.",
            "question": question,
            "answers": [answer],
            "query": "q",
            "passage": "p",
            "id": f"made/{i}",
        }
        for i in range(count)
        for question, answer in (
            (f"Who is the mayor of Alm{i}?", f"Bo Strand{i}"),
            (f"Who founded Alm{i}?", f"Ida Berg{i}"),
            (f"When was Alm{i} founded?", str(1500 + i)),
        )
    ]


def test_training_learns_a_made_up_world_and_writes_what_loads(tmp_path):
    data = write_data(tmp_path / "data", world(), [s.file for s in sources(SOURCES)])
    trained, held_out = read_questions(data, write_everyday(tmp_path))
    recipe = Recipe(epochs=8, batch=16, rate=5e-3, warmup=20)
    out, sizes = tmp_path / "out", ReaderConfig(dimensions=16, width=32)
    begun = begin(None, trained, recipe, sizes)
    figures = train(begun, trained[:300], held_out, recipe, out)
    assert figures["exact_match"] > 80
    assert json.loads((out / "report.json").read_text())["held_out"] == figures
    assert "CC-BY-SA" in (out / "README.md").read_text().upper().replace(" ", "-")
    text = world(1)[0]["context"].replace("0", "999")
    assert best("Who is the mayor of Alm999?", [text], load_reader(out)) == "Bo Strand999"


def test_the_command_trains_and_says_the_figures(tmp_path, capsys):
    data = write_data(tmp_path / "data", world(40), [s.file for s in sources(SOURCES)])
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    flags = ["--data", str(data), "--everyday", str(write_everyday(tmp_path))]
    out = ["--out", str(tmp_path / "out"), "--questions", "20", "--epochs", "1"]
    command.run(parser.parse_args([*flags, *out]))
    figures = json.loads(capsys.readouterr().out)
    assert figures["questions"] > 0 and figures["everyday"] == 2
    first = load_reader(tmp_path / "out")
    more = ["--init", str(tmp_path / "out"), "--epochs", "1", "--out", str(tmp_path / "more")]
    command.run(parser.parse_args([*flags, *more]))
    further = load_reader(tmp_path / "more")
    assert np.array_equal(first.rarity, further.rarity)  # it went on from the first
    assert first("Who?", [STORY]) != further("Who?", [STORY])
    mean = ["--kept", "0.999", *more[:-1], str(tmp_path / "mean")]
    command.run(parser.parse_args([*flags, *mean]))
    near = load_reader(tmp_path / "mean")("Who?", [STORY])[0].odds
    assert abs(near - first("Who?", [STORY])[0].odds) < 0.1
    assert "--kept 0.999" in (tmp_path / "mean" / "README.md").read_text()
    for wrong in (["--kept", "0.5", *out], ["--kept", "1", *more]):
        with pytest.raises(UserError, match="--kept"):
            command.run(parser.parse_args([*flags, *wrong]))


def test_the_command_learns_from_a_teacher_and_goes_on_without_it(tmp_path):
    data = write_data(tmp_path / "data", world(20), [s.file for s in sources(SOURCES)])
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    flags = ["--data", str(data), "--everyday", str(write_everyday(tmp_path)), "--epochs", "1"]
    out, more = tmp_path / "out", tmp_path / "more"
    command.run(
        parser.parse_args(
            [*flags, "--out", str(out), "--teacher", str(EMBEDDER), "--gist-steps", "3"]
        )
    )
    recipe = json.loads((out / "report.json").read_text())["recipe"]
    assert recipe["teacher"] == "embedder" and recipe["gist_steps"] == 3
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == [
        *("data", "out", "out.teacher")
    ]
    assert "--teacher DIR --gist-steps 3" in (out / "README.md").read_text()
    command.run(parser.parse_args([*flags, "--init", str(out), "--out", str(more)]))
    assert "imitate those of embedder" in (more / "README.md").read_text()
    assert "--teacher" not in (more / "README.md").read_text()
    for wrong in (["--gist-steps", "3"], ["--teacher-vectors", str(tmp_path)]):
        with pytest.raises(UserError, match="pass --teacher"):
            command.run(parser.parse_args([*flags, "--out", str(more), *wrong]))


def test_everyday_questions_are_held_out_by_document_and_have_their_headings():
    ours = list(read_everyday())
    assert len(ours) > 5_000 and 0.1 < np.mean([one.held_out for one in ours]) < 0.15
    held_out = {one.document: one.held_out for one in ours}
    assert all(held_out[one.document] == one.held_out for one in ours)
    assert 900 < len(held_out) < len({one.text for one in ours})
    for one in ours:
        inside = one.answer and one.text.index(one.answer)
        assert (
            not one.answer
            or any(
                start <= inside and inside + len(one.answer) <= end
                for start, end in split_sentences(one.text)
            )
            or one.text.count(one.answer) > 1
        )
    whole = [one for one in ours if one.document == ours[-1].document]
    beside = {one.text for one in whole}
    near = [q for q in everyday_questions([*ours[:30], *whole]) if q.passage in beside]
    of_document = [bool(beside & set(q.near_misses)) for q in near if q.answers]
    assert np.mean(of_document) > 0.5  # the others have answers that stand in all passages
    questions = everyday_questions(ours[:30])
    assert all(question.is_everyday and question.heading for question in questions)
    for question in questions:
        assert question.passage not in question.near_misses
        assert not (question.near_misses and not question.answers)


def test_questions_are_held_out_by_article_and_near_misses_lack_the_answer(tmp_path):
    one = {"query": "q", "passage": "p", "id": "x", "title": "A"}
    records = [
        {**one, "context": STORY, "question": "Who lit the lamp?", "answers": ["Ada Moor"]},
        {**one, "context": "The lamp is new. Ada Moor.", "question": "Is it?", "answers": ["new"]},
        {**one, "context": "A lamp.", "question": "What lamp?", "answers": ["A lamp"]},
    ]
    data = write_data(tmp_path / "data", records, [s.file for s in sources(SOURCES)])
    trained, held_out = read_questions(data, write_everyday(tmp_path))
    questions = held_out if is_held_out("A") else trained
    assert (not trained) == is_held_out("A")
    for question in questions:
        assert question.passage not in question.near_misses
        for passage in question.near_misses:
            assert not any(answer.lower() in passage.lower() for answer in question.answers)


def test_twins_are_asked_of_the_passages_of_the_data(tmp_path):
    file = tmp_path / "twins.jsonl"
    start = STORY.index("Ada Moor")
    place = [start, start + len("Ada Moor")]
    asked = [("t/1", "x", "Who lit it?", place), ("t/2", "x", "Who built it?", None)]
    lines = [dict(zip(("id", "of", "question", "answer"), one, strict=True)) for one in asked]
    lines.append({"id": "t/3", "of": "not in the data", "question": "?", "answer": None})
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    known = {"title": "A", "context": STORY, "question": "q", "answers": ["31 m"], "id": "x"}
    twins = read_twins([known], file)
    assert [twin["question"] for twin in twins] == ["Who lit it?", "Who built it?"]
    assert [twin["answers"] for twin in twins] == [["Ada Moor"], []]
    assert {twin["context"] for twin in twins} == {STORY}


def test_our_twins_come_in_pairs_and_no_question_twice():
    twins = [json.loads(line) for line in FILE.read_text(encoding="utf-8").splitlines()]
    assert len(twins) > 1_000
    assert all(list(twin) == ["id", "of", "question", "answer"] for twin in twins)
    assert len({twin["id"] for twin in twins}) == len(twins)
    assert len({(twin["of"], twin["question"]) for twin in twins}) == len(twins)
    assert all(
        a["answer"] and not b["answer"] for a, b in zip(twins[::2], twins[1::2], strict=True)
    )
    assert all(a["of"] == b["of"] for a, b in zip(twins[::2], twins[1::2], strict=True))


def test_an_epoch_asks_twins_as_often_as_told_and_keeps_the_passages_of_a_question_together():
    answered = Question("A", "Who lit the lamp?", STORY, ("Ada Moor",), (OTHER,))
    twin = Question("A", "Who painted the lamp?", STORY, (), is_twin=True)
    vocabulary = bundled_reader().vocabulary
    examples = Examples([answered, twin], vocabulary)
    groups = list(examples.drawn(1.0, 0.0, 3, random.Random(0)))
    assert sorted(map(len, groups)) == [1, 1, 1, 2]
    batch, *more = batches(iter(groups), 9, vocabulary, random.Random(0))
    places, numbers = batch.places, batch.groups
    assert not more and len(places) == 5 and batch.gist_targets is None
    pair = next(number for number in numbers.tolist() if numbers.tolist().count(number) == 2)
    first, second = np.flatnonzero(numbers == pair)
    assert len(places[first]) and not len(places[second])


def test_a_near_miss_costs_more_in_one_group_with_the_answer_than_apart():
    reader = bundled_reader()
    question = Question("A", "Who lit the lamp?", STORY, ("Ada Moor",), (OTHER,))
    examples = Examples([question], reader.vocabulary)
    group = [examples.answered(question), examples.unanswered(question, OTHER)]
    (batch,) = batches(iter([group]), 2, reader.vocabulary, random.Random(0))
    recipe = Recipe(dropped=0.0, shared=1.0)
    together = loss_of(reader.weights, batch, recipe)
    apart = loss_of(reader.weights, replace(batch, groups=np.array([0, 1])), recipe)
    assert together.item() > apart.item()


def targets_of(texts, directory):
    """The bundled retriever as a teacher of these texts."""
    teacher = Teacher(load_embedder(None), directory)
    teacher.read(texts)
    return GistTargets(teacher, texts, bundled_reader().config.gist)


def batch_of(examples):
    """One batch of some examples, each a group of its own."""
    vocabulary = bundled_reader().vocabulary
    (batch,) = batches(
        iter([[example] for example in examples]), len(examples), vocabulary, random.Random(0)
    )
    return batch


MANY = f"{STORY} {OTHER} {OTHER}"  # five sentences, STORY has three
ASKED = [Question("A", "Who lit the lamp?", STORY, ()), Question("B", "When?", MANY, ())]


def taught(directory, asked=ASKED):
    """Examples of questions that a teacher knows."""
    known = targets_of(texts_of((one.text, (one.passage,)) for one in asked), directory)
    examples = Examples(asked, bundled_reader().vocabulary, known)
    return examples, [examples.unanswered(one, one.passage) for one in asked]


def test_gists_come_nearer_to_a_teacher_and_nothing_else_changes(tmp_path):
    examples, pairs = taught(tmp_path)
    weights, batch = bundled_reader().weights, batch_of(pairs)
    assert sorted(len(one.gist_targets) for one in pairs) == [1 + 3, 1 + 5]

    def gap_of(weights):
        return gap(*gists(weights, batch.pairs), batch.gist_targets, batch.groups).item()

    recipe = Recipe(batch=2, dropped=0.0, gist_rate=2e-3, gist_steps=30)
    learned = imitate(weights, examples, recipe, random.Random(0))
    assert gap_of(learned) < 0.8 * gap_of(weights)
    for name, weight in weights.items():
        assert np.array_equal(weight, learned[name]) != name.startswith(GIST)
    with_it, without = (
        loss_of(weights, batch, Recipe(dropped=0.0, gist_weight=weight)).item()
        for weight in (2.0, 0.0)
    )
    assert with_it == pytest.approx(without + 2 * gap_of(weights), rel=1e-4)


def test_a_teacher_has_the_same_axes_whichever_questions_are_drawn(tmp_path):
    many = [f"Ship {number} sailed in {1700 + number}." for number in range(300)]
    first = targets_of([*many, STORY], tmp_path)
    again = targets_of([*many[200:], STORY, OTHER], tmp_path)
    assert np.array_equal(first.of(STORY, [many[250]]), again.of(STORY, [many[250]]))
    assert again.of(many[0], [STORY]) is None


def test_gaps_are_none_for_the_teacher_itself_and_of_what_is_read_alone(tmp_path):
    cut = Question("A", "Who lit the lamp?", f"{STORY} " * 60, ())
    _, (short, long) = taught(tmp_path, [ASKED[0], cut])
    assert len(long.gist_targets) - 1 == long.pair.sentences.max() + 1 < 180  # it was cut
    batch = batch_of([short, long])
    asked, said = batch.gist_targets[:, 0], batch.gist_targets[:, 1:]
    assert gap(mx.array(asked), mx.array(said), batch.gist_targets, batch.groups).item() < 1e-3
    row = int(np.argmin(np.abs(said).sum((1, 2))))  # the short one
    other = said.copy()
    other[row, 3:] = np.roll(said[1 - row, 3:], 1, axis=-1)  # of sentences that it has not
    assert gap(mx.array(asked), mx.array(other), batch.gist_targets, batch.groups).item() < 1e-3
    other[row, 0] = -other[row, 0]
    assert gap(mx.array(asked), mx.array(other), batch.gist_targets, batch.groups).item() > 0.01
    empty = gap(mx.array(asked), mx.array(said), 0 * batch.gist_targets, batch.groups)
    assert empty.item() == 0


def test_imitating_asks_for_questions_that_the_teacher_knows(tmp_path):
    lost = Question("A", "Who lit the lamp?", STORY, ("Carl",))
    known = targets_of(texts_of([(lost.text, (STORY,))]), tmp_path)
    for questions in ([lost], [Question("A", "Who else?", STORY, ("Ada Moor",))]):
        examples = Examples(questions, bundled_reader().vocabulary, known)
        with pytest.raises(UserError, match="whole pack"):
            imitate(bundled_reader().weights, examples, Recipe(gist_steps=2), random.Random(0))


def test_gists_are_unit_vectors_and_what_a_passage_has_not_is_zero():
    reader = bundled_reader()
    examples = Examples([], reader.vocabulary)
    short, long = (examples.unanswered(ASKED[0], text, "Lights of Alm") for text in (STORY, MANY))
    alone, together = (
        to_batch([example.pair for example in some], reader.vocabulary)
        for some in ([short], [short, long])
    )
    asked, said = gists(reader.weights, together)
    lengths = np.linalg.norm(np.array(said), axis=-1)
    assert lengths == pytest.approx(np.array([[1, 1, 1, 0, 0], [1] * 5]), abs=1e-3)
    single, sentences = gists(reader.weights, alone)
    assert np.allclose(asked[0], single[0], atol=1e-4)
    assert np.allclose(said[0, :3], sentences[0], atol=1e-4)
    both, one = network(reader.weights, together), network(reader.weights, alone)
    count = one.start.shape[1]
    assert np.allclose(both.start[0, :count], one.start[0], atol=1e-3)
    assert np.allclose(both.none[0], one.none[0], atol=1e-3)


def test_the_sentence_that_means_what_is_asked_has_the_nearest_gist():
    reader = bundled_reader()
    text = (
        "Breakfast is served from seven. Dogs must stay on a lead in the garden. "
        "Guests may leave their cars behind the house for six euros a night."
    )
    examples = Examples([], reader.vocabulary)
    for question, right in (
        ("What does it cost to park a vehicle?", 2),
        ("When can I eat in the morning?", 0),
    ):
        example = examples.unanswered(Question("A", question, text, ()), text)
        asked, said = gists(reader.weights, to_batch([example.pair], reader.vocabulary))
        assert int((said[0] @ asked[0]).argmax()) == right


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        (["Ada Moor"], ["Ada Moor"]),
        (["ada moor"], ["Ada Moor"]),
        (["31 m", "31"], ["31", "31 m"]),
        (["the"], ["the", "the", "The"]),
        (["oor"], []),  # within a word
        (["", "Berlin"], []),
    ],
)
def test_answers_are_found_wherever_they_stand(answers, expected):
    text = bundled_reader().vocabulary.read(STORY, 100)
    places = places_of(answers, STORY, text)
    said = [STORY[text.offsets[first, 0] : text.offsets[last, 1]] for first, last in places]
    assert sorted(said) == sorted(expected)


def test_what_is_padded_has_no_say():
    reader = bundled_reader()
    asked = "Who lit the lamp?"
    example = Examples([Question("A", asked, STORY, ("Ada Moor",))], reader.vocabulary)
    short = example.answered(example.questions[0])
    long = Examples([Question("A", asked, STORY * 3, ("Ada Moor",))], reader.vocabulary)
    other = long.answered(long.questions[0])
    batch, *_ = batches(iter([[short], [other]]), 2, reader.vocabulary, random.Random(0))
    both, places = batch.pairs, batch.places
    alone = to_batch([short.pair], reader.vocabulary)
    row = int(both.passage_mask[0].sum() > both.passage_mask[1].sum())
    pairs = zip(network(reader.weights, both)[:3], network(reader.weights, alone)[:3], strict=True)
    for scores, single in pairs:
        count = single.shape[1]
        assert np.allclose(np.array(scores)[row, :count], np.array(single)[0], atol=1e-3)
    wanted = targets(both, places)
    assert wanted[:, row].sum() == 2 and not wanted[:, :, -1].any()


@pytest.mark.parametrize("seed", range(8))
def test_a_spoilt_question_asks_for_what_the_passage_lacks(seed):
    questions = [
        Question("A", "Who lit the lamp in 1874?", STORY, ("Ada Moor",)),
        Question("A", "When did Carl Ness sail the ferry in 1901?", OTHER, ("noon",)),
        Question("A", "Which storm did Ivo Brand survive?", "Ivo Brand was 60 in 1920.", ("x",)),
    ]
    question = questions[0]
    spoilt = spoil(question.text, question.passage, Article.of(questions), random.Random(seed))
    assert spoilt is not None and spoilt != question.text
    changed = set(spoilt.split()) - set(question.text.split())
    assert changed and not any(word.strip("?") in STORY.split() for word in changed)


@pytest.mark.parametrize("broken", ["nothing", "weights", "config"])
def test_a_broken_reader_gives_one_sentence(tmp_path, broken):
    if broken != "nothing":
        (tmp_path / WEIGHTS).write_bytes(b"no weights")
        kind = "mlx_toy_reader" if broken == "weights" else "another"
        (tmp_path / CONFIG).write_text(json.dumps({"model_type": kind}))
    with pytest.raises(UserError, match="copy it or train it again"):
        load_reader(tmp_path)


def nearest(question: str, text: str) -> float:
    """What the features say of the question's words anywhere in the text."""
    vocabulary = bundled_reader().vocabulary
    asked = vocabulary.read(question, 40)
    pair = vocabulary.pair(question, asked, vocabulary.read(text, 400))
    return float(pair.passage_features[0, -1])


def test_a_word_that_means_the_same_counts_as_near():
    question = "Where can I buy a bicycle?"
    same = nearest(question, "We sell the bicycle that you can buy.")
    alike = nearest(question, "The shop sells bikes in the yard.")
    other = nearest(question, "The choir sings on the hill at dawn.")
    assert other < alike - 0.1 < same


def test_another_number_does_not_count_as_near():
    question = "What does part 48213 cost?"
    same = nearest(question, "Part 48213 costs 9 euros.")
    assert same > nearest(question, "Part 41283 costs 9 euros.") + 0.2


def test_a_question_read_again_gives_the_same_odds_however_full_the_memory_is():
    reader = load_reader(BUNDLED)
    passages = [STORY, "The ferry leaves at noon.", "It was tall, white and old, and stood alone."]
    for number in range(REMEMBERED - 1):
        reader.readings(f"What is {number}?", ["A filler."])
    first = reader.readings("Who lit the lamp?", passages)
    assert first == reader.readings("Who lit the lamp?", passages)
