"""Progress: bars on a terminal, plain lines when output goes to a file or a pipe."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import datasets
import huggingface_hub.utils
import transformers.utils.logging
from rich.console import Console

from spectrum_trl.console import on_terminal


def quiet_when_piped() -> None:
    """Turn off the libraries' progress bars unless standard error is a terminal."""
    if on_terminal():
        return
    datasets.disable_progress_bars()
    transformers.utils.logging.disable_progress_bar()
    huggingface_hub.utils.disable_progress_bars()


@contextmanager
def line_each_minute(doing: str, *, out: Console, seconds: float = 60) -> Iterator[None]:
    """Print a line each minute while the block runs, unless a terminal shows bars on standard error."""
    if on_terminal():
        yield
        return
    done, started = threading.Event(), time.monotonic()

    def report() -> None:
        while not done.wait(seconds):
            out.print(f"{doing}: {time.monotonic() - started:.0f} s so far", markup=False)

    thread = threading.Thread(target=report, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
