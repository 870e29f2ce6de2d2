"""TRL's trainer as a recipe configures it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pickle import UnpicklingError
from typing import Any, cast

from torch.optim.lr_scheduler import LambdaLR
from transformers import PreTrainedModel, PreTrainedTokenizerBase, TrainerCallback, TrainerState
from trl import SFTTrainer

from spectrum_trl.console import console
from spectrum_trl.data.mixture import Mixture
from spectrum_trl.errors import UserError
from spectrum_trl.progress import lines_when_piped
from spectrum_trl.recipe.read import Recipe
from spectrum_trl.runs.run_folder import KeepRunFolder, RunFolder
from spectrum_trl.training.adapter import adapter_config, train_in_single_precision
from spectrum_trl.training.strategy import check_sharding


class StartAtScheduledRate(TrainerCallback):
    """Begins a continued run at the rate of its own schedule.

    A checkpoint's optimizer holds the rate of the schedule before, which is 0 at its end: the first step of a
    run that is given more steps would change nothing.
    """

    def on_train_begin(
        self,
        args: Any,
        state: TrainerState,
        control: Any,
        optimizer: Any = None,
        lr_scheduler: Any = None,
        **_: Any,
    ) -> None:
        """Set the rate."""
        scheduler = getattr(lr_scheduler, "scheduler", lr_scheduler)
        if state.global_step and isinstance(scheduler, LambdaLR):
            for group, factor, rate in zip(
                optimizer.param_groups, scheduler.lr_lambdas, scheduler.base_lrs, strict=True
            ):
                group["lr"] = rate * factor(scheduler.last_epoch)
            # What is logged.
            scheduler._last_lr = [group["lr"] for group in optimizer.param_groups]


class CheckStepsLeft(TrainerCallback):
    """Refuses a run that is to end before its checkpoint, and says where it has ended already.

    How many steps a number of epochs makes is known only once training begins.
    """

    def on_train_begin(self, args: Any, state: TrainerState, control: Any, **_: Any) -> None:
        """Compare the checkpoint's step with the last one."""
        if state.global_step > state.max_steps:
            raise UserError(
                f"num_train_epochs: {args.num_train_epochs:g} make {state.max_steps} steps, but the run "
                f"is past step {state.global_step} already; give it {state.epoch:g} or more"
            )
        if state.global_step and state.global_step == state.max_steps:
            out = console(quiet=not state.is_world_process_zero)
            out.print(f"already at step {state.global_step}, the last one: nothing is left to train")


class ResumableTrainer(SFTTrainer):
    """TRL's trainer, whose way back into a run says what is wrong with a checkpoint."""

    def _run_epoch(self, *args: Any, **kwargs: Any) -> None:
        # Trainer looks at the number of steps only behind one of them, so that it would train one too many.
        if self.state.global_step < self.state.max_steps:
            super()._run_epoch(*args, **kwargs)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        with _loading(resume_from_checkpoint):
            super()._load_from_checkpoint(resume_from_checkpoint, model)

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        with _loading(checkpoint):
            super()._load_optimizer_and_scheduler(checkpoint)

    def _load_rng_state(self, checkpoint: str | None) -> None:
        with _loading(checkpoint):
            super()._load_rng_state(checkpoint)


@contextmanager
def _loading(checkpoint: str | None) -> Iterator[None]:
    try:
        yield
    except (EOFError, LookupError, RuntimeError, TypeError, UnpicklingError, ValueError) as error:
        reason = str(error).strip().splitlines()[:1] or [repr(error)]
        raise UserError(
            f"resume_from_checkpoint: {checkpoint} does not fit this run, or is broken: {reason[0]}; name "
            "another checkpoint, or start a new run"
        ) from error


def make_trainer(
    recipe: Recipe,
    *,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    mixture: Mixture,
    folder: RunFolder,
) -> SFTTrainer:
    """Return a trainer that is ready for its first step.

    Args:
        recipe: The parsed recipe.
        model: To train.
        tokenizer: With the Spectrum template.
        mixture: The training data.
        folder: Of the run, which begins with the first step.

    Raises:
        UserError: If TRL refuses the settings, or FSDP is asked for and not in force.
    """
    try:
        trainer = ResumableTrainer(
            model=model,
            args=recipe.training,
            train_dataset=mixture.dataset,
            processing_class=tokenizer,
            peft_config=adapter_config(recipe, model=model),
            callbacks=[KeepRunFolder(folder), CheckStepsLeft(), StartAtScheduledRate()],
        )
    except (ValueError, ImportError) as error:
        # What TRL and peft find wrong between fields of theirs.
        raise UserError(f"{recipe.path}: {' '.join(str(error).split())}") from error
    check_sharding(recipe, trainer)
    if recipe.model.use_peft:
        train_in_single_precision(cast(PreTrainedModel, trainer.model))
    lines_when_piped(trainer)
    return trainer
