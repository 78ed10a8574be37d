"""The transformer: a Llama, readable in one sitting.

Pre-normalisation with RMSNorm, rotary positions, grouped-query attention and SwiGLU, with the
parameter names of Llama, so that every loader of Llama weights reads ours (Touvron et al. 2023,
arXiv:2302.13971). It follows mlx-lm's model protocol (`Model`, `ModelArgs.from_dict`, `layers`,
`__call__(inputs, cache)`), so mlx-lm's caches, samplers and generation run it unchanged.

With `model_type="qwen3"` each query and key is normalised before it is rotated, which is all that
tells Qwen3 from a Llama (QK-norm: Henry et al. 2020, arXiv:2010.04245; Yang et al. 2025,
arXiv:2505.09388).

Shapes: B sequences, T tokens each, D hidden size, H heads of size Dh, V vocabulary.
"""

import inspect
from dataclasses import dataclass
from typing import Any

from mlx_toy.backend import mx

from mlx_toy import ops

import mlx.nn as nn  # isort: skip  (after the backend, which must load the BLAS first)


@dataclass(frozen=True)
class ModelArgs:
    """The architecture, in the words of a Llama `config.json`.

    Attributes:
        hidden_size: width D of the residual stream.
        num_hidden_layers: number of blocks.
        intermediate_size: width of the feed-forward layer.
        num_attention_heads: query heads H.
        num_key_value_heads: key and value heads; each serves H / this many query heads.
        head_dim: size Dh of a head.
        vocab_size: rows of the embedding V, which also makes the logits (tied).
        rms_norm_eps: added to the mean square before its root.
        rope_theta: base of the rotary frequencies.
        max_position_embeddings: the longest sequence it was trained for, in tokens.
        model_type: "llama", or "qwen3", which has QK-norm.
    """

    hidden_size: int
    num_hidden_layers: int
    intermediate_size: int
    num_attention_heads: int
    num_key_value_heads: int
    head_dim: int
    vocab_size: int
    rms_norm_eps: float = 1e-5
    rope_theta: float = 10000.0
    max_position_embeddings: int = 512
    model_type: str = "llama"

    @classmethod
    def from_dict(cls, config: dict[str, Any]) -> "ModelArgs":
        """Take the known keys of a `config.json`; others are ignored."""
        known = inspect.signature(cls).parameters
        return cls(**{key: value for key, value in config.items() if key in known})


class Attention(nn.Module):
    """Causal grouped-query attention (Ainslie et al. 2023), rotary positions (Su et al. 2021)."""

    def __init__(self, args: ModelArgs):
        super().__init__()
        self.head_dim = args.head_dim
        self.scale = args.head_dim**-0.5
        queries, keys = args.num_attention_heads, args.num_key_value_heads
        self.q_proj = nn.Linear(args.hidden_size, queries * args.head_dim, bias=False)
        self.k_proj = nn.Linear(args.hidden_size, keys * args.head_dim, bias=False)
        self.v_proj = nn.Linear(args.hidden_size, keys * args.head_dim, bias=False)
        self.o_proj = nn.Linear(queries * args.head_dim, args.hidden_size, bias=False)
        self.qk_norm = args.model_type == "qwen3"
        if self.qk_norm:
            self.q_norm = nn.RMSNorm(args.head_dim, eps=args.rms_norm_eps)
            self.k_norm = nn.RMSNorm(args.head_dim, eps=args.rms_norm_eps)
        self.rope = nn.RoPE(args.head_dim, traditional=False, base=args.rope_theta)

    def __call__(self, x: mx.array, mask: Any = None, cache: Any = None) -> mx.array:
        """[B, T, D] -> [B, T, D]; `cache` holds the keys and values of earlier tokens."""
        length = x.shape[1]
        queries, keys = self.queries_and_keys(x, 0 if cache is None else cache.offset)
        values = self._split_heads(self.v_proj(x)).swapaxes(1, 2)
        if cache is not None:
            keys, values = cache.update_and_fetch(keys, values)
        out = ops.attention(queries, keys, values, self.scale, mask)
        return self.o_proj(
            out.transpose(0, 2, 1, 3).reshape(-1, length, out.shape[1] * self.head_dim)
        )

    def queries_and_keys(self, x: mx.array, offset: Any = 0) -> tuple[mx.array, mx.array]:
        """[B, T, D] -> queries [B, H, T, Dh] and keys [B, Hkv, T, Dh], rotated from `offset` on."""
        queries = self._split_heads(self.q_proj(x))  # [B, T, H, Dh]
        keys = self._split_heads(self.k_proj(x))  # [B, T, Hkv, Dh]
        if self.qk_norm:
            queries, keys = self.q_norm(queries), self.k_norm(keys)
        queries, keys = queries.swapaxes(1, 2), keys.swapaxes(1, 2)  # [B, H, T, Dh]
        return self.rope(queries, offset=offset), self.rope(keys, offset=offset)

    def _split_heads(self, x: mx.array) -> mx.array:
        """[B, T, n * Dh] -> [B, T, n, Dh]."""
        return x.reshape(*x.shape[:2], -1, self.head_dim)


