"""Split work into batches that fit into memory: bounded by cost, and halved when memory runs out."""

import logging
from collections.abc import Callable, Sequence
from typing import TypeVar

from accelerate.utils.memory import clear_device_cache, should_reduce_batch_size

Item = TypeVar("Item")
logger = logging.getLogger(__name__)


class Budget:
    """An upper limit on the cost of a batch, lowered when memory runs out."""

    def __init__(self, limit: float) -> None:
        """Set the limit of a batch's cost: its size times its largest item's cost.

        A single item may exceed it.
        """
        self.limit = limit

    def run(
        self, items: Sequence[Item], run: Callable[[Sequence[Item]], object], *, cost: Callable[[Item], float]
    ) -> None:
        """Run all items in batches of similar cost; a batch that failed is run again in smaller parts.

        Args:
            items: In any order.
            run: Runs a batch.
            cost: Cost of one item; every item of a batch is padded to the largest.

        Raises:
            RuntimeError: If a single item does not fit into memory.
        """
        waiting = sorted(items, key=cost)
        while waiting:
            waiting = self.first(waiting, run, cost=cost)

    def first(
        self, items: Sequence[Item], run: Callable[[Sequence[Item]], object], *, cost: Callable[[Item], float]
    ) -> list[Item]:
        """Run a first batch of items sorted by cost, as `run` does, and return the other items."""
        while True:
            size = self._size([cost(item) for item in items])
            if self._fits(items[:size], run, cost=cost):
                return list(items[size:])

    def _size(self, costs: Sequence[float]) -> int:
        size = 1
        while size < len(costs) and (size + 1) * costs[size] <= self.limit:
            size += 1
        return size

    def _fits(
        self, batch: Sequence[Item], run: Callable[[Sequence[Item]], object], *, cost: Callable[[Item], float]
    ) -> bool:
        try:
            run(batch)
            return True
        except RuntimeError as error:
            if len(batch) == 1 or not should_reduce_batch_size(error):
                raise
        # Outside the except block: the error holds references to the batch's tensors.
        clear_device_cache(garbage_collection=True)
        half = len(batch) // 2
        self.limit = half * max(map(cost, batch))
        logger.warning("Out of memory with a batch of %d; continuing with %d.", len(batch), half)
        return False
