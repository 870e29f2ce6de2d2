"""Progress: bars on a terminal, plain lines where output goes to a file or a pipe."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import datasets
import huggingface_hub.utils
import transformers.utils.logging
from rich.console import Console
from transformers import PrinterCallback, ProgressCallback, Trainer, TrainerCallback, TrainerState

from spectrum_trl.console import on_terminal


def quiet_when_piped() -> None:
    """Turn off the libraries' progress bars unless standard error is a terminal."""
    if on_terminal():
        return
    datasets.disable_progress_bars()
    transformers.utils.logging.disable_progress_bar()
    huggingface_hub.utils.disable_progress_bars()


def lines_when_piped(trainer: Trainer) -> None:
    """Let a trainer print one line per log entry, in place of its bar, unless standard error is a terminal.

    Args:
        trainer: Before training; its callbacks are changed in place.
    """
    if on_terminal():
        return
    for callback in (ProgressCallback, PrinterCallback):
        trainer.remove_callback(callback)
    trainer.add_callback(LogLines)


@contextmanager
def line_each_minute(doing: str, *, out: Console, seconds: float = 60) -> Iterator[None]:
    """Print a line each minute while the block runs, unless standard error is a terminal, which shows bars.

    Args:
        doing: What takes long.
        out: Where to print.
        seconds: Between two lines.
    """
    if on_terminal():
        yield
        return
    done, started = threading.Event(), time.monotonic()

    def tell() -> None:
        while not done.wait(seconds):
            out.print(f"{doing}: {time.monotonic() - started:.0f} s so far", markup=False)

    thread = threading.Thread(target=tell, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


class LogLines(TrainerCallback):
    """Prints ``step 20/100: loss 0.71, …`` at each log entry."""

    def on_log(
        self, args: Any, state: TrainerState, control: Any, logs: dict[str, Any] | None = None, **_: Any
    ) -> None:
        """Print the entry in the first process."""
        if state.is_world_process_zero and logs:
            values = (f"{name} {_short(value)}" for name, value in logs.items() if name != "total_flos")
            print(f"step {state.global_step}/{state.max_steps}: {', '.join(values)}", flush=True)


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
