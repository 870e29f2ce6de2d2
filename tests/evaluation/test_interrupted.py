"""An evaluation that is ended goes on with the figures of an unbroken one; two may share an output."""

import json
import os
import signal
import sqlite3
import time
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest

from tests.evaluation.test_evaluate import evaluate
from tests.messages import named
from tests.processes import start_recipe

# Some seconds of work, of which one task is finished soon.
LONG = ["--tasks", "spectrum_dist_states,spectrum_dist_urn,spectrum_div_rng_1_100", "--limit", "100"]
LONG += ["--metadata", "sequences=100,samples=20"]


def figures(output: Path) -> dict[str, Any]:
    newest = max(output.glob("*/results_*.json"), key=lambda file: file.name)
    found: dict[str, Any] = json.loads(newest.read_text())["results"]
    return found


def start(output: Path, log: Path, *words: str) -> BaseProcess:
    command = ["eval", "spectrum-trl/tiny-base", "--format", "spectrum", "--output", output, *LONG, *words]
    return start_recipe("spectrum-trl", *command, output=log)


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("unbroken")
    assert evaluate(folder, *LONG).returncode == 0
    return figures(folder)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("how", "code"),
    [(signal.SIGKILL, -signal.SIGKILL), (signal.SIGTERM, -signal.SIGTERM), (signal.SIGINT, 130)],
)
def test_ended_in_the_middle_it_goes_on_with_the_same_figures(
    unbroken: dict[str, Any], tmp_path: Path, how: signal.Signals, code: int
) -> None:
    (tmp_path / "log").touch()
    process, until = start(tmp_path / "cut", tmp_path / "log"), time.monotonic() + 120
    while "2/3 spectrum_dist_urn" not in (tmp_path / "log").read_text() and time.monotonic() < until:
        time.sleep(0.05)
    os.kill(process.pid, how)
    process.join(60)
    assert process.exitcode == code, (tmp_path / "log").read_text()
    assert "Traceback" not in (tmp_path / "log").read_text()
    done = evaluate(tmp_path / "cut", *LONG)
    assert done.returncode == 0 and named(done.stdout, "spectrum_dist_states", "cached")
    assert figures(tmp_path / "cut") == unbroken


@pytest.mark.slow
def test_two_evaluations_share_an_output(unbroken: dict[str, Any], tmp_path: Path) -> None:
    both = [start(tmp_path / "out", tmp_path / f"log{n}") for n in range(2)]
    for n, process in enumerate(both):
        process.join(240)
        log = (tmp_path / f"log{n}").read_text()
        assert process.exitcode == 0 and "Traceback" not in log, log
    for file in (tmp_path / "out").glob("*/results_*.json"):
        found = json.loads(file.read_text())["results"]
        assert found.keys() == unbroken.keys()
        for task, values in unbroken.items():
            assert found[task].keys() == values.keys()
            # Answers that one finds of the other leave batches of other shapes, which round otherwise.
            numbers = {name: value for name, value in values.items() if isinstance(value, float)}
            assert {name: found[task][name] for name in numbers} == pytest.approx(numbers, rel=1e-5, abs=1e-6)
    assert not list((tmp_path / "out").rglob("*.tmp"))


@pytest.mark.slow
def test_a_fresh_evaluation_leaves_a_running_one_its_answers(
    unbroken: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "log").touch()
    process, until = start(tmp_path / "out", tmp_path / "log"), time.monotonic() + 120
    while "2/3 spectrum_dist_urn" not in (tmp_path / "log").read_text() and time.monotonic() < until:
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGSTOP)
    (store,) = (tmp_path / "out" / ".finished").glob("answers_*.db")
    before = n_answers(store)
    fresh = evaluate(tmp_path / "out", *LONG, "--tasks", "spectrum_dist_states", "--fresh")
    assert fresh.returncode == 0 and "cached" not in fresh.stdout, fresh.stderr
    os.kill(process.pid, signal.SIGCONT)
    process.join(240)
    files = (tmp_path / "out").glob("*/results_*.json")
    assert process.exitcode == 0 and unbroken in [json.loads(file.read_text())["results"] for file in files]
    assert before > 0 and n_answers(store) >= before


def n_answers(store: Path) -> int:
    with sqlite3.connect(store) as database:
        return int(database.execute("SELECT count(*) FROM answers").fetchone()[0])
