"""Presets: the sizes of the model and of its training, from one dial, the width.

A larger model is the same recipe and not another one. The rules, each with its source:

- Depth grows as the square root of the width: sqrt(3 * width) / 4 blocks, rounded to an even
  number; GPT-2's 12 blocks of 768 lie on it. Loss hardly depends on the shape (Kaplan et al. 2020,
  arXiv:2001.08361, section 3.1); depth should grow more slowly than width (Levine et al. 2020,
  arXiv:2006.12467), and wide products keep a machine busier than many narrow ones.
- Heads have 64 dimensions, what fused attention kernels like best. From 8 heads on, two query heads
  share a key and value head (Ainslie et al. 2023, arXiv:2305.13245), which halves the cache of
  decoding; with fewer there is little to save.
- The feed-forward layer is 8/3 as wide, rounded up to 64, so that its three matrices weigh what two
  of four times the width would (Shazeer 2020, arXiv:2002.05202).
- The vocabulary is 4,096 pieces at a width of 128 and grows as the width to the power 0.7, to the
  nearest power of two. At 128, at equal compute, 2,048 pieces are much worse and 8,192 a little
  better (`bench/ablations.md`); one's own text is often too short for more. It should grow more
  slowly than the other parameters (Tao et al. 2024, arXiv:2407.13623).
- Queries and keys are not normalised. QK-norm (Henry et al. 2020, arXiv:2010.04245) was a little
  better at equal operations (`bench/ablations.md`), but on a CPU it costs more time than it is
  worth (`bench/train_speed.py --qk-norm`).
- Pretraining reads 10.5 tokens a parameter, nanochat's compute-optimal ratio; fine-tuning reads an
  eighth of that.
- A step reads 0.58 * tokens^0.571 tokens (Li et al. 2025, arXiv:2503.04715), rounded up to a power
  of two: near the best size little is lost, and larger steps pay the optimizer less often. (One run
  each here, 1.4M parameters, 1.2M tokens: steps of 2,048, as the rule says, reach 1.990 bits per
  byte, steps of 4,096 with sqrt(2) times the rates 2.023.)
- Muon's rate is the same for every width, because its update has singular values of 1 times
  sqrt(rows / columns) whatever the size (Jordan et al. 2024; Bernstein 2025, "Deriving Muon").
  AdamW's rate falls with 1 / sqrt(width): nanochat's 0.004 at a width of 768.
- For the same run another batch takes other rates, by the square root of the ratio (Malladi et al.
  2022, arXiv:2205.10782; `Preset.with_batch`). From preset to preset the run grows too, which asks
  for lower rates (arXiv:2401.02954, 2503.04715), so that less than the root is left: Muon's rate
  is 0.02 * (tokens a step / 524,288)^(1/4). This joins two points: nanochat's 0.02 at 524,288, and
  0.005 at 2,048, the best of four probes here. AdamW's rate has no such factor: at a width of 128
  and 2,048 tokens a step 0.008 was better than 0.004 and 0.002, and the rule says 0.0098. (Probes
  of 100 steps, `bench/ablations.md`.)

name    width  depth  vocabulary   parameters         tokens  tokens a step  steps
nano      128      4       4,096    1,377,408     14,467,072          8,192  1,766
mini      192      6       4,096    3,443,136     36,159,488         16,384  2,207
toy       512     10       8,192   33,696,256    353,828,864         65,536  5,399
small     896     12      16,384  122,050,432  1,281,622,016        131,072  9,778
"""

import math
from dataclasses import dataclass, replace

from mlx_toy.errors import UserError
from mlx_toy.model import ModelArgs

HEAD_DIM = 64
VOCABULARY, VOCABULARY_WIDTH = 4096, 128  # pieces, and the width they are for
TOKENS_PER_PARAMETER = 10.5
FINETUNE_PART = 8  # fine-tuning reads this part of pretraining's tokens
WIDE = 512  # from here on: context 1024, shared keys and values, micro-batches for a GPU
CPU_MICRO_TOKENS = 1_024
GPU_MICRO_NUMBERS = 1 << 23  # of one activation of a micro-batch: tokens times width
MATRIX_RATE, MATRIX_RATE_BATCH = 0.02, 524_288  # Muon's rate, and the tokens a step it is for
OTHER_RATE, OTHER_RATE_WIDTH = 4e-3, 768  # AdamW's rate, and the width it is for


