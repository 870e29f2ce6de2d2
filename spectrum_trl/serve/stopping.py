"""Let a model stop between two forward passes, once nobody waits for what it computes."""

from collections.abc import Callable

from torch.utils.hooks import RemovableHandle
from transformers import PreTrainedModel


class GivenUp(BaseException):
    """Nobody waits for what the model computes; no error, so that what handles errors lets it pass."""


def stop_when(model: PreTrainedModel, given_up: Callable[[], bool]) -> RemovableHandle:
    """Let a model raise `GivenUp` instead of its next forward pass as soon as ``given_up`` returns True.

    Args:
        model: The model.
        given_up: Called before each forward pass, in its thread.

    Returns:
        What ends this: its ``remove``.
    """

    def check(*_: object) -> None:
        if given_up():
            raise GivenUp

    return model.register_forward_pre_hook(check)
