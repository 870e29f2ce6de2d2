"""Jobs in SLURM: a scheduler of the tests' own that runs, fails, preempts and times them out."""

import os
import signal
import time
from pathlib import Path

import psutil
import pytest
import submitit

from spectrum_trl.console import console
from spectrum_trl.errors import UserError
from spectrum_trl.grid import slurm
from spectrum_trl.grid.queue import Queue
from spectrum_trl.grid.states import LOG, State, look, submission
from tests.grid import fake_slurm
from tests.grid.jobs import copying, grid_of, job

PAUSE = 0.1


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    environment = fake_slurm.install(tmp_path / "slurm")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return environment


def test_jobs_are_done_failed_preempted_and_timed_out_and_the_failed_retried(
    fake: dict[str, str],
    tmp_path: Path,
    results: list[Path],
    capsys: pytest.CaptureFixture[str],
) -> None:
    output, mended = tmp_path / "grid", tmp_path / "mended"
    # The first start waits for its end; the second finds the mark of the first, and goes on.
    once = f"{{ test -e {tmp_path}/NAME || {{ touch {tmp_path}/NAME; exec sleep 60; }}; }}"
    unlucky = f"{{ test -e {mended} || {{ echo error: no luck; exit 3; }}; }}"
    jobs = [
        copying(output, "bad", results[0], seed=1, first=unlucky),
        copying(output, "preempted", results[1], seed=2, first=once.replace("NAME", "preempted")),
        copying(output, "killed", results[2], seed=3, first=once.replace("NAME", "killed")),
        job(output, "late", f"test -e {mended} || exec sleep 60", seed=4),
    ]
    grid = grid_of(output, jobs, time=60, array_parallelism=3)
    fake_slurm.plan(fake, preempt=[1], kill=[2], timeout=[3])
    slurm.submit(grid, jobs, executor=slurm.executor(grid))
    script = next(Path(fake["FAKE_SLURM"]).glob("script_*")).read_text()
    assert "--array=0-3%3" in script and "#SBATCH --requeue\n" in script and "--time=60" in script
    seen = slurm.watch(grid, queue=Queue(), out=console(), seconds=PAUSE)
    states = {name: one.state for name, one in seen.items()}
    wanted = {"preempted": State.DONE, "killed": State.DONE, "bad": State.FAILED, "late": State.FAILED}
    assert states == wanted
    assert "no luck" in seen["bad"].detail and "TIMEOUT" in seen["late"].detail
    assert sorted(fake_slurm.starts(fake).values()) == [1, 1, 2, 2]
    assert "preempted: done" in capsys.readouterr().out

    again = [one for one in jobs if seen[one.name].state == State.FAILED]
    mended.touch()
    slurm.submit(grid, again, executor=slurm.executor(grid))
    seen = slurm.watch(grid, queue=Queue(), out=console(), seconds=PAUSE)
    # The other one ended well this time, but left no results.
    assert seen["bad"].state == State.DONE and "results are not there" in seen["late"].detail


def test_ctrl_c_leaves_jobs_which_another_command_sees_and_cancels(
    fake: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "grid"
    (one,) = jobs = [job(output, "long", "exec sleep 60", seed=1)]
    grid = grid_of(output, jobs, time=60)
    slurm.submit(grid, jobs, executor=slurm.executor(grid))

    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(UserError, match="go on in SLURM"):
        patched.setattr(slurm.time, "sleep", interrupt)
        slurm.watch(grid, queue=Queue(), out=console())
    for _ in range(600):
        if (output / "long" / LOG).exists():
            break
        time.sleep(PAUSE)
    queue = Queue()
    assert look(jobs, output=output, queue=queue)["long"].state == State.RUNNING
    queue.cancel([submission(one).slurm])
    seen = slurm.watch(grid, queue=queue, out=console(), seconds=PAUSE)
    assert seen["long"].state == State.FAILED and "CANCELLED" in seen["long"].detail


def test_submitits_local_executor_runs_and_requeues_what_it_signals(
    tmp_path: Path, results: list[Path]
) -> None:
    output = tmp_path / "grid"
    mark = tmp_path / "started"
    first = f"{{ test -e {mark} || {{ touch {mark}; exec sleep 60; }}; }}"
    jobs = [copying(output, "one", results[0], seed=1, first=first)]
    work = slurm.work_of(jobs[0], {})
    sent = submitit.LocalExecutor(folder=tmp_path / "submitit").submit(work)
    while not mark.exists():
        time.sleep(PAUSE)
    # The job itself is a child of submitit's controller, which starts it again.
    psutil.Process(int(sent.job_id)).children()[0].send_signal(signal.SIGUSR2)
    assert sent.result() is None
    seen = look(jobs, output=output)
    assert seen["one"].state == State.DONE


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"time": 5, "partitoin": "gpu"}, "Did you mean 'partition'"),
        ({"partition": "gpu"}, "time is missing"),
        ({"time": 5, "max_num_timeout": "often"}, "invalid literal"),
    ],
)
def test_wrong_parameters_are_found_before_anything_is_submitted(
    given: dict[str, object], said: str, fake: dict[str, str], tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=said):
        slurm.executor(grid_of(tmp_path / "grid", [job(tmp_path, "a", "true", seed=1)], **given))
    assert not (tmp_path / "grid").exists()


def test_a_machine_without_slurm_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", os.fspath(tmp_path))
    with pytest.raises(UserError, match="srun"):
        slurm.executor(grid_of(tmp_path, [job(tmp_path, "a", "true", seed=1)], time=5))
    with pytest.raises(UserError, match="squeue is not on the PATH"):
        Queue().active()
