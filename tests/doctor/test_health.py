"""A machine's checks find what is there, name the fix, show no token, and do not wait for a network."""

import importlib.metadata
import json
import socket
import time

import pytest
from typer.testing import CliRunner

from spectrum_trl.commands.main import app
from spectrum_trl.doctor import health
from spectrum_trl.doctor.health import Finding, findings, rights_of, tested_versions

TOKEN = "hf_" + "x" * 34


def by_name(found: list[Finding]) -> dict[str, Finding]:
    return {finding.name: finding for finding in found}


def test_the_tested_versions_are_those_of_the_constraints() -> None:
    tested = tested_versions()
    assert tested["torch"] and tested["huggingface_hub"] and len(tested) > 100


def test_another_version_than_the_tested_one_is_named_with_both(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "tested_versions", lambda: tested_versions() | {"trl": "0.0.1"})
    found = by_name(list(health._versions()))["packages"]
    assert found.state == "note" and "0.0.1" in found.found and "constraints.txt" in found.fix
    assert importlib.metadata.version("trl") in found.found


def test_whoever_the_hub_knows_is_shown_and_the_token_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "get_token", lambda: TOKEN)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert TOKEN not in str(list(health._hub()))
    monkeypatch.setattr(health.requests, "head", lambda *_, **__: None)

    def refused(token: str) -> None:
        raise ValueError(f"401 for {token}")

    monkeypatch.setattr(health, "whoami", refused)
    found = list(health._ask_hub(TOKEN))
    assert found[-1].state == "wrong" and TOKEN not in str(found)


@pytest.mark.parametrize(
    ("token", "state"),
    [
        ({"role": "write"}, "fine"),
        ({"role": "read"}, "note"),
        ({"role": "fineGrained", "fineGrained": {"scoped": [{"permissions": ["repo.write"]}]}}, "fine"),
        ({"role": "fineGrained", "fineGrained": {"scoped": []}}, "note"),
        ({}, "note"),
    ],
)
def test_the_rights_of_a_token_decide_whether_it_can_publish(token: dict, state: str) -> None:
    found = rights_of({"name": "ada", "auth": {"accessToken": token}})
    assert found.state == state and "ada" in found.found


def test_a_hub_that_does_not_answer_is_left_alone_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setattr(health, "HUB_SECONDS", 0.2)
    monkeypatch.setattr(health, "get_token", lambda: None)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        monkeypatch.setattr(health.constants, "ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        started = time.monotonic()
        (found,) = health._hub()
    assert found.state == "note" and "HF_HUB_OFFLINE=1" in found.fix and time.monotonic() - started < 5


def test_the_report_is_json_on_demand_and_exits_with_1_if_something_is_wrong(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.delenv("SPECTRUM_DATA", raising=False)
    done = CliRunner().invoke(app, ["doctor", "--json"])
    names = {finding["name"] for finding in json.loads(done.stdout)}
    assert done.exit_code == 0
    assert names >= {"Python", "packages", "CPU", "memory", "attention", "data", "Hub"}
    monkeypatch.setenv("SPECTRUM_DATA", "/nowhere/at/all")
    done = CliRunner().invoke(app, ["doctor"])
    assert done.exit_code == 1 and "/nowhere/at/all" in done.stdout.replace("\n", "")


def test_every_finding_that_is_not_fine_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(health, "NO_DISK", 1e18)
    found = findings()
    assert all(finding.fix for finding in found if finding.state != "fine")
    assert any(finding.state == "wrong" and finding.name.startswith("disk") for finding in found)
