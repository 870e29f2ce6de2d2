"""A real server in a thread, for tests."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from fastapi import FastAPI

from spectrum_trl import SpectrumModel
from spectrum_trl.serve.app import build_app
from spectrum_trl.serve.run import BACKLOG, address, listen


@contextmanager
def served(model: SpectrumModel, **settings: Any) -> Iterator[str]:
    """Serve a model, named "tiny", while the block runs; yields the server's address."""
    with running(build_app(model, name="tiny", **settings)[0]) as url:
        yield url


@contextmanager
def running(app: FastAPI) -> Iterator[str]:
    """Serve an application while the block runs; yields its address."""
    listening = listen("127.0.0.1", 0)
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", backlog=BACKLOG))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        yield address(listening)
    finally:
        server.should_exit = True
        thread.join()
        listening.close()
