"""``spectrum-trl serve``: mistakes are told before a model is loaded, and SIGTERM loses no request."""

import json
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path
from subprocess import CompletedProcess
from urllib.parse import urlsplit

import httpx
import openai
import pytest

from spectrum_trl.paths import TINY_BASE_NAME
from tests.messages import named
from tests.processes import start_recipe

Run = Callable[..., CompletedProcess[str]]
PROMPT = "In the urn"


@contextmanager
def started(output: Path, *words: str, **environment: str) -> Iterator[tuple[BaseProcess, str]]:
    """Run a server in a process of its own; yields it and its address."""
    words = ("serve", TINY_BASE_NAME, "--format", "colon", "--port", "0", "--name", "mine", *words)
    process = start_recipe("spectrum-trl", *words, output=output, **environment)
    try:
        deadline = time.monotonic() + 60
        while not (output.exists() and "/v1" in output.read_text()):
            assert process.is_alive() and time.monotonic() < deadline, output.read_text()
            time.sleep(0.05)
        yield process, output.read_text().split()[-1]
    finally:
        process.kill()
        process.join()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[BaseProcess, str]]:
    """A server that asks for a key."""
    with started(tmp_path / "output", SPECTRUM_API_KEY="secret") as server:
        yield server


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_the_name_of_another_site_is_refused(tmp_path: Path, host: str) -> None:
    with started(tmp_path / "output", "--host", host) as (_, url):
        page = f"{url}/models"
        for name in ("localhost", "127.0.0.1:80", "[::1]:80", "LOCALHOST:1"):
            assert httpx.get(page, headers={"Host": name}).status_code == 200
        for name in ("site.example", "localhost.site.example:80", "127.0.0.1.site.example", "www.localhost"):
            assert httpx.get(page, headers={"Host": name}).status_code == 400
        assert httpx.get(page).status_code == 200


def test_pages_of_other_sites_cannot_use_the_model(tmp_path: Path) -> None:
    with started(tmp_path / "output") as (_, url):

        def ask(**headers: str) -> httpx.Response:
            # What a browser sends to any address without asking there first.
            headers = {"Content-Type": "text/plain", **{k.replace("_", "-"): v for k, v in headers.items()}}
            content = json.dumps({"prompt": PROMPT, "max_tokens": 2})
            return httpx.post(f"{url}/completions", content=content, headers=headers)

        for origin in ("https://site.example", "http://localhost.site.example", "null", "http://[::1"):
            refused = ask(Origin=origin)
            assert refused.status_code == 403 and "other sites" in refused.json()["error"]["message"]
        assert ask(Sec_Fetch_Site="cross-site").status_code == 403
        assert ask().status_code == 200
        for origin in ("http://localhost:3000", "http://127.0.0.1", "http://[::1]:80"):
            assert ask(Origin=origin, Sec_Fetch_Site="same-site").status_code == 200


def test_a_server_with_a_key_may_have_any_name(server: tuple[BaseProcess, str]) -> None:
    headers = {"Host": "site.example", "Authorization": "Bearer secret"}
    assert httpx.get(f"{server[1]}/models", headers=headers).status_code == 200


@pytest.mark.slow
def test_sigterm_finishes_what_runs_and_refuses_what_comes(server: tuple[BaseProcess, str]) -> None:
    process, url = server
    client = openai.OpenAI(base_url=url, api_key="secret", max_retries=0)
    assert [one.id for one in client.models.list()] == ["mine"]
    with pytest.raises(openai.AuthenticationError):
        openai.OpenAI(base_url=url, api_key="wrong").models.list()

    def ask(seed: int, stream: bool) -> str:
        # So many samples that most requests still wait when the signal comes.
        asked = {"model": "mine", "prompt": PROMPT, "max_tokens": 300, "n": 64, "seed": seed}
        if stream:
            return "".join(one.choices[0].text for one in client.completions.create(**asked, stream=True))
        return client.completions.create(**asked).choices[0].text

    with ThreadPoolExecutor(8) as pool:
        running = [pool.submit(ask, seed, seed % 2 == 0) for seed in range(8)]
        headers = {"Authorization": "Bearer secret"}
        page = url.replace("/v1", "/metrics")
        while "spectrum_running_requests 0.0" in httpx.get(page, headers=headers).text:
            assert not any(one.done() for one in running)
        os.kill(process.pid or 0, signal.SIGTERM)
        refused = False
        while process.is_alive() and not refused:
            try:
                httpx.get(page, headers=headers, timeout=5)
            except httpx.TransportError:
                refused = True
        assert all(one.result() for one in running) and refused
    process.join(30)
    assert process.exitcode == 0


@pytest.mark.slow
def test_what_is_not_finished_in_time_is_told_that_the_server_is_ending(tmp_path: Path) -> None:
    with started(tmp_path / "output", "--drain-seconds", "1") as (process, url):
        asked = {"prompt": PROMPT, "max_tokens": 4000, "n": 128}
        with ThreadPoolExecutor(4) as pool:
            running = [
                pool.submit(httpx.post, f"{url}/completions", json={**asked, "stream": stream}, timeout=60)
                for stream in (False, True, False, True)
            ]
            page = url.replace("/v1", "/metrics")
            while "spectrum_waiting_requests 3.0" not in httpx.get(page).text:
                time.sleep(0.01)
            place = urlsplit(url)
            with socket.create_connection((place.hostname, place.port)) as slow:
                head = "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{"
                slow.sendall(head.encode())
                os.kill(process.pid or 0, signal.SIGTERM)
                plain, stream, *waiting = (one.result() for one in running)
                assert b" 503 " in slow.recv(100)
        process.join(30)
        assert process.exitcode == 0
    assert [one.status_code for one in (plain, waiting[0])] == [503, 503]
    assert "ending" in plain.json()["error"]["message"]
    for one in (stream, waiting[1]):
        last = json.loads(one.text.split("data: ")[-1])
        assert one.status_code == 200 and "ending" in last["error"]["message"]
    assert "Traceback" not in (tmp_path / "output").read_text()


def test_a_port_that_is_taken_is_told(run_here: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run_here("serve", "no/such/model", "--port", port)
    assert done.returncode == 2 and named(done.stderr, port, "Address already in use")
    assert done.stderr.count("error:") == 1 and "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["no/such/model"], "no/such/model"),
        ([TINY_BASE_NAME], 'format="colon"'),
        ([TINY_BASE_NAME, "--host", "no.such.host.invalid"], "cannot listen at no.such.host.invalid"),
        ([TINY_BASE_NAME, "--api-key", ""], "--api-key is empty"),
        ([TINY_BASE_NAME, "--api-key", "a\nb"], "--api-key is empty, or not printable"),
    ],
)
def test_mistakes_are_one_message(run_here: Run, words: list[str], expected: str) -> None:
    done = run_here("serve", *words, "--port", "0")
    assert done.returncode == 2 and expected in done.stderr and done.stderr.count("error:") == 1


def test_without_its_packages_the_command_says_how_to_get_them(
    run_here: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    done = run_here("serve", TINY_BASE_NAME)
    assert done.returncode == 2 and 'pip install "spectrum-trl[serve]"' in done.stderr