@dataclass(frozen=True)
class Preset:
    """A size of model with the batch and the rates that suit it.

    Attributes:
        name: as on the command line.
        hidden_size: width; a multiple of 64, because each head has 64 dimensions.
        layers: depth.
        kv_heads: key and value heads; fewer than query heads save memory while decoding.
        vocab_size: pieces of the tokenizer.
        context: longest sequence that fine-tuning shows, in tokens.
        window: tokens of a pretraining sequence; shorter than `context`, because attention is slow.
        tokens_per_step: of one optimizer step.
        micro_tokens: of one forward and backward pass; small enough for the cache of a CPU.
        pretrain_steps: of the whole schedule.
        finetune_steps: likewise.
        matrix_rate: peak learning rate of Muon, for the matrices of the blocks.
        other_rate: peak learning rate of AdamW, for embedding and norms.
        finetune_scale: fine-tuning begins at this fraction of both rates.
    """

    name: str
    hidden_size: int
    layers: int
    kv_heads: int
    vocab_size: int
    context: int
    window: int
    tokens_per_step: int
    micro_tokens: int
    pretrain_steps: int
    finetune_steps: int
    matrix_rate: float = 0.02
    other_rate: float = 4e-3
    finetune_scale: float = 0.2

    def model_args(self, vocab_size: int) -> ModelArgs:
        """The architecture: heads of 64, feed-forward layers of 8/3 the width, rounded to 64."""
        return ModelArgs(
            hidden_size=self.hidden_size,
            num_hidden_layers=self.layers,
            intermediate_size=-(-self.hidden_size * 8 // 3 // 64) * 64,
            num_attention_heads=self.hidden_size // HEAD_DIM,
            num_key_value_heads=self.kv_heads,
            head_dim=HEAD_DIM,
            vocab_size=vocab_size,
            max_position_embeddings=self.context,
        )

    @property
    def parameters(self) -> int:
        """All parameters, with the preset's own vocabulary."""
        return count_parameters(self.model_args(self.vocab_size))

    @property
    def pretrain_tokens(self) -> int:
        """Tokens that pretraining reads."""
        return self.pretrain_steps * self.tokens_per_step

    def with_batch(self, tokens_per_step: int) -> "Preset":
        """The same run in steps of another size, with the rates that go with it."""
        factor = math.sqrt(tokens_per_step / self.tokens_per_step)
        return replace(
            self,
            tokens_per_step=tokens_per_step,
            matrix_rate=self.matrix_rate * factor,
            other_rate=self.other_rate * factor,
        )


def count_parameters(args: ModelArgs) -> int:
    """All parameters of an architecture; the embedding, which also makes the logits, once."""
    width = args.hidden_size
    attention = 2 * width * (args.num_attention_heads + args.num_key_value_heads) * args.head_dim
    norms = 2 * width + 2 * args.head_dim * (args.model_type == "qwen3")
    block = attention + 3 * width * args.intermediate_size + norms
    return args.vocab_size * width + args.num_hidden_layers * block + width


def best_batch(tokens: float) -> float:
    """The best tokens a step for a run of so many tokens."""
    return 0.58 * tokens**0.571


def batch_tokens(tokens: float) -> int:
    """Tokens a step of a preset: the best, rounded up to a power of two."""
    return 1 << math.ceil(math.log2(best_batch(tokens)))


def matrix_rate(tokens_per_step: float) -> float:
    """Peak rate of Muon for the matrices of the blocks."""
    return MATRIX_RATE * (tokens_per_step / MATRIX_RATE_BATCH) ** 0.25


def other_rate(width: int) -> float:
    """Peak rate of AdamW for embedding and norms of a model so wide."""
    return OTHER_RATE * math.sqrt(OTHER_RATE_WIDTH / width)


def of_width(name: str, width: int) -> Preset:
    """A preset from the dial alone; the rules are at the top of this file.

    Args:
        name: of the preset.
        width: a multiple of 64; from 512 on one of 128, so that heads can share in pairs.

    Raises:
        ValueError: it is another width.
    """
    wide = width >= WIDE
    if width < HEAD_DIM or width % (2 * HEAD_DIM if wide else HEAD_DIM):
        raise ValueError(f"width {width}: must be a multiple of 64, from 512 on a multiple of 128")
    heads = width // HEAD_DIM
    shape = Preset(
        name,
        hidden_size=width,
        layers=max(2, 2 * round(math.sqrt(3 * width) / 8)),
        kv_heads=heads // 2 if wide else heads,
        vocab_size=1 << round(math.log2(VOCABULARY * (width / VOCABULARY_WIDTH) ** 0.7)),
        context=1024 if wide else 512,
        window=512 if wide else 256,
        tokens_per_step=1,
        micro_tokens=1 << round(math.log2(GPU_MICRO_NUMBERS / width)) if wide else CPU_MICRO_TOKENS,
        pretrain_steps=1,
        finetune_steps=1,
        other_rate=other_rate(width),
    )
    tokens = TOKENS_PER_PARAMETER * shape.parameters
    step = batch_tokens(tokens)
    return replace(
        shape,
        tokens_per_step=step,
        pretrain_steps=math.ceil(tokens / step),
        finetune_steps=math.ceil(tokens / FINETUNE_PART / step),
        matrix_rate=matrix_rate(step),
    )


PRESETS = {
    name: of_width(name, width)
    for name, width in (
        ("nano", 128),  # minutes on a CPU; the tests use it
        ("mini", 192),  # an evening on a CPU: what is bundled until a GPU run replaces it
        ("toy", 512),  # minutes on a large GPU, a night on a Mac
        ("small", 896),  # a day on a Max-class Mac; a long night reads a third of its tokens
    )
}


def preset(name: str) -> Preset:
    """Look a preset up.

    Raises:
        UserError: there is none of that name.
    """
    if name not in PRESETS:
        raise UserError(f"unknown preset {name!r}: use one of {', '.join(PRESETS)}")
    return PRESETS[name]
