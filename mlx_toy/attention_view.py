"""Where a model looks: the weights of its attention, recomputed from its own queries and keys.

Why recompute: attention is computed in one fused operation that never holds its weights. For a
sequence of chat length they are small, so one more pass through the layers, each of which also says
what its queries see, is all that is needed. It takes our own model, whose parts are public.

How much a head looks at a passage is summed over the passage's tokens; of all heads of all layers
the one that looks most counts, because copying is the work of a few heads that attend to the
earlier place of what comes next (Olsson et al. 2022, arXiv:2209.11895). In the bundled model that
passage is the one copied from for 49% of the tokens of answers from three passages of SQuAD, and by
the mean over all heads for 38%, where chance is 33%: weights say what was read, not why (Jain &
Wallace 2019, arXiv:1902.10186).
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


def attention_share_steps(
    model: Model, ids: Sequence[int], first: int, stretches: Sequence[tuple[int, int]]
) -> Generator[None, None, np.ndarray]:
    """How much the positions from `first` on look at stretches of the text; pauses after a layer.

    Args:
        model: ours.
        ids: the text, T tokens.
        first: the first position to look from.
        stretches: (start, end) of each of S stretches, in tokens.

    Returns:
        [T - first, S]: the share of its attention that the most attentive head pays to a stretch.
    """
    x = model.model.embed_tokens(mx.array([list(ids)]))
    most = mx.zeros((len(ids) - first, len(stretches)))
    for layer in model.layers:
        weights = attention_weights(layer.self_attn, layer.input_layernorm(x), first)
        shares = mx.stack([weights[..., a:b].sum(axis=-1) for a, b in stretches], axis=-1)
        most = mx.maximum(most, shares.max(axis=0))
        x = layer(x, "causal")
        mx.eval(x, most)
        yield
    return np.array(most)
