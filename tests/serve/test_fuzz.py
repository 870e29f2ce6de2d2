"""Malformed requests: no failure of the server, none without an answer, no memory lost."""

import json
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import httpx
import numpy as np
import psutil
import pytest

from spectrum_trl import SpectrumModel
from spectrum_trl.paths import TINY_BASE_NAME
from spectrum_trl.serve.limits import Limits
from tests.serve.live import served

pytestmark = pytest.mark.fuzz
REQUESTS = 1000
MESSAGE = {"role": "user", "content": "In the urn: 3 red balls."}
VALID: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {
        "model": "tiny",
        "messages": [MESSAGE],
        "max_tokens": 3,
        "n": 2,
        "seed": 1,
        "temperature": 1.0,
        "top_p": 0.9,
        "stop": ["x"],
        "stream": False,
        "stream_options": {"include_usage": True},
        "logprobs": True,
        "top_logprobs": 2,
        "answers": ["red", "blue"],
    },
    "/v1/completions": {
        "prompt": "In the urn",
        "max_tokens": 3,
        "n": 1,
        "seed": 2,
        "logprobs": 1,
        "echo": False,
    },
}
VALUES: list[Any] = [
    *(None, True, False, 0, -1, 1, 2, 3.5, 1e308, -1e-320, 10**40, "", "a", "a" * 3000, "\x00", "\u202e"),
    *("<|im_end|>", "[red]", "\x1b[31m", "{}", "\ud800", "é" * 50, "<script>", "\ufffd", "😀"),
    *([], {}, [[]], [None], ["a", "a"], [1, 2], {"a": 1}, [MESSAGE] * 3, [{"role": "system"}], "system"),
    {"role": "assistant", "content": [{"type": "text", "text": "a"}]},
    {"role": ["user"], "content": {"type": "text"}},
]
BODIES = [b"", b"null", b"[]", b"{", b"\xff\xfe", b"[" * 5000, b'{"n": NaN}', b'{"n": 1, "n": 2}', b"1e999"]
KINDS = [
    "application/json",
    "text/plain",
    "multipart/form-data; boundary=x",
    "application/json; charset=utf-16",
]


def malformed(rng: np.random.Generator) -> tuple[str, str, bytes, dict[str, str]]:
    """Return a method, a path, a body and headers; most of them wrong in one place or several."""

    def pick(options: Any) -> Any:
        return options[int(rng.integers(len(options)))]

    path = pick(
        [*VALID] * 5 + ["/v1/models/%ff%00", "/v1/nothing", "/v1/completions/../models", "//", "/health"]
    )
    method = pick(["POST"] * 9 + ["GET", "PUT", "DELETE", "OPTIONS"])
    body: dict[str, Any] = json.loads(json.dumps(VALID.get(path, {})))
    for _ in range(int(rng.integers(1, 4))):
        place: Any = body
        if body.get("messages") and rng.random() < 0.3 and isinstance(body["messages"][0], dict):
            place = body["messages"][0]
        name = pick([*place, "unknown", "tools", "user", "best_of", "suffix", "max_completion_tokens"])
        if rng.random() < 0.2:
            place.pop(name, None)
        else:
            place[name] = pick(VALUES)
        if not isinstance(body.get("messages"), list):
            break
    content = json.dumps(body).encode()
    if rng.random() < 0.15:
        content = content[: int(rng.integers(len(content)))]
    if rng.random() < 0.1:
        content = pick(BODIES)
    return method, path, content, {"Content-Type": pick(KINDS), "X-Odd": "a" * int(rng.integers(100))}


def ask(client: httpx.Client, request: tuple[str, str, bytes, dict[str, str]]) -> int:
    method, path, content, headers = request
    found = client.request(method, path, content=content, headers=headers)
    status = found.status_code
    if status >= 400:
        assert set(found.json()["error"]) == {"message", "type", "param", "code"}, (request, found.text)
    elif found.headers["content-type"].startswith("text/event-stream"):
        assert found.text.endswith("data: [DONE]\n\n"), (request, found.text)
    else:
        found.json()
    assert status != 500 and status < 504, (request, found.text)
    return status


@pytest.mark.slow
def test_a_thousand_malformed_requests_do_no_harm() -> None:
    model = SpectrumModel.from_pretrained(TINY_BASE_NAME, format="spectrum")
    rng, process = np.random.default_rng(0), psutil.Process()
    requests = [malformed(rng) for _ in range(REQUESTS)]
    with (
        served(model, limits=Limits(n=8, max_tokens=64)) as url,
        httpx.Client(base_url=url, timeout=60) as client,
    ):
        before = client.post("/v1/chat/completions", json=VALID["/v1/chat/completions"]).json()
        with ThreadPoolExecutor(8) as pool:
            statuses = list(pool.map(lambda one: ask(client, one), requests[: REQUESTS // 2]))
            memory = process.memory_info().rss
            statuses += list(pool.map(lambda one: ask(client, one), requests[REQUESTS // 2 :]))
        assert len(statuses) == REQUESTS and {200, 400, 404, 405} <= set(statuses)
        assert statuses.count(400) > REQUESTS / 3
        assert process.memory_info().rss - memory < 32 * 2**20
        for text in (
            b"\r\n\r\n",
            b"GET\r\n\r\n",
            b"POST / HTTP/9.9\r\n\r\n",
            b"\x16\x03\x01\x00",
            b"GET / HTTP/1.1\r\n",
        ):
            place = urlsplit(url)
            with socket.create_connection((place.hostname, place.port)) as raw:
                raw.sendall(text)
        after = client.post("/v1/chat/completions", json=VALID["/v1/chat/completions"]).json()
        assert after["choices"] == before["choices"] and after["answers"] == before["answers"]
        page = client.get("/metrics").text
        assert "spectrum_waiting_requests 0.0" in page and "spectrum_running_requests 0.0" in page
