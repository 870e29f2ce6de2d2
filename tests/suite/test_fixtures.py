"""Every invented data set serves every task of its source, and every source says what it does otherwise."""

import importlib
import re
from collections import Counter
from pathlib import Path

import pytest

from spectrum_trl.suite.catalogue import suite_sources, suite_tasks
from spectrum_trl.suite.task import Task

FOLDER = Path(__file__).parent / "fixtures"
SOURCES = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem != "__init__")
SAMPLINGS = pytest.mark.parametrize("paper", [False, True], ids=["default", "paper"])


def tasks(name: str) -> list[Task]:
    return [task for task in suite_tasks().values() if task.source.name == name]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {name: _written(name, tmp_path_factory.mktemp(name)) for name in SOURCES}


def _written(name: str, folder: Path) -> Path:
    importlib.import_module(f"tests.suite.fixtures.{name}").write(folder)
    return folder


def test_every_source_has_an_invented_data_set() -> None:
    assert SOURCES == list(suite_sources())


@SAMPLINGS
@pytest.mark.parametrize("name", SOURCES)
def test_every_task_yields_two_sequences_or_more_which_the_seed_alone_decides(
    name: str, paper: bool, folders: dict[str, Path]
) -> None:
    for task in tasks(name):
        if paper and task.paper is None:
            continue
        assert not task.missing(folders[name])
        dropped: Counter[str] = Counter()
        found = list(task.sequences(folders[name], seed=0, dropped=dropped, paper=paper))
        assert len(found) >= 2, task.name
        assert len({each.sequence_id for each in found}) == len(found)
        assert found == list(task.sequences(folders[name], seed=0, paper=paper))
        assert found != list(task.sequences(folders[name], seed=1, paper=paper))
        for sequence in found:
            roles = [message["role"] for message in sequence.messages]
            assert roles[0] == "description" and sequence.n_outputs > 0
            # Either outputs alone, or inputs each with its output.
            assert roles[1:] in (["output"] * sequence.n_outputs, ["input", "output"] * sequence.n_outputs)
            assert all(message["content"].strip() for message in sequence.messages)
            assert not re.search(r"\bnan\b", sequence.messages[0]["content"])
