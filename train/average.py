"""One model from several that were fine-tuned from the same base: the mean of their weights.

    python -m train average --models A B --shares 0.7 0.3 --out DIR

Fine-tunings of one base lie so near each other that the mean of their weights often does better on
what none of them has read than each alone, at no cost when it is used ("model soups": Wortsman et
al. 2022, arXiv:2203.05482).
"""

import argparse
import json
import math
from collections.abc import Sequence
from pathlib import Path

from mlx_toy.backend import mx

from mlx_toy import model_directory, training_history
from mlx_toy.errors import UserError
from mlx_toy.model import ModelArgs
from mlx_toy.tokenizer import Tokenizer
from train import from_model
from train.from_model import LINEAGE_FILE


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of the command."""
    parser.add_argument("--models", type=Path, nargs="+", required=True, metavar="DIR")
    parser.add_argument(
        "--shares", type=float, nargs="+", help="of each in the mean (default: equal ones)"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="to write")


def run(options: argparse.Namespace) -> None:
    """Write the mean of some models."""
    equal = [1 / len(options.models)] * len(options.models)
    average(options.models, options.shares or equal, options.out)
    print(f"model directory {options.out}")


def average(models: Sequence[Path], shares: Sequence[float], out: Path) -> None:
    """Write the mean of some models as a model directory.

    Its lineage has the stages of the first, then those of the others that the first has not; its
    mixture and the story of its training are the first's.

    Args:
        models: directories of ours, of one architecture and tokenizer.
        shares: of each, in sum 1.
        out: the model directory; one that exists is replaced.

    Raises:
        UserError: one is broken or of another kind, or the shares are no shares.
    """
    if len(shares) != len(models) or min(shares) <= 0 or not math.isclose(sum(shares), 1):
        raise UserError(f"{len(models)} models need as many shares above 0 with the sum 1")
    found = [from_model.load(path) for path in models]
    for path, other in zip(models[1:], found[1:], strict=True):
        for fact in ("model", "tokenizer_sha256"):
            if other.facts[fact] != found[0].facts[fact]:
                raise UserError(
                    f"{path} has another architecture or tokenizer than {models[0]}: "
                    "average models of one base"
                )
    weights = {
        name: sum(
            (share * one.weights[name] for share, one in zip(shares, found, strict=True)),
            start=mx.zeros_like(array),
        )
        for name, array in found[0].weights.items()
    }
    lineages = [json.loads((path / LINEAGE_FILE).read_text(encoding="utf-8")) for path in models]
    stages = list(lineages[0]["stages"])
    for lineage in lineages[1:]:
        stages += [stage for stage in lineage["stages"] if stage not in stages]
    sources = {name: of for one in reversed(lineages) for name, of in one["sources"].items()}
    averaged = [
        {"share": share, "tokens": one["stages"][-1]["tokens"]}
        for share, one in zip(shares, lineages, strict=True)
    ]
    lineage = {**lineages[0], "stages": stages, "sources": sources, "averaged": averaged}
    args = ModelArgs.from_dict(lineage["architecture"])
    tokenizer = Tokenizer.load(models[0])
    texts = {LINEAGE_FILE: json.dumps(lineage, indent=1, ensure_ascii=False)}
    told = models[0] / training_history.FILE
    if told.is_file():
        texts[training_history.FILE] = told.read_text(encoding="utf-8")
    context = args.max_position_embeddings
    model_directory.write(out, args, weights, tokenizer, context, extra_files=texts)
