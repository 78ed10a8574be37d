"""Weights to begin with."""

from mlx_toy.backend import mx

from mlx.utils import tree_flatten

from mlx_toy.model import Model, ModelArgs

EMBEDDING_SCALE = 0.02


def initial_weights(args: ModelArgs, seed: int) -> dict[str, mx.array]:
    """Weights to begin with.

    Normal with standard deviation 1 / sqrt(fan-in); the projections that write to the residual
    stream (`o_proj`, `down_proj`) begin at zero, so every block begins as the identity. The
    embedding begins small, because it is tied: a large one would begin by predicting each token to
    follow itself.
    """
    key = mx.random.key(seed)
    weights = {}
    for name, array in tree_flatten(Model(args).parameters()):
        key, own = mx.random.split(key)
        if array.ndim == 1:
            weights[name] = mx.ones(array.shape)
        elif name.endswith(("o_proj.weight", "down_proj.weight")):
            weights[name] = mx.zeros(array.shape)
        else:
            scale = EMBEDDING_SCALE if "embed_tokens" in name else array.shape[1] ** -0.5
            weights[name] = mx.random.normal(array.shape, key=own) * scale
    mx.eval(weights)
    return weights
