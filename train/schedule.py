"""Learning rate as a function of the step: warm-up, a constant stretch, a linear decay.

Why this shape ("warmup-stable-decay", Hu et al. 2024, arXiv:2404.06395): the constant stretch has
no end written into it, so one long run can branch into several finished models, each decayed
from the same trunk.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class WarmupStableDecay:
    """The factor by which every peak rate is multiplied.

    Attributes:
        steps: total optimizer steps.
        warmup_steps: spent rising from 0 to 1.
        decay_steps: spent falling from 1 to 0, at the end.
    """

    steps: int
    warmup_steps: int
    decay_steps: int

    def __call__(self, step: int) -> float:
        """The factor of a step, counted from 0."""
        rise = (step + 1) / max(1, self.warmup_steps)
        fall = (self.steps - step) / max(1, self.decay_steps)
        return max(0.0, min(1.0, rise, fall))

    def decays(self, step: int) -> bool:
        """Whether the step lies in the decay."""
        return step >= self.steps - self.decay_steps
