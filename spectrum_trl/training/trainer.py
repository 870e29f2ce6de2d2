"""TRL's trainer as a recipe configures it."""

from typing import Any, cast

from torch.optim.lr_scheduler import LambdaLR
from transformers import PreTrainedModel, PreTrainedTokenizerBase, TrainerCallback, TrainerState
from trl import SFTTrainer

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
        trainer = SFTTrainer(
            model=model,
            args=recipe.training,
            train_dataset=mixture.dataset,
            processing_class=tokenizer,
            peft_config=adapter_config(recipe, model=model),
            callbacks=[KeepRunFolder(folder), StartAtScheduledRate()],
        )
    except (ValueError, ImportError) as error:
        # What TRL and peft find wrong between fields of theirs.
        raise UserError(f"{recipe.path}: {' '.join(str(error).split())}") from error
    check_sharding(recipe, trainer)
    if recipe.model.use_peft:
        train_in_single_precision(cast(PreTrainedModel, trainer.model))
    lines_when_piped(trainer)
    return trainer
