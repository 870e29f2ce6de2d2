"""Parse a recipe's choice of tasks and of the user's own files."""

import os
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

# A weight repeats each sequence, or is the probability of keeping it; anything beyond these limits is a typo,
# and would fill the disk or leave no data.
SMALLEST_WEIGHT, LARGEST_WEIGHT = 0.001, 1000


def _no_switch(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError(f"expected a number, but it is {value!r}")
    return value


_NoSwitch = BeforeValidator(_no_switch)


class TaskOptions(BaseModel):
    """Options of one task or glob.

    Attributes:
        max_sequences: Cap on the number of sequences, or None for the recipe's ``max_sequences``.
        weight: Number of copies of each sequence; a fractional part is the probability of one more copy.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    max_sequences: Annotated[int | None, _NoSwitch] = Field(default=None, ge=1)
    weight: Annotated[float, _NoSwitch] = Field(
        default=1.0, ge=SMALLEST_WEIGHT, le=LARGEST_WEIGHT, allow_inf_nan=False
    )


class FileOptions(TaskOptions):
    """Options of one of the user's own files.

    Attributes:
        description_probability: Probability that a conversation keeps its description, in [0, 1].
    """

    description_probability: Annotated[float, _NoSwitch] = Field(default=1.0, ge=0, le=1)


def split_commas(value: Any) -> Any:
    """Split text at its commas; return anything else unchanged."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def _named(value: Any) -> Any:
    """Convert a list or comma-separated text of names to a mapping of each to None."""
    if value is None:
        return {}
    names = split_commas(value)
    if not isinstance(names, list):
        return value
    if any(not isinstance(name, str) for name in names):
        raise ValueError("expected names to be text")
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"expected each name once, but {', '.join(repeated)} is repeated; set its weight")
    return dict.fromkeys(names)


def _different_files(chosen: dict[str, FileOptions]) -> dict[str, FileOptions]:
    """Reject two names for the same file, which would be trained on twice."""
    names: dict[str, str] = {}
    for name in chosen:
        if (other := names.setdefault(os.path.realpath(name), name)) != name:
            raise ValueError(f"expected each file once, but {name} is the same as {other}; set its weight")
    return chosen


_Defaults = BeforeValidator(lambda value: {} if value is None else value)
TaskChoice = Annotated[dict[str, Annotated[TaskOptions, _Defaults]], BeforeValidator(_named)]
FileChoice = Annotated[
    dict[str, Annotated[FileOptions, _Defaults]], BeforeValidator(_named), AfterValidator(_different_files)
]
