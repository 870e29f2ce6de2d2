"""What a server refuses, what it tells about itself, and what becomes of clients that go away."""

import asyncio
import json
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from spectrum_trl import SpectrumModel
from spectrum_trl.paths import TINY_BASE_NAME
from spectrum_trl.serve import worker
from spectrum_trl.serve.errors import RequestError
from spectrum_trl.serve.jobs import Job
from spectrum_trl.serve.limits import Limits
from spectrum_trl.serve.reading import Reader
from tests.messages import naming
from tests.serve.live import served

ASKED = {"messages": [{"role": "system", "content": "In the urn: 3 red and 2 blue balls."}], "max_tokens": 5}
# Takes many seconds, because the model's texts have no end.
LONG = {"prompt": "In", "n": 16, "max_tokens": 3000}
# Half a million tokens, read in some sixty forward passes.
ANSWERS = {**ASKED, "n": 0, "answers": [f"{n} {'red ' * 500}" for n in range(1000)]}
WIDE = Limits(body=2**23, answer_tokens=2**23)
KEY = {"Authorization": "Bearer sécret".encode()}


@pytest.fixture(scope="module")
def model() -> SpectrumModel:
    found = SpectrumModel.from_pretrained(TINY_BASE_NAME, format="colon")
    found.tokenizer.eos_token = None
    return found


@pytest.fixture(scope="module")
def url(model: SpectrumModel) -> Iterator[str]:
    with served(model, limits=Limits(body=2000, waiting=4, seconds=0.5)) as url:
        yield url


def metric(url: str, line: str) -> float:
    page = httpx.get(f"{url}/metrics").text.splitlines()
    return float(next((row.split()[-1] for row in page if row.startswith(f"{line} ")), "0"))


def eventually(url: str, line: str, value: float) -> None:
    deadline = time.monotonic() + 20
    while metric(url, line) != value:
        assert time.monotonic() < deadline, f"{line} is {metric(url, line)}, expected {value}"
        time.sleep(0.02)


def test_health_and_metrics(url: str) -> None:
    assert httpx.get(f"{url}/health").json() == {"status": "ok", "model": "tiny"}
    before = metric(url, 'spectrum_requests_total{path="/v1/chat/completions",status="200"}')
    used = httpx.post(f"{url}/v1/chat/completions", json=ASKED).json()["usage"]
    assert metric(url, 'spectrum_requests_total{path="/v1/chat/completions",status="200"}') == before + 1
    assert metric(url, 'spectrum_tokens_total{kind="completion"}') >= used["completion_tokens"] > 0
    httpx.get(f"{url}/no/such/path")
    assert metric(url, 'spectrum_requests_total{path="other",status="404"}') >= 1


def test_a_key_is_asked_for_everywhere_but_for_the_health(model: SpectrumModel) -> None:
    with served(model, api_key="sécret") as url:
        assert httpx.get(f"{url}/health").status_code == 200
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic secret"}):
            for path in ("/v1/models", "/metrics", "/nothing"):
                found = httpx.get(f"{url}{path}", headers=headers)
                assert found.status_code == 401 and found.json()["error"]["code"] == "invalid_api_key"
            assert httpx.post(f"{url}/v1/completions", json=LONG, headers=headers).status_code == 401
        assert httpx.get(f"{url}/v1/models", headers=KEY).status_code == 200


