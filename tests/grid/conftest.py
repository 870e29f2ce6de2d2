from collections.abc import Callable
from pathlib import Path

import pytest

from tests.grid.jobs import MODEL, TASK
from tests.processes import run_command


@pytest.fixture(scope="session")
def results_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Path]:
    """Return the results of a real evaluation of one row, with a seed."""
    folder = tmp_path_factory.mktemp("evaluated")
    made: dict[int, Path] = {}

    def results(seed: int) -> Path:
        if seed not in made:
            made[seed] = folder / str(seed)
            words = ["--tasks", TASK, "--format", "spectrum", "--limit", "1", "--metadata", f"seed={seed}"]
            done = run_command("eval", MODEL, *words, "--output", made[seed])
            assert done.returncode == 0, done.stderr
        return made[seed]

    return results
