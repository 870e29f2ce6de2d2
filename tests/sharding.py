"""Let accelerate shard on CPU processes, so that the real path of FSDP runs without GPUs.

accelerate 1.15 applies FSDP to accelerators only: CPU processes are missing from one list in
``AcceleratorState.__init__``. torch shards over gloo all the same. For tests only.
"""

from typing import Any

from accelerate.state import AcceleratorState, PartialState
from accelerate.utils import DistributedType


def shard_on_cpu() -> None:
    """Choose FSDP in CPU processes, too, wherever a plugin for it is passed."""
    original = AcceleratorState.__init__

    def init(self: Any, *args: Any, **settings: Any) -> None:
        original(self, *args, **settings)
        plugin = settings.get("fsdp_plugin")
        if plugin is None or self.distributed_type != DistributedType.MULTI_CPU:
            return
        self.distributed_type = DistributedType.FSDP
        if self._mixed_precision != "no":
            plugin.set_mixed_precision(self._mixed_precision)
        self.fsdp_plugin = plugin
        PartialState._shared_state["distributed_type"] = DistributedType.FSDP

    AcceleratorState.__init__ = init  # type: ignore[method-assign]
