"""How much of the corpus each size of model can use."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Budget:
    """How much a size of model can use.

    Attributes:
        tokens: of one source at most; no more of it is read, so that a small build is quick.
        sample_bytes: of text, for the tokenizer.
    """

    tokens: int
    sample_bytes: int


BUDGETS = {  # of the presets of `train`
    "nano": Budget(4_000_000, 10_000_000),
    "mini": Budget(50_000_000, 40_000_000),
    "toy": Budget(1_000_000_000, 80_000_000),
    # A larger vocabulary needs more text; sentencepiece takes about six times its size in memory.
    "small": Budget(4_000_000_000, 120_000_000),
}
