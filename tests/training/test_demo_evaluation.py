"""What a recipe shows beside its own results is checked before anything is trained."""

import json
from pathlib import Path

import pytest

from spectrum_trl.errors import UserError
from spectrum_trl.paths import bundled
from spectrum_trl.recipe.read import read_recipe
from spectrum_trl.tiny import scores as results
from spectrum_trl.tiny.report import report_run
from spectrum_trl.tiny.scores import TinyResult
from spectrum_trl.training.demo_evaluation import check_recorded
from tests.messages import naming

RECORD = bundled("recipes") / "demo_all_tokens.json"


def recorded(file: Path | str) -> None:
    check_recorded(read_recipe("demo", overrides=["--recorded", str(file)]))


def test_the_record_of_the_demo_is_of_what_is_measured() -> None:
    recorded(RECORD.name)


@pytest.mark.parametrize("change", [{"seed": 7}, {"part": "choice"}])
def test_a_record_of_other_items_is_refused(change: dict[str, object], tmp_path: Path) -> None:
    file = tmp_path / "record.json"
    file.write_text(json.dumps(json.loads(RECORD.read_text()) | change))
    with pytest.raises(UserError, match=naming("record.json", "other items")):
        recorded(file)


@pytest.mark.parametrize("name", ["nothing.json", ".", "x" * 300, "demo.yaml"])
def test_a_record_that_cannot_be_read_is_one_message(name: str) -> None:
    with pytest.raises(UserError, match="recorded: "):
        recorded(name)


def test_results_of_another_part_are_not_reported_together(
    uniform_result: TinyResult, tmp_path: Path
) -> None:
    results.save(uniform_result, tmp_path / "pretrained.json")
    results.save(uniform_result.model_copy(update={"part": "choice"}), tmp_path / "tuned.json")
    with pytest.raises(UserError, match="other items"):
        report_run(tmp_path)
