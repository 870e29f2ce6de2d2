"""Jobs on this machine: bounded, pinned, ended cleanly, and never run again once their results are there."""

import os
import shutil
import signal
import threading
import time
from pathlib import Path

import psutil
import pytest

from spectrum_trl.console import console
from spectrum_trl.errors import Interrupted
from spectrum_trl.grid import local
from spectrum_trl.grid.states import LOG, State, look
from tests.grid.jobs import copying, grid_of, job


def test_so_many_run_at_a_time_and_each_has_its_log(
    tmp_path: Path, results: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    output, spans = tmp_path / "grid", tmp_path / "spans"
    waiting = f"echo hello; date +%s.%N >> {spans}; sleep 0.5; date +%s.%N >> {spans}"
    jobs = [copying(output, f"job{n}", results[n - 1], seed=n, first=waiting) for n in (1, 2, 3)]
    jobs.append(job(output, "bad", "echo error: no luck; exit 3", seed=4))
    local.run(grid_of(output, jobs), jobs, parallel=2, out=console())
    seen = look(jobs, output=output)
    assert [seen[one.name].state for one in jobs] == [State.DONE] * 3 + [State.FAILED]
    assert seen["bad"].detail == "exit code 3: error: no luck"
    assert (output / "job1" / LOG).read_text() == "hello\n"
    times = sorted(map(float, spans.read_text().split()))
    # Two start before the first ends, the third after it.
    assert len(times) == 6 and times[2] - times[0] >= 0.5
    assert "job3: done" in capsys.readouterr().out


def test_what_is_done_is_known_by_the_results_not_by_the_folder(tmp_path: Path, results: list[Path]) -> None:
    output = tmp_path / "grid"
    one, other = jobs = [job(output, f"job{n}", "true", seed=n) for n in (1, 2)]
    other.folder.mkdir(parents=True)
    assert {seen.state for seen in look(jobs, output=output).values()} == {State.WAITING}
    shutil.copytree(results[0], output / "another name" / "results")
    seen = look(jobs, output=output)
    assert (seen["job1"].state, seen["job2"].state) == (State.DONE, State.WAITING)
    limited = one._replace(wanted=one.wanted._replace(limit=2))
    more = one._replace(wanted=one.wanted._replace(tasks=(*one.wanted.tasks, "spectrum_dist_urn")))
    for changed in (limited, more):
        assert look([changed], output=output)["job1"].state == State.WAITING
    for file in (output / "another name").rglob("results_*.json"):
        file.write_text(file.read_text()[:100])
    assert look(jobs, output=output)["job1"].state == State.WAITING


def test_results_of_a_model_written_since_do_not_count(tmp_path: Path, results: list[Path]) -> None:
    output = tmp_path / "grid"
    one = job(output, "job1", "true", seed=1)
    shutil.copytree(results[0], output / "job1" / "results")
    (file,) = (output / "job1").rglob("results_*.json")
    os.utime(file, (1, 1))
    assert look([one], output=output)["job1"].state == State.WAITING


def test_ctrl_c_ends_the_processes_which_the_same_command_starts_again(
    tmp_path: Path, results: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    # In the background of a shell it ignores Ctrl-C.
    monkeypatch.setattr(local, "STEPS", ((signal.SIGINT, 0.3), *local.STEPS[1:]))
    output, mark = tmp_path / "grid", tmp_path / "started"
    first = f"{{ test -e {mark} || {{ touch {mark}; sleep 60 & wait; }}; }}"
    jobs = [
        copying(output, "one", results[0], seed=1, first=first),
        copying(output, "two", results[1], seed=2),
    ]
    grid = grid_of(output, jobs)

    def interrupt() -> None:
        while not mark.exists():
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    with pytest.raises(Interrupted, match="run the same command"):
        local.run(grid, jobs, parallel=1, out=console(quiet=True))
    assert not [child for child in psutil.Process().children(recursive=True) if "sleep" in child.cmdline()]
    seen = look(jobs, output=output)
    assert (seen["one"].state, seen["two"].state) == (State.STOPPED, State.WAITING)
    local.run(grid, jobs, parallel=1, out=console(quiet=True))
    assert {one.state for one in look(jobs, output=output).values()} == {State.DONE}


@pytest.mark.parametrize(
    ("parallel", "devices", "pinned"),
    [
        (2, ["0", "1", "2", "3"], ["0,1", "2,3"]),
        (2, ["2", "5"], ["2", "5"]),
        (3, ["GPU-a", "GPU-b"], ["GPU-a", "GPU-b", "GPU-a"]),
        (1, ["0", "1"], ["0,1"]),
    ],
)
def test_each_job_has_its_devices(parallel: int, devices: list[str], pinned: list[str]) -> None:
    found = local.pinned(parallel, devices=lambda: devices)
    assert found == [{"CUDA_VISIBLE_DEVICES": names} for names in pinned]


def test_nothing_is_pinned_without_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    assert local.pinned(2, devices=list) == [{}, {}]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3, 4")
    assert local.visible_devices() == ["3", "4"]
