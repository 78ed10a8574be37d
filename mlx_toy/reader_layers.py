"""Parts that the reader's network is made of: how texts pass its convolutions.

What is padded is 0 in every layer.
"""

from mlx_toy.backend import mx

from mlx_toy.reader_input import TINY, PairBatch

Weights = dict[str, mx.array]

NEVER = -1e9  # score of a padded place
SHARED = (1, 1)  # gaps between the taps of the layers that both texts pass
TAPS = 3  # words that a convolution sees


def encode(
    weights: Weights, batch: PairBatch, words: mx.array, prefix: str = ""
) -> tuple[mx.array, mx.array]:
    """Questions [B, J, D] and passages [B, T, D], of the vectors of words [U, E]; 0 where padded.

    Of each other they know what the features of their words say. The names of the weights begin
    with the prefix.
    """
    read = []
    for name, ids, features, mask in (
        ("question_in", batch.question, batch.question_features, mx.array(batch.question_mask)),
        ("passage_in", batch.passage, batch.passage_features, mx.array(batch.passage_mask)),
    ):
        x = mx.concatenate([words[mx.array(ids)], mx.array(features)], -1) @ weights[prefix + name]
        x = x * mask[:, :, None]
        for layer, gap in enumerate(SHARED):
            x = convolve(weights, layer, x, gap, mask, prefix)
        read.append(x)
    return read[0], read[1]


def convolve(
    weights: Weights, layer: int, x: mx.array, gap: int, mask: mx.array, prefix: str = ""
) -> mx.array:
    """x + W2 relu(conv(norm(x))), a convolution of `TAPS` words with `gap` between them.

    What is padded stays 0: else it would carry back what it heard from its neighbours.
    """
    normed = mx.fast.rms_norm(x, weights[f"{prefix}norm_{layer}"], TINY)
    around = mx.pad(normed, [(0, 0), (gap, gap), (0, 0)])
    length = x.shape[1]
    taps = [around[:, tap * gap : tap * gap + length] for tap in range(TAPS)]
    hidden = mx.maximum(mx.concatenate(taps, -1) @ weights[f"{prefix}taps_{layer}"], 0)
    return x + hidden @ weights[f"{prefix}out_{layer}"] * mask[:, :, None]


def drop(x: mx.array, share: float) -> mx.array:
    """Leave out a share of the values at random, and scale up the rest (Srivastava et al. 2014)."""
    if not share:
        return x
    return x * mx.random.bernoulli(1 - share, x.shape) / (1 - share)
