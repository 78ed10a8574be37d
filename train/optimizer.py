"""The optimizer: Muon for the matrices of the blocks, AdamW for everything else.

Muon (Jordan et al. 2024) replaces the momentum of a matrix by the nearest half-orthogonal matrix,
found by a Newton-Schulz iteration: all directions of a weight move at the same rate. Matrices of
a different shape get a rate scaled by sqrt(max(1, rows / columns)). AdamW: Loshchilov and Hutter
2019 (arXiv:1711.05101), with bias correction. Both decay weights decoupled from the gradient.

AdamW can take the matrices too (`matrices="adamw"`): that is what Muon is compared with.

The state is a flat dict of arrays, so a checkpoint is one file and a resumed run continues exactly.
"""

from dataclasses import dataclass

from mlx_toy.backend import mx

Arrays = dict[str, mx.array]
ADAMW_COST = 32  # of an entry, in the time that a product of Muon takes for one
_NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)  # coefficients of the quintic, from Muon's authors


@dataclass(frozen=True)
class OptimizerSettings:
    """Rates and constants.

    Attributes:
        matrix_rate: peak rate for the matrices of the blocks.
        other_rate: peak rate of AdamW for the rest.
        momentum: of Muon (Nesterov).
        betas: of AdamW.
        eps: of AdamW.
        weight_decay: decoupled, for matrices of the blocks only.
        clip_norm: the gradient's norm is cut to this.
        matrices: "muon" or "adamw": what moves the matrices of the blocks.
    """

    matrix_rate: float
    other_rate: float
    momentum: float = 0.95
    betas: tuple[float, float] = (0.9, 0.95)
    eps: float = 1e-8
    weight_decay: float = 0.05
    clip_norm: float = 1.0
    matrices: str = "muon"

    def __post_init__(self) -> None:
        if self.matrices not in ("muon", "adamw"):
            raise ValueError(f"matrices must be 'muon' or 'adamw', not {self.matrices!r}")


def is_block_matrix(name: str, array: mx.array) -> bool:
    """Whether a parameter is one of the matrices inside the blocks."""
    return array.ndim == 2 and ".layers." in name


def initial_state(parameters: Arrays) -> Arrays:
    """Zero moments for every parameter; Muon has no second, `update` adds it if AdamW is chosen."""
    state = {}
    for name, array in parameters.items():
        state[f"first.{name}"] = mx.zeros_like(array)
        if not is_block_matrix(name, array):
            state[f"second.{name}"] = mx.zeros_like(array)
    return state


def orthogonalize(matrix: mx.array, iterations: int = 5) -> mx.array:
    """The half-orthogonal matrix nearest to `matrix` [m, n], nearly, in float32."""
    wide = matrix.shape[0] <= matrix.shape[1]
    x = matrix.astype(mx.float32)
    x = x if wide else x.T
    x = x / (mx.linalg.norm(x) + 1e-7)
    a, b, c = _NEWTON_SCHULZ
    for _ in range(iterations):
        gram = x @ x.T
        x = a * x + (b * gram + c * (gram @ gram)) @ x
    return x if wide else x.T


def global_norm(gradients: Arrays) -> mx.array:
    """Euclidean norm over all gradients, a scalar; summed by name, because files lose the order."""
    squares = [mx.sum(mx.square(gradients[name])) for name in sorted(gradients)]
    return mx.sqrt(sum(squares, mx.array(0.0)))


def update(
    parameters: Arrays,
    gradients: Arrays,
    state: Arrays,
    settings: OptimizerSettings,
    step: int,
    scale: float,
    norm: mx.array | None = None,
) -> tuple[Arrays, Arrays, mx.array]:
    """One optimizer step.

    Args:
        parameters: by name, float32.
        gradients: by the same names.
        state: from `initial_state` or the step before.
        settings: rates and constants.
        step: counted from 0, for the bias correction.
        scale: factor of the schedule for both rates.
        norm: of all gradients, where `gradients` are only some of them.

    Returns:
        New parameters, new state, and the gradient's norm before it was cut.
    """
    norm = global_norm(gradients) if norm is None else norm
    clip = mx.minimum(1.0, settings.clip_norm / (norm + 1e-6))
    new_parameters, new_state = {}, {}
    first_beta, second_beta = settings.betas
    for name, weight in parameters.items():
        gradient = gradients[name] * clip
        first = state[f"first.{name}"]
        matrix = is_block_matrix(name, weight)
        rate = scale * (settings.matrix_rate if matrix else settings.other_rate)
        if matrix:
            weight = weight * (1 - rate * settings.weight_decay)
        if matrix and settings.matrices == "muon":
            first = settings.momentum * first + (1 - settings.momentum) * gradient
            nesterov = settings.momentum * first + (1 - settings.momentum) * gradient
            rows, columns = weight.shape
            direction = orthogonalize(nesterov) * max(1.0, rows / columns) ** 0.5
            weight = weight - rate * direction
        else:
            before = state.get(f"second.{name}", mx.zeros_like(weight))
            first = first_beta * first + (1 - first_beta) * gradient
            second = second_beta * before + (1 - second_beta) * gradient**2
            corrected = first / (1 - first_beta ** (step + 1))
            spread = mx.sqrt(second / (1 - second_beta ** (step + 1))) + settings.eps
            weight = weight - rate * corrected / spread
            new_state[f"second.{name}"] = second
        new_state[f"first.{name}"] = first
        new_parameters[name] = weight
    # One memory layout, that of a file: products round differently in another, and a resumed run,
    # which reads its arrays from files, must equal an uninterrupted one bit for bit.
    return _row_major(new_parameters), _row_major(new_state), norm


def update_cost(name: str, weight: mx.array) -> int:
    """About what an update of a parameter costs, in some unit, for sharing the work."""
    shorter = min(weight.shape) if is_block_matrix(name, weight) else ADAMW_COST
    return weight.size * shorter


def _row_major(arrays: Arrays) -> Arrays:
    return {name: mx.contiguous(array) for name, array in arrays.items()}
