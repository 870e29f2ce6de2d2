"""TRL's trainer as a recipe configures it."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, cast

import torch
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR
from transformers import PreTrainedModel, PreTrainedTokenizerBase, Trainer
from transformers.trainer_pt_utils import BatchRebalanceSampler, LengthGroupedSampler
from trl import SFTTrainer

from spectrum_trl.console import console
from spectrum_trl.data.mixture import Mixture
from spectrum_trl.errors import UserError
from spectrum_trl.progress import lines_when_piped
from spectrum_trl.recipe.read import Recipe
from spectrum_trl.runs.checkpoints import way_back
from spectrum_trl.runs.run_folder import KeepRunFolder, RunFolder
from spectrum_trl.training.adapter import adapter_config, train_in_single_precision
from spectrum_trl.training.strategy import check_sharding

# What transformers sets in an optimizer's groups by the recipe; the rest is an optimizer's own state.
OPTIONS = ("initial_lr", "weight_decay", "betas", "eps")


class ResumableTrainer(SFTTrainer):
    """TRL's trainer, which goes on as the recipe says by now, and tells what is wrong with a checkpoint.

    No argument of transformers 5.23 does this: a checkpoint's learning rate wins over the recipe's
    (https://github.com/huggingface/transformers/issues/9099, "expected behaviour"), and a run that is
    continued at its last step trains one more. Nor do its rows depend on the epoch with
    ``group_by_length``, but on what the process has drawn by then, which a continued run and other processes
    have not (https://github.com/huggingface/transformers/issues/40691 is about such another order).
    """

    _losses = torch.zeros(())
    _sampler: torch.utils.data.Sampler[Any] | None = None

    def _init_training_state(self, max_steps: int, *args: Any, **kwargs: Any) -> tuple[int, int]:
        found = super()._init_training_state(max_steps, *args, **kwargs)
        state = self.state
        # How many steps a number of epochs makes is known here only.
        if state.global_step > max_steps:
            raise UserError(
                f"num_train_epochs: {self.args.num_train_epochs:g} make {max_steps} steps, but the run "
                f"is past step {state.global_step} already; give it {state.epoch:g} or more"
            )
        if state.global_step == max_steps:
            out = console(quiet=not self.is_world_process_zero())
            out.print(f"already at step {max_steps}, the last one: nothing is left to train")
        # A checkpoint brings its own steps between saves and logs.
        state.compute_steps(self.args, max_steps)
        return found

    def _get_train_sampler(self, *args: Any, **kwargs: Any) -> torch.utils.data.Sampler[Any] | None:
        self._sampler = super()._get_train_sampler(*args, **kwargs)
        return self._sampler

    def _run_epoch(self, *args: Any, **kwargs: Any) -> None:
        if isinstance(self._sampler, LengthGroupedSampler):
            seed = self.args.seed if self.args.data_seed is None else self.args.data_seed
            self._sampler.generator = torch.Generator().manual_seed(seed + kwargs["epoch"])
            # What a DataLoader draws before its sampler: the first epoch is that of transformers.
            torch.empty((), dtype=torch.int64).random_(generator=self._sampler.generator)
        # Trainer does not find it where accelerate has wrapped it for several processes and for skipping.
        elif isinstance(self._sampler, BatchRebalanceSampler):
            self._sampler.set_epoch(kwargs["epoch"])
        # Trainer looks at the number of steps only behind one of them, so that it would train one too many.
        if self.state.global_step < self.state.max_steps:
            super()._run_epoch(*args, **kwargs)

    def training_step(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        """Train on some rows of a step, as TRL does, and remember the loss."""
        loss = super().training_step(*args, **kwargs)
        self._losses = self._losses.to(loss.device) + loss.detach()
        return loss

    def _get_grad_norm(self, *args: Any, **kwargs: Any) -> Any:
        norm = super()._get_grad_norm(*args, **kwargs)
        loss = self.accelerator.gather(self._losses.reshape(1)).sum()
        self._losses = torch.zeros_like(self._losses)
        # A gradient scaler skips steps whose gradients are too large for fp16, and tries smaller ones.
        scaled = self.accelerator.scaler is not None or norm is None
        if not loss.isfinite() or not (scaled or math.isfinite(norm)):
            raise diverged(
                self, f"the loss is {float(loss):g}, the norm of its gradient {float(norm or 0):g}"
            )
        return norm

    def _save_checkpoint(self, *args: Any, **kwargs: Any) -> None:
        trained = [
            weight for weight in cast(torch.nn.Module, self.model).parameters() if weight.requires_grad
        ]
        # With FSDP each process looks at its own shards.
        local = [getattr(weight, "_local_tensor", weight).detach() for weight in trained]
        broken = sum(int(not weight.isfinite().all()) for weight in local)
        if self.accelerator.gather(torch.tensor([broken], device=self.args.device)).any():
            raise diverged(self, "its weights hold NaN or infinity")
        super()._save_checkpoint(*args, **kwargs)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        with _loading(resume_from_checkpoint):
            super()._load_from_checkpoint(resume_from_checkpoint, model)

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        scheduler = getattr(self.lr_scheduler, "scheduler", self.lr_scheduler)
        rates = list(getattr(scheduler, "base_lrs", ()))
        options = [{name: group[name] for name in OPTIONS if name in group} for group in self._groups()]
        with _loading(checkpoint):
            super()._load_optimizer_and_scheduler(checkpoint)
        if checkpoint is None:
            return
        # A checkpoint brings its own learning rate and the rest, whatever the recipe says by now.
        for group, own in zip(self._groups(), options, strict=True):
            group.update(own)
        if isinstance(scheduler, LambdaLR):
            scheduler.base_lrs = rates
            # The rate that a schedule ended with is 0: the first step of a longer one would change nothing.
            now = [
                rate * factor(scheduler.last_epoch)
                for rate, factor in zip(rates, scheduler.lr_lambdas, strict=True)
            ]
            for group, rate in zip(self._groups(), now, strict=True):
                group["lr"] = rate
            # What is logged.
            scheduler._last_lr = list(now)

    def _groups(self) -> list[dict[str, Any]]:
        return cast(Optimizer, self.optimizer).param_groups

    def _load_rng_state(self, checkpoint: str | None) -> None:
        with _loading(checkpoint):
            super()._load_rng_state(checkpoint)


def diverged(trainer: Trainer, found: str) -> UserError:
    """Return the message that ends a run whose numbers are no longer finite, before it saves or deletes any.

    Args:
        trainer: At its last step whose loss and gradient were finite.
        found: What is not.
    """
    step = trainer.state.global_step
    return UserError(
        f"training diverged after step {step:,}, the last one with finite numbers: {found}; try a smaller "
        f"learning_rate, or more warmup_steps; {way_back(Path(str(trainer.args.output_dir)))}"
    )


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
    if recipe.training.save_total_limit == 1:
        # A checkpoint is proven by the step after it: until then the one before is kept, too.
        recipe.training.save_total_limit = 2
    try:
        trainer = ResumableTrainer(
            model=model,
            args=recipe.training,
            train_dataset=mixture.dataset,
            processing_class=tokenizer,
            peft_config=adapter_config(recipe, model=model),
            callbacks=[KeepRunFolder(folder)],
        )
    except (ValueError, ImportError) as error:
        # What TRL and peft find wrong between fields of theirs.
        raise UserError(f"{recipe.path}: {' '.join(str(error).split())}") from error
    check_sharding(recipe, trainer)
    if recipe.model.use_peft:
        train_in_single_precision(cast(PreTrainedModel, trainer.model))
    lines_when_piped(trainer)
    return trainer
