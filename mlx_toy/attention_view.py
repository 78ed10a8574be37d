"""Where a model looks: the weights of its attention, recomputed from its own queries and keys.

Why recompute: attention is computed in one fused operation that never holds its weights. For a
sequence of chat length they are small, so one more pass through the layers, each of which also says
what its queries see, is all that is needed. It takes our own model, whose parts are public.

What the weights mean is limited: they say what was read, not why (Jain & Wallace 2019,
arXiv:1902.10186). For copying they are telling: heads that attend to the earlier place of what
comes next are how transformers copy (Olsson et al. 2022, arXiv:2209.11895).
"""

from collections.abc import Generator, Sequence

from mlx_toy.backend import mx

import numpy as np

from mlx_toy.model import Attention, Model


def attention_weights(attention: Attention, x: mx.array, first: int) -> mx.array:
    """What the positions from `first` on pay attention to.

    Args:
        attention: of one layer.
        x: its input, normalised, [1, T, D].
        first: the first position to look from.

    Returns:
        [H, T - first, T]; each row sums to 1, and is 0 for what comes later.
    """
    queries, keys = attention.queries_and_keys(x)
    keys = mx.repeat(keys, queries.shape[1] // keys.shape[1], axis=1)  # [1, H, T, Dh]
    scores = queries[:, :, first:] * attention.scale @ keys.swapaxes(2, 3)
    positions = mx.arange(x.shape[1])
    visible = positions[first:, None] >= positions[None]
    scores = mx.where(visible, scores.astype(mx.float32), -mx.inf)
    return mx.softmax(scores, axis=-1)[0]


def mean_attention_steps(
    model: Model, ids: Sequence[int], first: int
) -> Generator[None, None, np.ndarray]:
    """Mean over layers and heads of the attention of the positions from `first` on; pauses a layer.

    Args:
        model: ours.
        ids: the sequence, T tokens.
        first: the first position to look from.

    Returns:
        [T - first, T].
    """
    x = model.model.embed_tokens(mx.array([list(ids)]))
    total = mx.zeros((len(ids) - first, len(ids)))
    for layer in model.layers:
        weights = attention_weights(layer.self_attn, layer.input_layernorm(x), first)
        total = total + weights.mean(axis=0)
        x = layer(x, "causal")
        mx.eval(x, total)
        yield
    return np.array(total / len(model.layers))
