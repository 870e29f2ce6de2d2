"""Save a checkpoint and stop when a scheduler announces the end of a job by a signal."""

import os
import signal
from typing import Any

import torch
from accelerate import PartialState
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from spectrum_trl.errors import Interrupted

# SLURM ends and preempts jobs by SIGTERM; SIGUSR1 is what people have it send before the time limit.
SIGNALS = (signal.SIGTERM, signal.SIGUSR1)


class StopOnSignal(TrainerCallback):
    """Stop after the step during which a signal came to any process, with a checkpoint of that step.

    transformers' ``enable_jit_checkpoint`` knows SIGTERM alone, waits three seconds, does not agree among
    processes, and returns from an unfinished run as from a finished one.
    """

    def __init__(self) -> None:
        """Expect no signal until training begins."""
        self._came, self._stops, self._before = 0, 0, dict[int, Any]()

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Take the signals over."""
        own = os.getpid()

        def note(number: int, frame: object) -> None:
            if os.getpid() == own:
                self._came = number
            else:
                # A worker that loads data was forked with this handler, but is to end at once.
                os._exit(128 + number)

        self._before = {number: signal.signal(number, note) for number in SIGNALS}

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Ask for a checkpoint if a signal came to any process."""
        came = torch.tensor(self._came, device=PartialState().device)
        if torch.distributed.is_initialized():
            torch.distributed.all_reduce(came, torch.distributed.ReduceOp.MAX)
        self._stops = int(came)
        control.should_save |= bool(self._stops)

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """End the run once the checkpoint that was asked for is complete.

        Raises:
            Interrupted: With the exit code of a program that the signal ended.
        """
        if self._stops:
            stopped = Interrupted(
                f"{signal.Signals(self._stops).name} came: step {state.global_step} of {state.max_steps} is "
                f"saved in {args.output_dir}; continue with `--resume_from_checkpoint auto`"
            )
            stopped.exit_code = 128 + self._stops
            raise stopped

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Give the signals back."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