class MLP(nn.Module):
    """SwiGLU feed-forward layer (Shazeer 2020, arXiv:2002.05202)."""

    def __init__(self, args: ModelArgs):
        super().__init__()
        self.gate_proj = nn.Linear(args.hidden_size, args.intermediate_size, bias=False)
        self.up_proj = nn.Linear(args.hidden_size, args.intermediate_size, bias=False)
        self.down_proj = nn.Linear(args.intermediate_size, args.hidden_size, bias=False)

    def __call__(self, x: mx.array) -> mx.array:
        """[B, T, D] -> [B, T, D]."""
        return self.down_proj(ops.swiglu(self.gate_proj(x), self.up_proj(x)))


class Block(nn.Module):
    """One layer: attention, then the feed-forward layer, each added to the residual stream."""

    def __init__(self, args: ModelArgs):
        super().__init__()
        self.self_attn = Attention(args)
        self.mlp = MLP(args)
        self.input_layernorm = nn.RMSNorm(args.hidden_size, eps=args.rms_norm_eps)
        self.post_attention_layernorm = nn.RMSNorm(args.hidden_size, eps=args.rms_norm_eps)

    def __call__(self, x: mx.array, mask: Any = None, cache: Any = None) -> mx.array:
        """[B, T, D] -> [B, T, D]."""
        x = x + self.self_attn(self.input_layernorm(x), mask, cache)
        return x + self.mlp(self.post_attention_layernorm(x))


class Transformer(nn.Module):
    """Embedding, blocks and the last norm; named as in Llama's `model.*` parameters."""

    def __init__(self, args: ModelArgs):
        super().__init__()
        self.embed_tokens = nn.Embedding(args.vocab_size, args.hidden_size)
        self.layers = [Block(args) for _ in range(args.num_hidden_layers)]
        self.norm = nn.RMSNorm(args.hidden_size, eps=args.rms_norm_eps)

    def __call__(
        self,
        inputs: mx.array,
        cache: list[Any] | None = None,
        documents: mx.array | None = None,
    ) -> mx.array:
        """Token ids [B, T] -> hidden states [B, T, D]."""
        x = self.embed_tokens(inputs)
        caches = cache or [None] * len(self.layers)
        mask = _attention_mask(inputs.shape[1], caches[0]) if documents is None else documents
        for layer, layer_cache in zip(self.layers, caches, strict=True):
            x = layer(x, mask, layer_cache)
        return self.norm(x)


class Model(nn.Module):
    """The language model: token ids to logits, by way of the tied embedding."""

    def __init__(self, args: ModelArgs):
        super().__init__()
        self.args = args
        self.model_type = args.model_type
        self.model = Transformer(args)

    def __call__(
        self,
        inputs: mx.array,
        cache: list[Any] | None = None,
        documents: mx.array | None = None,
    ) -> mx.array:
        """Token ids [B, T] -> logits [B, T, V].

        `documents`, int32 [B, T], numbers the documents that share a row: none sees another.
        """
        return self.model.embed_tokens.as_linear(self.model(inputs, cache, documents))

    @property
    def layers(self) -> list[Block]:
        """The blocks; mlx-lm makes one cache for each."""
        return self.model.layers

    def sanitize(self, weights: dict[str, mx.array]) -> dict[str, mx.array]:
        """Drop what a checkpoint holds but this model computes; mlx-lm calls this on loading."""
        return {name: array for name, array in weights.items() if name != "lm_head.weight"}


def _attention_mask(length: int, cache: Any) -> Any:
    """None for one token, "causal" for several, or the mask that a cache wants."""
    if cache is not None and hasattr(cache, "make_mask"):
        return cache.make_mask(length, return_array=False, window_size=None)
    return "causal" if length > 1 else None
