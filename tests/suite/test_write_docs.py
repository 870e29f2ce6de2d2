"""What is done otherwise than in the research code is listed once, and names tasks that exist."""

from pathlib import Path

import pytest

from spectrum_trl.errors import UserError
from spectrum_trl.suite.catalogue import suite_tasks
from spectrum_trl.suite.write_docs import deviations
from tests.messages import named


def test_every_row_is_whole_and_every_task_exists() -> None:
    found = deviations()
    assert len(found) > 100 and len(set(found)) == len(found)
    for each in found:
        assert each.tasks and set(each.tasks) <= set(suite_tasks())
        assert all(part and part.strip() == part for part in (each.research, each.here, each.effect))


def test_the_tasks_of_a_row_have_one_source_or_are_synthetic() -> None:
    for each in deviations():
        tasks = [suite_tasks()[name] for name in each.tasks]
        assert len({"synthetic" if task.synthetic else task.source.name for task in tasks}) == 1


def test_a_misspelt_key_is_told_with_its_row_and_the_nearest(tmp_path: Path) -> None:
    file, row = tmp_path / "deviations.yaml", "- {tasks: [a], research: b, here: c, %s: d}\n"
    file.write_text("deviations:\n" + row % "effect" + row % "efect")
    with pytest.raises(UserError) as caught:
        deviations(file)
    unknown, missing = sorted(caught.value.problems)
    assert named(unknown, file, "deviations.1.efect", "'efect'", "'effect'")
    assert named(missing, file, "deviations.1.effect", "missing")
