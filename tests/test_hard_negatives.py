"""Hard negatives look right by their words, and never answer the query."""

import numpy as np

from mlx_toy.bag import Features
from mlx_toy.loaded_model import BUNDLED
from mlx_toy.tokenizer import Tokenizer
from train.embedder_data import draw, to_pairs
from train.hard_negatives import mine
from train.retrieval_data import Passage

FILLER = [Passage(f"Nothing of this is told here, in text {number}.", []) for number in range(60)]


def test_hard_negatives_are_like_the_query_and_do_not_hold_the_answer():
    passages = [
        Passage("The fox lived in Paris.", ["Where did the red fox live?"], [["Paris"]]),
        Passage("A red fox is seen in London.", []),
        Passage("The red fox moved to paris again.", []),
        *FILLER,
    ]
    assert mine(passages, count=4, depth=10)[0].tolist() == [1]


def test_a_passage_with_the_same_query_is_no_negative():
    gloss = "a small red fox of the north"
    passages = [Passage("Red fox, one.", [gloss]), Passage("Red fox, two.", [gloss]), *FILLER]
    assert [found.tolist() for found in mine(passages, count=4, depth=10)] == [[], []]


def test_a_batch_holds_each_passage_once_and_the_right_ones_first():
    tokenizer = Tokenizer.load(BUNDLED)
    features = Features(tokenizer, ["hill", "fox"])
    names = ["fox", "owl", "crow", "bear", "wolf", "hare"]
    groups = {
        name: [
            Passage(f"The {name} of the hill {n}.", [f"Which {name} of hill {n}?"])
            for n in range(3)
        ]
        for name in names
    } | {"filler": FILLER}
    pairs = to_pairs("qa/squad_train", groups, features)
    assert any(len(found) for found in pairs.hard)
    for seed in range(5):
        batch = draw(pairs, size=8, group=2, random=np.random.default_rng(seed))
        assert len(batch.passages) >= len(batch.queries) > 0
        assert len({passage[0].tobytes() for passage in batch.passages}) == len(batch.passages)
        for query, passage in zip(batch.queries, batch.passages, strict=False):
            assert len(np.intersect1d(query[0], passage[0])) >= 3  # the animal and its number
