"""At the loopback address only its own hosts and pages are answered; what is refused is told as JSON."""

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from spectrum_trl.serve.run import protect


@pytest.fixture(scope="module")
def client() -> TestClient:
    app = FastAPI()
    app.add_api_route("/health", lambda: {}, methods=["GET", "POST"])
    protect(app, "127.0.0.1")
    return TestClient(app)


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST:80", "127.0.0.1", "127.0.0.1:8000", "[::1]", "[::1]:8000"],
)
def test_own_hosts_are_answered(client: TestClient, host: str) -> None:
    assert client.get("/health", headers={"Host": host}).status_code == 200
    assert client.post("/health", headers={"Host": host, "Origin": f"http://{host}"}).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.com",
        "localhost.evil.com",
        "evil.com:80",
        "localhost@evil.com",
        "localhost:80@evil.com",
        "",
        "[::2]",
    ],
)
def test_other_hosts_get_one_error_as_json(client: TestClient, host: str) -> None:
    found = client.get("/health", headers={"Host": host})
    assert found.status_code == 400 and found.json()["error"]["type"] == "invalid_request_error"
    assert repr(host) in found.json()["error"]["message"]


@pytest.mark.parametrize("headers", [{"Origin": "http://evil.com"}, {"Sec-Fetch-Site": "cross-site"}])
def test_pages_of_other_sites_compute_nothing(client: TestClient, headers: dict[str, str]) -> None:
    sent = {"Host": "localhost", **headers}
    assert client.post("/health", headers=sent).status_code == 403
    assert client.get("/health", headers=sent).status_code == 200
