"""The same model in plain PyTorch, as a peer for the speed of training.

Written as one would write it for speed in eager mode: PyTorch's fused attention, cross-entropy and
RMSNorm, rotary tables computed once. It takes the weights of our model by their own names, and
`bench/train_speed.py` checks that both give the same loss before it believes a time.
"""

import numpy as np
import torch
import torch.nn.functional as functional
from torch import nn

from mlx_toy.model import ModelArgs


class _Norm(nn.Module):
    def __init__(self, width: int, args: ModelArgs):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = args.rms_norm_eps

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.rms_norm(x, self.weight.shape, self.weight, self.eps)


class _Attention(nn.Module):
    def __init__(self, args: ModelArgs):
        super().__init__()
        self.heads, self.shared = args.num_attention_heads, args.num_key_value_heads
        self.head_dim, width = args.head_dim, args.hidden_size
        self.q_proj = nn.Linear(width, self.heads * self.head_dim, bias=False)
        self.k_proj = nn.Linear(width, self.shared * self.head_dim, bias=False)
        self.v_proj = nn.Linear(width, self.shared * self.head_dim, bias=False)
        self.o_proj = nn.Linear(self.heads * self.head_dim, width, bias=False)
        self.qk_norm = args.model_type == "qwen3"
        if self.qk_norm:
            self.q_norm, self.k_norm = _Norm(self.head_dim, args), _Norm(self.head_dim, args)

    def forward(self, x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
        queries = self._split(self.q_proj(x), self.heads)  # [B, H, T, Dh]
        keys = self._split(self.k_proj(x), self.shared)
        if self.qk_norm:
            queries, keys = self.q_norm(queries), self.k_norm(keys)
        queries, keys = _rotate(queries, cos, sin), _rotate(keys, cos, sin)
        values = self._split(self.v_proj(x), self.shared)
        out = functional.scaled_dot_product_attention(
            queries, keys, values, is_causal=True, enable_gqa=self.heads != self.shared
        )
        return self.o_proj(out.transpose(1, 2).flatten(2))

    def _split(self, x: torch.Tensor, heads: int) -> torch.Tensor:
        return x.unflatten(-1, (heads, self.head_dim)).transpose(1, 2)


def _rotate(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    first, second = x.chunk(2, -1)
    return torch.cat([first * cos - second * sin, second * cos + first * sin], -1)


class _MLP(nn.Module):
    def __init__(self, args: ModelArgs):
        super().__init__()
        width, wide = args.hidden_size, args.intermediate_size
        self.gate_proj = nn.Linear(width, wide, bias=False)
        self.up_proj = nn.Linear(width, wide, bias=False)
        self.down_proj = nn.Linear(wide, width, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.down_proj(functional.silu(self.gate_proj(x)) * self.up_proj(x))


class _Block(nn.Module):
    def __init__(self, args: ModelArgs):
        super().__init__()
        self.self_attn, self.mlp = _Attention(args), _MLP(args)
        self.input_layernorm = _Norm(args.hidden_size, args)
        self.post_attention_layernorm = _Norm(args.hidden_size, args)

    def forward(self, x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
        x = x + self.self_attn(self.input_layernorm(x), cos, sin)
        return x + self.mlp(self.post_attention_layernorm(x))


class _Transformer(nn.Module):
    def __init__(self, args: ModelArgs):
        super().__init__()
        self.embed_tokens = nn.Embedding(args.vocab_size, args.hidden_size)
        self.layers = nn.ModuleList(_Block(args) for _ in range(args.num_hidden_layers))
        self.norm = _Norm(args.hidden_size, args)


class TorchLlama(nn.Module):
    """The language model; `loss` is what one trains.

    Args:
        args: the architecture.
        weights: ours, by name.
        length: tokens of a row T.
    """

    def __init__(self, args: ModelArgs, weights: dict[str, np.ndarray], length: int):
        super().__init__()
        self.model = _Transformer(args)
        frequencies = args.rope_theta ** (-torch.arange(0, args.head_dim, 2) / args.head_dim)
        angles = torch.outer(torch.arange(length), frequencies)  # [T, Dh / 2]
        self.register_buffer("cos", angles.cos(), persistent=False)
        self.register_buffer("sin", angles.sin(), persistent=False)
        self.load_state_dict({name: torch.from_numpy(array) for name, array in weights.items()})

    def loss(self, tokens: torch.Tensor) -> torch.Tensor:
        """Mean loss in nats over the targets of token ids [B, T + 1]."""
        x = self.model.embed_tokens(tokens[:, :-1])
        for block in self.model.layers:
            x = block(x, self.cos, self.sin)
        logits = functional.linear(self.model.norm(x), self.model.embed_tokens.weight)
        return functional.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())
