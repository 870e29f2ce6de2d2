from collections.abc import Iterator

import pytest

from tests.suite.fetching.server import Hub, Site, hub_serving, serving


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A server on this machine; the waits between tries are left out."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    with serving() as found:
        yield found


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A Hub on this machine with one data set, me/films."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    with hub_serving() as found:
        monkeypatch.setenv("HF_ENDPOINT", found.address)
        yield found
