from collections.abc import Iterator

import pytest

from tests.suite.fetching.server import Site, serving


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A server on this machine; the waits between tries are left out."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    with serving() as found:
        yield found
