"""States of the USA, by the package us."""

from pathlib import Path

import us

from spectrum_trl.evaluation.generation.task import GenerationTask, Valid

STATES = tuple(sorted(state.name for state in us.states.STATES))


def _state_name(data_dir: Path) -> Valid:
    return frozenset(name.casefold() for name in STATES).__contains__


TASKS = (
    GenerationTask(
        name="us_states_full_names",
        description="The name of a state of the USA",
        examples=("Ohio", "New Mexico", "Vermont"),
        validator=_state_name,
        canonical=lambda text: text.strip().casefold(),
        universe=tuple(name.casefold() for name in STATES),
        max_new_tokens=8,
        source="the package us",
        licence="BSD-2-Clause",
    ),
)
