from pathlib import Path

import pytest

from tests.grid.jobs import MODEL, TASK
from tests.processes import run_command


@pytest.fixture(scope="session")
def results(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The results of real evaluations of one row, with the seeds 1, 2 and 3."""
    folders = [tmp_path_factory.mktemp(f"seed_{seed}") for seed in (1, 2, 3)]
    for seed, folder in enumerate(folders, start=1):
        words = ["--tasks", TASK, "--format", "spectrum", "--limit", "1", "--metadata", f"seed={seed}"]
        done = run_command("eval", MODEL, *words, "--output", folder)
        assert done.returncode == 0, done.stderr
    return folders
