"""Presets: the sizes of the model and of its training, from one dial.

Everything follows from width and depth by the rules written here, so that a larger model is the
same recipe and not another one.
"""

from dataclasses import dataclass

from mlx_toy.errors import UserError
from mlx_toy.model import ModelArgs

HEAD_DIM = 64  # what fused attention kernels like best


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
        window: tokens of a pretraining sequence; shorter than `context` where attention is slow.
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


PRESETS = {
    preset.name: preset
    for preset in (
        # Minutes on a CPU; the tests use it.
        Preset("nano", 128, 4, 2, 2048, 512, 256, 8_192, 1_024, 500, 150),
        # An evening on a CPU: what is bundled until a GPU run replaces it.
        Preset("mini", 192, 6, 3, 4096, 512, 256, 8_192, 1_024, 4_000, 600),
        # Minutes on a large GPU, a night on a Mac.
        Preset("toy", 512, 10, 4, 8192, 1024, 512, 131_072, 16_384, 6_000, 600),
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
