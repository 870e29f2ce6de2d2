"""Count the bytes of living tensors while code runs on fake tensors, which have sizes but no memory."""

import weakref
from collections import Counter
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Live(TorchDispatchMode):
    """Counts, while it is active, every storage from its first appearance until it is freed.

    Attributes:
        kind: Label of storages that appear from now on.
        now: Bytes by label.
        peak: Bytes by label when there were the most in all.
    """

    def __init__(self) -> None:
        """Start with nothing."""
        super().__init__()
        self.kind = ""
        self.now: Counter[str] = Counter()
        self.peak: Counter[str] = Counter()
        self._known: dict[int, tuple[str, int]] = {}
        self._total = self._most = 0

    def label(self, tensor: torch.Tensor, kind: str) -> None:
        """Count a tensor under another label from now on."""
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key in self._known:
            old, size = self._known[key]
            self.now[old] -= size
        else:
            size = storage.nbytes()
            self._total += size
            weakref.finalize(storage, self._drop, key)
        self._known[key] = kind, size
        self.now[kind] += size
        if self._total > self._most:
            self._most, self.peak = self._total, Counter(self.now)

    def _drop(self, key: int) -> None:
        kind, size = self._known.pop(key)
        self.now[kind] -= size
        self._total -= size

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run an operation and count what it returns."""
        found = func(*args, **(kwargs or {}))
        for one in tree_leaves(found):
            if isinstance(one, torch.Tensor) and one.untyped_storage()._cdata not in self._known:
                self.label(one, self.kind)
        return found
