"""TRL's trainer, configured by a recipe."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, cast

import torch
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR
from transformers import (
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PrinterCallback,
    ProgressCallback,
    Trainer,
    TrainerCallback,
    TrainerState,
)
from transformers.trainer_pt_utils import BatchRebalanceSampler, LengthGroupedSampler
from trl import SFTTrainer

from spectrum_trl.console import console, counted, on_terminal
from spectrum_trl.data.mixture import Mixture
from spectrum_trl.errors import UserError, first_line
from spectrum_trl.models.role_rows import role_token_ids
from spectrum_trl.prompts import templates
from spectrum_trl.prompts.families import Family
from spectrum_trl.recipe.read import Recipe
from spectrum_trl.runs.checkpoints import way_back
from spectrum_trl.runs.run_folder import KeepRunFolder, RunFolder
from spectrum_trl.training import held_out, tracking
from spectrum_trl.training.model import adapter_config, train_in_single_precision, train_rows
from spectrum_trl.training.output_layer import score_labelled_positions
from spectrum_trl.training.preemption import StopOnSignal
from spectrum_trl.training.strategy import check_sharding

# Options that transformers sets in an optimizer's groups from the recipe; the rest is optimizer state.
OPTIONS = ("initial_lr", "weight_decay", "betas", "eps")


class ResumableTrainer(SFTTrainer):
    """TRL's trainer, which resumes with the recipe's current settings and reports broken checkpoints.

    No argument of transformers 5.23 does this: a checkpoint's learning rate overrides the recipe's
    (https://github.com/huggingface/transformers/issues/9099, "expected behaviour"), and a run resumed at its
    last step trains one more. With ``group_by_length``, moreover, its rows depend not on the epoch but on the
    random numbers drawn so far, which differ in a resumed run and across ranks
    (https://github.com/huggingface/transformers/issues/40691 is about a similar difference).
    """

    _losses = torch.zeros(())
    _sampler: torch.utils.data.Sampler[Any] | None = None

    def _init_training_state(self, max_steps: int, *args: Any, **kwargs: Any) -> tuple[int, int]:
        found = super()._init_training_state(max_steps, *args, **kwargs)
        state = self.state
        # Only here is the number of steps in the epochs known.
        if state.global_step > max_steps:
            raise UserError(
                f"num_train_epochs: {self.args.num_train_epochs:g} is {counted(max_steps, 'step')}, but the "
                f"run is already past step {state.global_step}; set {state.epoch:g} or more"
            )
        out = console(quiet=not self.is_world_process_zero())
        if state.global_step == max_steps:
            out.print(f"already at step {max_steps}, the last one: nothing is left to train")
        elif held_out.has_stopped(self):
            out.print(f"stopped early at step {state.global_step}: nothing is left to train")
        if state.global_step and self.args.load_best_model_at_end:
            held_out.find_best(state, folder=Path(str(self.args.output_dir)), out=out)
        # Else its log would count from 0 again.
        self._total_train_tokens = self._tokens_seen()
        # The checkpoint would otherwise override the steps between saves and logs.
        state.compute_steps(self.args, max_steps)
        return found

    def _load_callback_state(self) -> None:
        with held_out.keep_patience(self):
            super()._load_callback_state()

    def _tokens_seen(self) -> int:
        if self.args.include_num_input_tokens_seen == "no":
            return self.state.num_input_tokens_seen
        # With other values it counts padding, too: the last logged number is of this step, or just before.
        logged = [entry["num_tokens"] for entry in self.state.log_history if "num_tokens" in entry]
        return int(logged[-1]) if logged else 0

    def _get_train_sampler(self, *args: Any, **kwargs: Any) -> torch.utils.data.Sampler[Any] | None:
        self._sampler = super()._get_train_sampler(*args, **kwargs)
        return self._sampler

    def _run_epoch(self, *args: Any, **kwargs: Any) -> None:
        if isinstance(self._sampler, LengthGroupedSampler):
            seed = self.args.seed if self.args.data_seed is None else self.args.data_seed
            self._sampler.generator = torch.Generator().manual_seed(seed + kwargs["epoch"])
            # A DataLoader draws this before its sampler does; with it, the first epoch matches transformers.
            torch.empty((), dtype=torch.int64).random_(generator=self._sampler.generator)
        # Trainer does not find the sampler once accelerate has wrapped it for several processes or skipping.
        elif isinstance(self._sampler, BatchRebalanceSampler):
            self._sampler.set_epoch(kwargs["epoch"])
        # Trainer compares the number of steps only after a step, so it would train one too many; it also goes
        # on where a run had stopped early, but was killed before it was saved.
        if self.state.global_step < self.state.max_steps and not held_out.has_stopped(self):
            super()._run_epoch(*args, **kwargs)

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
        """Log and return the held-out losses, see `held_out.losses`."""
        metrics = held_out.losses(self)
        if not all(map(math.isfinite, metrics.values())):
            raise diverged(self, "a held-out loss is NaN or infinite")
        # A copy: TRL adds to it.
        self.log(dict(metrics))
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def training_step(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        """Train on part of a step's rows, as TRL does, and add up the loss."""
        loss = super().training_step(*args, **kwargs)
        self._losses = self._losses.to(loss.device) + loss.detach()
        return loss

    def _get_grad_norm(self, *args: Any, **kwargs: Any) -> Any:
        norm = super()._get_grad_norm(*args, **kwargs)
        loss = self.accelerator.gather(self._losses.reshape(1)).sum()
        self._losses = torch.zeros_like(self._losses)
        # A gradient scaler skips steps whose gradients overflow in fp16, and lowers its scale.
        scaled = self.accelerator.scaler is not None or norm is None
        if not loss.isfinite() or not (scaled or math.isfinite(norm)):
            raise diverged(self, f"the loss is {float(loss):g}, its gradient norm {float(norm or 0):g}")
        return norm

    def create_model_card(self, *_: Any, **__: Any) -> None:
        """Write nothing: with each checkpoint TRL would write its own card over that of a finished run."""

    def _save_checkpoint(self, *args: Any, **kwargs: Any) -> None:
        trained = [
            weight for weight in cast(torch.nn.Module, self.model).parameters() if weight.requires_grad
        ]
        # With FSDP, each rank checks its own shards.
        local = [getattr(weight, "_local_tensor", weight).detach() for weight in trained]
        broken = sum(int(not weight.isfinite().all()) for weight in local)
        if self.accelerator.gather(torch.tensor([broken], device=self.args.device)).any():
            raise diverged(self, "its weights hold NaN or infinity")
        if self.args.include_num_input_tokens_seen == "no":
            self.state.num_input_tokens_seen = self._total_train_tokens
        super()._save_checkpoint(*args, **kwargs)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        with _loading(resume_from_checkpoint):
            super()._load_from_checkpoint(resume_from_checkpoint, model)

    def _issue_warnings_after_load(self, load_result: Any) -> None:
        # A checkpoint holds a tied matrix under one of its names.
        tied = cast(PreTrainedModel, self.model).all_tied_weights_keys
        missing = [name for name in load_result.missing_keys if name not in tied]
        super()._issue_warnings_after_load(load_result._replace(missing_keys=missing))

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        scheduler = getattr(self.lr_scheduler, "scheduler", self.lr_scheduler)
        rates = list(getattr(scheduler, "base_lrs", ()))
        options = [{name: group[name] for name in OPTIONS if name in group} for group in self._groups()]
        with _loading(checkpoint):
            super()._load_optimizer_and_scheduler(checkpoint)
        if checkpoint is None:
            return
        # A checkpoint overrides the learning rate and the other options, whatever the recipe sets now.
        for group, own in zip(self._groups(), options, strict=True):
            group.update(own)
        if isinstance(scheduler, LambdaLR):
            scheduler.base_lrs = rates
            # A finished schedule ends at rate 0: the first step of a longer one would change nothing.
            now = [
                rate * factor(scheduler.last_epoch)
                for rate, factor in zip(rates, scheduler.lr_lambdas, strict=True)
            ]
            for group, rate in zip(self._groups(), now, strict=True):
                group["lr"] = rate
            # The logged value.
            scheduler._last_lr = list(now)

    def _groups(self) -> list[dict[str, Any]]:
        return cast(Optimizer, self.optimizer).param_groups

    def _load_rng_state(self, checkpoint: str | None) -> None:
        with _loading(checkpoint):
            super()._load_rng_state(checkpoint)


def diverged(trainer: Trainer, found: str) -> UserError:
    """Return the error for a run whose numbers are no longer finite, raised before it saves or deletes any.

    ``found`` says which; the trainer's step is the last one with finite loss and gradient.
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
        raise UserError(
            f"resume_from_checkpoint: {checkpoint} does not fit this run or is broken: {first_line(error)}; "
            "name another checkpoint, or start a new run"
        ) from error


def make_trainer(
    recipe: Recipe,
    *,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    mixture: Mixture,
    folder: RunFolder,
) -> SFTTrainer:
    """Return a trainer that is ready for its first step, with which the run begins in its folder.

    Raises:
        UserError: If TRL rejects the settings, or FSDP is requested but not in force.
    """
    if recipe.training.save_total_limit == 1:
        # Until the next step succeeds, a checkpoint may be of a diverged run: the previous one is kept too.
        recipe.training.save_total_limit = 2
    try:
        trainer = ResumableTrainer(
            model=model,
            args=recipe.training,
            train_dataset=mixture.dataset,
            eval_dataset=mixture.held_out or None,
            processing_class=tokenizer,
            peft_config=adapter_config(recipe, model=model),
            callbacks=[
                KeepRunFolder(folder),
                *held_out.callbacks(recipe),
                *tracking.callbacks(recipe),
                # The last, because it ends the run when the others have seen its checkpoint.
                StopOnSignal(),
            ],
        )
    except (ValueError, ImportError) as error:
        # Contradictions that TRL and peft find between their own fields.
        raise UserError(f"{recipe.path}: {' '.join(str(error).split())}") from error
    check_sharding(recipe, trainer)
    score_labelled_positions(trainer)
    if recipe.model.use_peft:
        train_in_single_precision(cast(PreTrainedModel, trainer.model))
    if recipe.run.trained_embeddings == "role_tokens":
        family = cast(Family, templates.family_of(tokenizer))
        train_rows(cast(PreTrainedModel, trainer.model), rows=role_token_ids(tokenizer, family=family.name))
    _lines_when_piped(trainer)
    return trainer


def _lines_when_piped(trainer: Trainer) -> None:
    """Make a trainer print one line per log entry instead of its bar, unless standard error is a terminal."""
    if on_terminal():
        return
    for callback in (ProgressCallback, PrinterCallback):
        trainer.remove_callback(callback)
    trainer.add_callback(_LogLines)


class _LogLines(TrainerCallback):
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
