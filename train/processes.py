"""Several computers as one: each process learns from its part of a step, the gradients are summed.

    mlx.launch --hosts mac1,mac2 -- python -m train pretrain --preset toy ...

Every process reads its own copy of the shards and works out the step's whole batch, which depends
on seed and step alone; it takes its part of the micro-batches. So a step means the same however
many processes share it, and a run may go on with another number of them. The first process alone
reads and writes the run's directory; the others get its state at the start.
"""

import os
from collections.abc import Callable

from mlx_toy.backend import mx

from mlx_toy.errors import UserError
from mlx_toy.model import ModelArgs
from train.batches import MicroBatch
from train.checkpoints import Checkpoint
from train.initial import initial_weights
from train.lanes import Gradients, share_out
from train.optimizer import initial_state

LAUNCHED = ("MLX_RANK", "OMPI_COMM_WORLD_RANK", "PMI_RANK")  # what mlx.launch and MPI set


class Processes:
    """The processes of one run; a process that works alone neither sends nor waits."""

    def __init__(self) -> None:
        self._group = None
        if any(name in os.environ for name in LAUNCHED):
            self._group = mx.distributed.init()
        self.rank = self._group.rank() if self._group else 0
        self.size = self._group.size() if self._group else 1

    @property
    def first(self) -> bool:
        """Whether this is the process that reads and writes the run."""
        return self.rank == 0

    def share(self, batches: list[MicroBatch]) -> list[MicroBatch]:
        """This process's part of a step's micro-batches."""
        return batches if self.size == 1 else share_out(batches, self.size)[self.rank]

    def begin(self, start: Callable[[], Checkpoint], args: ModelArgs) -> Checkpoint:
        """The first process's checkpoint, in every process.

        Args:
            start: reads or makes it.
            args: the architecture, which says what the others are to receive.
        """
        if self.first:
            found = start()
        else:
            weights = initial_weights(args, seed=0)
            found = Checkpoint(0, weights, initial_state(weights), {"tokens": 0, "seconds": 0.0})
        if self.size == 1:
            return found
        step = self._sum(mx.array([found.step if self.first else 0])).item()
        weights, state = self._from_first(found.weights), self._from_first(found.optimizer)
        return Checkpoint(int(step), weights, state, found.facts)

    def sum(self, gradients: Gradients, loss: float, asked: bool) -> tuple[Gradients, float, bool]:
        """Gradients and loss over all processes, and whether any was asked to stop."""
        if self.size == 1:
            return gradients, loss, asked
        names = sorted(gradients)
        ends, total = [], 0
        for name in names:
            total += gradients[name].size
            ends.append(total)
        more = mx.array([loss, float(asked)])
        flat = self._sum(mx.concatenate([*(gradients[name].reshape(-1) for name in names), more]))
        parts = mx.split(flat, ends)
        summed = {
            name: part.reshape(gradients[name].shape)
            for name, part in zip(names, parts, strict=False)
        }
        return summed, parts[-1][0].item(), parts[-1][1].item() > 0

    def sum_number(self, number: float) -> float:
        """The sum of one number of each process."""
        return number if self.size == 1 else self._sum(mx.array([number])).item()

    def _from_first(self, arrays: Gradients) -> Gradients:
        """By name, what the first process has: the others add nothing."""
        return {
            name: self._sum(arrays[name] if self.first else mx.zeros_like(arrays[name]))
            for name in sorted(arrays)
        }

    def _sum(self, array: mx.array) -> mx.array:
        try:
            total = mx.distributed.all_sum(array, group=self._group)
            mx.eval(total)
        except RuntimeError as error:
            raise UserError(
                f"another process of this run has ended ({error}): see what it said, "
                "then start them all again; they go on from the last checkpoint"
            ) from error
        return total