def test_a_body_that_is_too_large_or_too_slow_is_refused(url: str) -> None:
    for content in (b"x" * 3000, iter([b"x" * 1500] * 2), b"x" * 3_000_000):
        found = httpx.post(f"{url}/v1/chat/completions", content=content)
        assert found.status_code == 413 and "2,000 bytes" in found.json()["error"]["message"]
    place = urlsplit(url)
    with socket.create_connection((place.hostname, place.port)) as slow:
        slow.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{")
        assert b"408" in slow.recv(100)


def test_more_requests_than_may_wait_are_told_to_come_later_and_free_their_places_when_they_go(
    url: str,
) -> None:
    async def crowd() -> list[int]:
        async with httpx.AsyncClient(timeout=60) as client:
            blocking = asyncio.create_task(client.post(f"{url}/v1/completions", json=LONG))
            await asyncio.to_thread(eventually, url, "spectrum_running_requests", 1)
            others = [
                asyncio.create_task(client.post(f"{url}/v1/chat/completions", json=ASKED)) for _ in range(9)
            ]
            refused, waiting = await asyncio.wait(others, timeout=2)
            await asyncio.to_thread(eventually, url, "spectrum_waiting_requests", 4)
            for task in [*waiting][:3]:
                task.cancel()
            await asyncio.to_thread(eventually, url, "spectrum_waiting_requests", 1)
            blocking.cancel()
            answered = [await task for task in [*waiting][3:]]
            assert all(task.result().headers["Retry-After"] == "1" for task in refused)
            return [task.result().status_code for task in refused] + [one.status_code for one in answered]

    assert sorted(asyncio.run(crowd())) == [200, *[429] * 5]
    eventually(url, "spectrum_running_requests", 0)


@pytest.mark.parametrize("stream", [True, False])
def test_what_nobody_waits_for_is_not_computed(url: str, stream: bool) -> None:
    started = time.monotonic()
    asked = {**LONG, "stream": stream}
    try:
        with httpx.stream("POST", f"{url}/v1/completions", json=asked, timeout=0.5) as answer:
            first = next(answer.iter_lines())
            assert json.loads(first.removeprefix("data: "))["choices"]
    except httpx.ReadTimeout:
        assert not stream
    eventually(url, "spectrum_running_requests", 0)
    assert time.monotonic() - started < 10
    assert httpx.post(f"{url}/v1/chat/completions", json=ASKED).status_code == 200


@pytest.fixture
def slow(model: SpectrumModel) -> Iterator[SpectrumModel]:
    """A model whose forward passes take a third of a second more."""
    hook = model.model.register_forward_pre_hook(lambda *_: time.sleep(0.3))
    yield model
    hook.remove()


@pytest.mark.slow
def test_answers_that_nobody_waits_for_are_not_scored(slow: SpectrumModel) -> None:
    async def leave(url: str) -> float:
        async with httpx.AsyncClient(timeout=60) as client:
            left = asyncio.create_task(client.post(f"{url}/v1/chat/completions", json=ANSWERS))
            await asyncio.to_thread(eventually, url, "spectrum_running_requests", 1)
            left.cancel()
            began = time.monotonic()
            assert (await client.post(f"{url}/v1/chat/completions", json=ASKED)).status_code == 200
            return time.monotonic() - began

    with served(slow, limits=WIDE) as url:
        assert asyncio.run(leave(url)) < 8


@pytest.mark.slow
def test_a_server_that_ends_does_not_wait_for_all_answers(slow: SpectrumModel) -> None:
    _, jobs = Reader(slow, name="tiny", limits=WIDE).chat(json.dumps(ANSWERS).encode())
    working = worker.Worker(slow, most_waiting=1)
    working.submit(jobs[0])
    while not working.running:
        time.sleep(0.01)
    began = time.monotonic()
    working.close()
    assert time.monotonic() - began < 5
    assert isinstance(jobs[0].error, RequestError) and jobs[0].error.status == 503
    # The model itself goes on.
    assert slow.sample(1, description="a", max_new_tokens=2)


def test_answers_of_too_many_tokens_are_refused(model: SpectrumModel) -> None:
    reader = Reader(model, name="tiny", limits=Limits(answer_tokens=20))
    asked = {**ASKED, "answers": ["red", "blue"]}
    assert reader.chat(json.dumps(asked).encode())[1][0].answer_tokens <= 20
    with pytest.raises(RequestError, match=naming("answers", "tokens", 20)):
        reader.chat(json.dumps({**asked, "answers": ["red", "blue " * 30]}).encode())


def test_a_failing_model_fails_its_request_alone(
    model: SpectrumModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = worker._grow

    def failing(job: Job, *words: Any) -> None:
        if job.max_new_tokens == 7:
            raise RuntimeError("broken")
        real(job, *words)

    monkeypatch.setattr(worker, "_grow", failing)
    found: dict[int, int] = {}
    with served(model) as url:

        def ask(tokens: int) -> None:
            answer = httpx.post(f"{url}/v1/chat/completions", json={**ASKED, "max_tokens": tokens})
            found[tokens] = answer.status_code

        threads = [threading.Thread(target=ask, args=[tokens]) for tokens in (5, 6, 7, 8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert httpx.get(f"{url}/health").status_code == 200
    assert found == {5: 200, 6: 200, 7: 500, 8: 200}
