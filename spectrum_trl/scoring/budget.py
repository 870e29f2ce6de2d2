"""Batches that fit into memory: bounded by what they cost, and halved where that was too much."""

import logging
from collections.abc import Callable, Sequence
from typing import TypeVar

from accelerate.utils.memory import clear_device_cache, should_reduce_batch_size

Item = TypeVar("Item")
logger = logging.getLogger(__name__)


class Budget:
    """An upper limit of the cost of a batch, which falls when memory runs out."""

    def __init__(self, limit: float) -> None:
        """Start.

        Args:
            limit: Largest number of items times the largest cost of one, where there is more than one.
        """
        self.limit = limit

    def run(
        self, items: Sequence[Item], run: Callable[[Sequence[Item]], None], *, cost: Callable[[Item], float]
    ) -> None:
        """Run all items in batches of similar cost.

        Args:
            items: In any order.
            run: Runs a batch; it has to allow that a batch that failed runs again in parts.
            cost: Of one item; what is shorter than another is padded to its cost.

        Raises:
            RuntimeError: If memory runs out for a single item.
        """
        waiting = sorted(items, key=cost)
        while waiting:
            size = self._size([cost(item) for item in waiting])
            if self._fits(waiting[:size], run, cost=cost):
                waiting = waiting[size:]

    def _size(self, costs: Sequence[float]) -> int:
        size = 1
        while size < len(costs) and (size + 1) * costs[size] <= self.limit:
            size += 1
        return size

    def _fits(
        self, batch: Sequence[Item], run: Callable[[Sequence[Item]], None], *, cost: Callable[[Item], float]
    ) -> bool:
        try:
            run(batch)
            return True
        except RuntimeError as error:
            if len(batch) == 1 or not should_reduce_batch_size(error):
                raise
        # Only here is the error gone, which holds on to the tensors of the batch.
        clear_device_cache(garbage_collection=True)
        half = len(batch) // 2
        self.limit = half * max(map(cost, batch))
        logger.warning("Out of memory with a batch of %d: it goes on with %d.", len(batch), half)
        return False
