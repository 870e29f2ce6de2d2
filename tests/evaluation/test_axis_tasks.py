"""What a task of the evaluations needs of others' data is fetched, or reported as missing."""

from pathlib import Path

import pytest

from spectrum_trl.errors import UserError
from spectrum_trl.evaluation.axis_tasks import PROMPTS, NeedsData, diversity_tasks, prompted, read_prompts
from spectrum_trl.suite.source import Source

FILMS = NeedsData(
    name="films",
    source=Source(name="films", title="Films", homepage="https://example.org"),
    files=("films/*.csv",),
)


def test_patterns_that_match_nothing_are_missing(tmp_path: Path) -> None:
    assert FILMS.missing(None) == FILMS.missing(tmp_path) == ["films/*.csv"]
    (tmp_path / "films").mkdir()
    (tmp_path / "films" / "b.csv").touch()
    assert FILMS.missing(tmp_path) == [] and FILMS.absent(tmp_path) is None


def test_what_cannot_be_fetched_is_reported_with_where_to_get_it(tmp_path: Path) -> None:
    found = FILMS.absent(tmp_path)
    assert found is not None and found.files == "films/*.csv"
    assert "Films" in found.how and "https://example.org" in found.how


def test_why_a_fetch_failed_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "spectrum_trl.evaluation.axis_tasks.ensure_sources", lambda sources, *, data_dir: ["no network"]
    )
    found = FILMS.absent(tmp_path)
    assert found is not None and found.how == "no network"


def test_a_misspelt_prompt_is_told_the_nearest() -> None:
    with pytest.raises(UserError, match="no row 'weekdays_ful'. Did you mean 'weekdays_full'?"):
        prompted("weekdays_ful")


def test_every_prompt_has_its_task() -> None:
    assert read_prompts(PROMPTS).keys() == diversity_tasks().keys()
