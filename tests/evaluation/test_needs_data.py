"""What a task of the evaluations needs of others' data, in the form in which it is fetched and missed."""

from pathlib import Path

import pytest

from spectrum_trl.evaluation.distributional_tasks.nytimes import TASK as NYTIMES
from spectrum_trl.evaluation.needs_data import NeedsData
from spectrum_trl.suite.source import Download

HERE = Download(path="films/a.csv", url="https://example.org/a.csv")
FILMS = NeedsData(
    name="films",
    source="Films",
    files=("films/*.csv",),
    licence="CC0",
    url="https://example.org",
    downloads=(HERE,),
)


def test_where_the_data_come_from_is_a_source_that_can_be_fetched() -> None:
    found = FILMS.origin
    assert (found.name, found.title, found.homepage, found.licence) == (
        "films",
        "Films",
        "https://example.org",
        "CC0",
    )
    assert found.downloads == (HERE,) and found.access == "fetch"


def test_patterns_that_match_nothing_are_missing(tmp_path: Path) -> None:
    assert FILMS.missing(None) == FILMS.missing(tmp_path) == ["films/*.csv"]
    (tmp_path / "films").mkdir()
    (tmp_path / "films" / "b.csv").touch()
    assert FILMS.missing(tmp_path) == []


def test_a_task_of_the_evaluations_is_such_a_need() -> None:
    with pytest.raises(AttributeError):
        NYTIMES.name = "x"  # type: ignore[misc]
    assert isinstance(NYTIMES, NeedsData) and NYTIMES.origin.title == NYTIMES.source
