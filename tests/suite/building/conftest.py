import importlib
from pathlib import Path

import pytest

# Sources whose invented data are small, and their tasks.
SOURCES = ("titanic", "chemistry", "haikus")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What can be built again goes into a folder of this test; nothing is fetched."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("SPECTRUM_CACHE", str(folder))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.delenv("SPECTRUM_DATA", raising=False)
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "datasets")
    return folder


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder with invented data of three sources."""
    folder = tmp_path / "data"
    for name in SOURCES:
        importlib.import_module(f"tests.suite.fixtures.{name}").write(folder)
    return folder


@pytest.fixture
def names() -> list[str]:
    """The tasks of these sources."""
    found = [importlib.import_module(f"spectrum_trl.suite.sources.{name}").TASKS for name in SOURCES]
    return [task.name for tasks in found for task in tasks]
