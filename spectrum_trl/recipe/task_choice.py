"""What a recipe can say about tasks and of the user's own files, parsed in one place to one type."""

import os
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

# A weight repeats each sequence, or is the chance of keeping it; anything beyond is a typo, and would fill
# the disk or leave nothing.
SMALLEST_WEIGHT, LARGEST_WEIGHT = 0.001, 1000


def _no_switch(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError(f"expected a number, but it is {value!r}")
    return value


_NoSwitch = BeforeValidator(_no_switch)


class TaskOptions(BaseModel):
    """What a recipe can say about one task or glob.

    Attributes:
        max_sequences: Cap on the sequences, or None for the recipe's own ``max_sequences``.
        weight: How often each sequence is repeated; a fraction is the chance of one more copy.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    max_sequences: Annotated[int | None, _NoSwitch] = Field(default=None, ge=1)
    weight: Annotated[float, _NoSwitch] = Field(
        default=1.0, ge=SMALLEST_WEIGHT, le=LARGEST_WEIGHT, allow_inf_nan=False
    )


class FileOptions(TaskOptions):
    """What a recipe can say about one of the user's own files.

    Attributes:
        description_probability: Chance that a conversation keeps its description; 1 keeps it as written.
    """

    description_probability: Annotated[float, _NoSwitch] = Field(default=1.0, ge=0, le=1)


def split_commas(value: Any) -> Any:
    """Split text at its commas; anything else stays as it is."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def _named(value: Any) -> Any:
    """Return a list or comma-separated text of names as a mapping of each to None."""
    if value is None:
        return {}
    names = split_commas(value)
    if not isinstance(names, list):
        return value
    if any(not isinstance(name, str) for name in names):
        raise ValueError("expected names as text")
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"expected each name once, but {', '.join(repeated)} is repeated; set its weight")
    return dict.fromkeys(names)


def _different_files(chosen: dict[str, FileOptions]) -> dict[str, FileOptions]:
    """Refuse two names of one file, which would be trained on twice."""
    names: dict[str, str] = {}
    for name in chosen:
        if (other := names.setdefault(os.path.realpath(name), name)) != name:
            raise ValueError(f"expected each file once, but {name} is {other}; set its weight")
    return chosen


_Defaults = BeforeValidator(lambda value: {} if value is None else value)
TaskChoice = Annotated[dict[str, Annotated[TaskOptions, _Defaults]], BeforeValidator(_named)]
FileChoice = Annotated[
    dict[str, Annotated[FileOptions, _Defaults]], BeforeValidator(_named), AfterValidator(_different_files)
]
