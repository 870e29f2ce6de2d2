"""What is done otherwise than in the research code is listed once, and names tasks that exist."""

from spectrum_trl.suite.catalogue import suite_tasks
from spectrum_trl.suite.write_docs import deviations


def test_every_row_is_whole_and_every_task_exists() -> None:
    found = deviations()
    assert len(found) > 100 and len(set(found)) == len(found)
    for each in found:
        assert each.tasks and set(each.tasks) <= set(suite_tasks())
        assert all(isinstance(part, str) and part.strip() == part and part for part in each[1:])


def test_the_tasks_of_a_row_have_one_source_or_are_synthetic() -> None:
    for each in deviations():
        tasks = [suite_tasks()[name] for name in each.tasks]
        assert len({"synthetic" if task.synthetic else task.source.name for task in tasks}) == 1
