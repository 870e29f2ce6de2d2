"""What tasks need is fetched before they are built, and what cannot be is told."""

from pathlib import Path

from spectrum_trl.suite.fetching.status import ensure
from spectrum_trl.suite.own.table import read_own
from tests.messages import named
from tests.suite.fetching.server import Site


def test_every_table_of_ones_own_is_fetched(site: Site, tmp_path: Path) -> None:
    tasks = []
    for name in ("one", "two"):
        site.files[f"/{name}.csv"] = b"user,stars\nann,1\n"
        keys = f"{{file: {site.address}/{name}.csv, group_by: user, output: stars, descriptions: [x]}}"
        (tmp_path / f"{name}.yaml").write_text(f"task: {name}\nspectrum: {keys}\n")
        tasks.append(read_own(tmp_path / f"{name}.yaml"))
    assert ensure(tasks, data_dir=tmp_path) == []
    assert not any(task.missing(tmp_path) for task in tasks)
    (tmp_path / tasks[0].files[0]).unlink()
    site.files.clear()
    (problem,) = ensure(tasks, data_dir=tmp_path)
    assert named(problem, "one.csv", 404)
