"""Training logs as plain lines, one per entry, when output goes to a file or a pipe."""

from typing import Any

from transformers import PrinterCallback, ProgressCallback, Trainer, TrainerCallback, TrainerState

from spectrum_trl.console import on_terminal


def lines_when_piped(trainer: Trainer) -> None:
    """Make a trainer print one line per log entry instead of its bar, unless standard error is a terminal.

    Args:
        trainer: Before training; its callbacks are changed in place.
    """
    if on_terminal():
        return
    for callback in (ProgressCallback, PrinterCallback):
        trainer.remove_callback(callback)
    trainer.add_callback(LogLines)


class LogLines(TrainerCallback):
    """Prints ``step 20/100: loss 0.71, …`` at each log entry."""

    def on_log(
        self, args: Any, state: TrainerState, control: Any, logs: dict[str, Any] | None = None, **_: Any
    ) -> None:
        """Print the entry on the first rank."""
        if state.is_world_process_zero and logs:
            values = (f"{name} {_short(value)}" for name, value in logs.items() if name != "total_flos")
            print(f"step {state.global_step}/{state.max_steps}: {', '.join(values)}", flush=True)


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
