"""A report compares what is comparable, or says in one message why not."""

from pathlib import Path

import pytest
from rich.console import Console

from spectrum_trl.errors import UserError
from spectrum_trl.tiny import measure
from spectrum_trl.tiny.report import PICTURE, report_run


def test_a_report_is_a_table_and_a_picture(uniform_result: measure.TinyResult, tmp_path: Path) -> None:
    for name in ("before", "after"):
        measure.save(uniform_result, tmp_path / f"{name}.json")
    out = Console(record=True, width=200)
    report_run(tmp_path, out=out)
    assert "coverage" in out.export_text() and (tmp_path / PICTURE).is_file()


def test_results_of_different_seeds_are_not_compared(
    uniform_result: measure.TinyResult, tmp_path: Path
) -> None:
    measure.save(uniform_result, tmp_path / "before.json")
    measure.save(uniform_result._replace(seed=1), tmp_path / "after.json")
    with pytest.raises(UserError, match="different seeds"):
        report_run(tmp_path)


def test_a_folder_in_the_place_of_the_picture_is_told_first(
    uniform_result: measure.TinyResult, tmp_path: Path
) -> None:
    measure.save(uniform_result, tmp_path / "after.json")
    (tmp_path / PICTURE).mkdir()
    with pytest.raises(UserError, match="is a folder; name a file"):
        report_run(tmp_path)
