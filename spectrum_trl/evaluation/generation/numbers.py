"""Numbers."""

from pathlib import Path

from spectrum_trl.evaluation.generation.task import GenerationTask, Valid

RANGE = tuple(map(str, range(1, 101)))


def _in_range(data_dir: Path) -> Valid:
    return frozenset(RANGE).__contains__


TASKS = (
    GenerationTask(
        name="rng_1_100",
        description="A whole number between 1 and 100, each equally likely",
        examples=("73", "8", "41"),
        validator=_in_range,
        universe=RANGE,
        max_new_tokens=5,
        source="synthetic",
        licence="none needed",
    ),
)
