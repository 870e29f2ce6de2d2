"""``spectrum-trl app``: mistakes are told before a model is loaded, and a signal ends it at once."""

import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import httpx
import pytest

from spectrum_trl.app.draft import link
from spectrum_trl.paths import TINY_BASE_NAME
from tests.app.drafts import LONG, ask_for_long
from tests.messages import named
from tests.processes import start_recipe

Run = Callable[..., CompletedProcess[str]]


@contextmanager
def started(output: Path, *words: str) -> Iterator[tuple[BaseProcess, str]]:
    """Run the page in a process of its own; yields it and its address."""
    words = ("app", TINY_BASE_NAME, "--format", "colon", "--port", "0", *words)
    process = start_recipe("spectrum-trl", *words, output=output)
    try:
        deadline = time.monotonic() + 120
        while not (output.exists() and "http" in output.read_text()):
            assert process.is_alive() and time.monotonic() < deadline, output.read_text()
            time.sleep(0.05)
        url = output.read_text().split()[-1]
        assert url.startswith("http://127.0.0.1:")
        yield process, url
    finally:
        process.kill()
        process.join()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_page_although_it_is_open(tmp_path: Path, number: signal.Signals) -> None:
    with started(tmp_path / "output") as (process, url):
        # An open page holds this connection.
        with httpx.stream("GET", f"{url}/gradio_api/heartbeat/someone", timeout=60) as held:
            assert held.status_code == 200
            assert "spectrum-trl" in httpx.get(url).text
            assert httpx.get(url, headers={"Host": "site.example"}).status_code == 400
            assert httpx.get(f"{url}/openapi.json").status_code == 404
            os.kill(process.pid or 0, number)
            process.join(30)
        assert process.exitcode == (0 if number == signal.SIGTERM else 130)
    assert "Traceback" not in (tmp_path / "output").read_text()


@pytest.mark.slow
def test_a_signal_does_not_wait_for_a_long_answer(tmp_path: Path, browser: Any) -> None:
    with started(tmp_path / "output", "--max-new-tokens", "4096") as (process, url):
        ask_for_long(browser, f"{url}/{link(LONG)}")
        began = time.monotonic()
        os.kill(process.pid or 0, signal.SIGTERM)
        process.join(60)
        assert process.exitcode == 0 and time.monotonic() - began < 10
    assert "Traceback" not in (tmp_path / "output").read_text()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["no/such/model"], "no/such/model"),
        ([TINY_BASE_NAME], 'format="colon"'),
        ([TINY_BASE_NAME, "--compare-format", "colon"], "--compare-format: there is no second model"),
        ([TINY_BASE_NAME, "--host", "no.such.host.invalid"], "cannot listen at no.such.host.invalid"),
    ],
)
def test_mistakes_are_one_message(run_here: Run, words: list[str], expected: str) -> None:
    done = run_here("app", *words, "--port", "0")
    assert done.returncode == 2 and expected in done.stderr and done.stderr.count("error:") == 1


def test_samples_have_a_longest_length(run_here: Run) -> None:
    done = run_here("app", TINY_BASE_NAME, "--max-new-tokens", "4097")
    assert done.returncode == 2 and "4096" in done.stderr


def test_a_port_that_is_taken_is_told_before_a_model_is_loaded(run_here: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run_here("app", "no/such/model", "--port", port)
    assert done.returncode == 2 and named(done.stderr, port, "Address already in use")


def test_without_gradio_the_command_says_how_to_get_it(
    run_here: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "gradio", None)
    done = run_here("app", "no/such/model")
    assert done.returncode == 2 and 'pip install "spectrum-trl[app]"' in done.stderr
