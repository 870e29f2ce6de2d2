"""The command on real evaluations: here, on a scheduler of the tests' own, and on SLURM itself."""

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml

from spectrum_trl.strict.json import read_json
from tests.grid import fake_slurm, real_slurm
from tests.processes import run_command

MATRIX = {
    "model": ["spectrum-trl/tiny-base", "runs/nowhere"],
    "tasks": ["spectrum_dist_states"],
    "format": "spectrum",
    "limit": 1,
    "seed": 1,
}
# One more, in a column of its own.
MORE = {"model": "spectrum-trl/tiny-base", "tasks": "spectrum_dist_states", "format": "colon", "limit": 1}
ENVIRONMENT = {"HF_HUB_OFFLINE": 1, "OMP_NUM_THREADS": 1}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    written = tmp_path / "small.yaml"
    slurm = {"time": 10, "array_parallelism": 2, "cpus_per_task": 1}
    values = {"command": "eval", "matrix": MATRIX, "environment": ENVIRONMENT, "slurm": slurm}
    written.write_text(yaml.safe_dump(values | {"output": str(tmp_path / "out")}, sort_keys=False))
    return written


@pytest.mark.slow
def test_a_grid_runs_here_goes_on_where_it_was_and_ends_in_a_report(file: Path, tmp_path: Path) -> None:
    done = run_command("grid", file, "--local", "2")
    assert done.returncode == 2 and "1 failed, 1 done" in done.stdout, done.stderr
    assert "nowhere" in done.stderr and "--retry failed" in done.stderr
    (command,) = (line for line in done.stdout.splitlines() if line.startswith("spectrum-trl report "))
    page = tmp_path / "report.html"
    again = run_command("grid", file, "--local", "2", "--report", page)
    assert again.returncode == 2 and ": running" not in again.stdout
    assert "tiny-base" in page.read_text() and "tiny-base=" in command
    table = run_command("grid", file)
    assert table.returncode == 0 and "1 failed, 1 done" in table.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--print", "--slurm"], "exclude each other"),
        (["--retry", "failed"], "--retry needs"),
        (["--local", "1", "--report", "no/such/folder.html"], "there is no folder"),
    ],
)
def test_options_that_make_no_sense_together_are_refused(
    words: list[str], said: str, file: Path, run_here: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    done = run_here("grid", file, *words)
    assert done.returncode == 2 and said in done.stderr and not (file.parent / "out").exists()


@pytest.fixture(params=["fake", "real"])
def slurm(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[dict[str, str]]:
    if request.param == "fake":
        yield fake_slurm.install(tmp_path / "slurm")
        return
    if why := real_slurm.missing():
        pytest.skip(why)
    with real_slurm.started(tmp_path / "slurm") as environment:
        yield environment


@pytest.mark.nightly
def test_slurm_runs_a_grid_with_a_preempted_and_a_failed_job(
    slurm: dict[str, str], file: Path, tmp_path: Path
) -> None:
    page, values = tmp_path / "report.html", yaml.safe_load(file.read_text())
    values["matrix"]["include"] = [MORE]
    file.write_text(yaml.safe_dump(values, sort_keys=False))
    with ThreadPoolExecutor() as pool:
        running = pool.submit(run_command, "grid", file, "--slurm", "--report", page, **slurm)
        preempted = preempt(tmp_path / "out", environment=slurm)
        done = running.result()
    assert done.returncode == 2 and "2 done" in done.stdout and "1 failed" in done.stdout, done.stderr
    assert "nowhere" in done.stderr
    logs = [log.read_text() for log in (tmp_path / "out" / "slurm").rglob("*_log.*")]
    assert any(f"Requeued job {preempted}" in text for text in logs)
    assert "tiny-base spectrum" in page.read_text() and "tiny-base colon" in page.read_text()
    # Nothing is submitted again.
    again = run_command("grid", file, "--slurm", **slurm)
    assert again.returncode == 2 and "2 done" in again.stdout and ": running" not in again.stdout


def preempt(output: Path, *, environment: dict[str, str]) -> str:
    """Send a running job of the tiny model the signal that SLURM sends before its end; return its id."""
    for _ in range(1200):
        for log in output.glob("tiny-base*/log.txt"):
            if log.with_name("submitted.json").exists():
                job = str(read_json(log.with_name("submitted.json"))["slurm"])
                words = ["scancel", "--signal=USR2", job]
                subprocess.run(words, env={**os.environ, **environment}, check=True)
                return job
        time.sleep(0.1)
    raise AssertionError("no job was started")
