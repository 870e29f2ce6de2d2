"""A short run that every test here can start, continue and break."""

import shutil
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from tests.processes import run_recipe

TASKS = ["--tasks", '{"tiny_range": {"max_sequences": 40}}']
TINY_RUN = [
    "--copy_role_tokens_from", "",
    "--evaluate", "none",
    "--per_device_train_batch_size", "8",
    "--learning_rate", "1.5e-3",
    "--max_steps", "4",
    "--save_strategy", "steps",
    "--save_steps", "2",
    "--logging_steps", "1",
]  # fmt: skip


@pytest.fixture(scope="session")
def tiny_run() -> Callable[..., CompletedProcess[str]]:
    """Run four steps of the demo's recipe on few data into a folder; further words override."""

    def run(folder: Path, *words: str | Path, **environment: str) -> CompletedProcess[str]:
        own = [] if "--tasks" in words else TASKS
        return run_recipe("recipes/demo.yaml", *own, *TINY_RUN, "--output_dir", folder, *words, **environment)

    return run


@pytest.fixture(scope="session")
def _finished(
    tmp_path_factory: pytest.TempPathFactory, tiny_run: Callable[..., CompletedProcess[str]]
) -> Path:
    folder = tmp_path_factory.mktemp("finished") / "run"
    done = tiny_run(folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def finished_run(_finished: Path, tmp_path: Path) -> Path:
    """A copy of a finished run with checkpoints after steps 2 and 4."""
    return Path(shutil.copytree(_finished, tmp_path / "run"))
