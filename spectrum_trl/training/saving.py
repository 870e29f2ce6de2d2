"""Save a trained model so that stock libraries can load it and stop where a sample ends."""

import shutil
from dataclasses import asdict
from pathlib import Path

import torch
from peft import PeftModel
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from trl import SFTTrainer

from spectrum_trl.data.mixture import Mixture
from spectrum_trl.errors import UserError
from spectrum_trl.models.folder import (
    copy_processor,
    generation_config,
    model_card,
    rounded,
    set_dtype,
    set_special_tokens,
)
from spectrum_trl.models.load import checkpoint_dtype
from spectrum_trl.prompts.templates import published
from spectrum_trl.recipe.read import Recipe
from spectrum_trl.runs.checkpoints import way_back
from spectrum_trl.runs.run_folder import STAGING, RunFolder


def save_run(
    trainer: SFTTrainer,
    *,
    folder: RunFolder,
    recipe: Recipe,
    mixture: Mixture,
    tokenizer: PreTrainedTokenizerBase,
) -> None:
    """Save the model to a staging folder, and move it into place once it is complete.

    Every rank must call this.

    Raises:
        UserError: If a trained weight is NaN or infinite.
    """
    staging = folder.path / STAGING
    if trainer.is_world_process_zero():
        shutil.rmtree(staging, ignore_errors=True)
    trainer.accelerator.wait_for_everyone()
    _write(trainer, staging, recipe=recipe, mixture=mixture, tokenizer=tokenizer)
    folder.publish(staging)
    trainer.accelerator.wait_for_everyone()


def _write(
    trainer: SFTTrainer,
    staging: Path,
    *,
    recipe: Recipe,
    mixture: Mixture,
    tokenizer: PreTrainedTokenizerBase,
) -> None:
    """Write everything that stock libraries need to load the trained model, and its model card."""
    # A collective: with FSDP every rank contributes its shards, and the first gets whole tensors.
    state = trainer.accelerator.get_state_dict(trainer.model)
    if not trainer.is_world_process_zero():
        return
    model = trainer.accelerator.unwrap_model(trainer.model)
    assert isinstance(model, PreTrainedModel | PeftModel)
    staging.mkdir(parents=True, exist_ok=True)
    run = Path(str(trainer.args.output_dir))
    tokenizer = published(tokenizer, layout=recipe.data.layout)
    if isinstance(model, PreTrainedModel):
        set_special_tokens(model, tokenizer)
    _write_weights(
        model, state, staging, dtype=saved_dtype(recipe, model), seed=recipe.training.seed, run=run
    )
    generation_config(tokenizer).save_pretrained(staging)
    tokenizer.save_pretrained(staging)
    name, revision = recipe.model.model_name_or_path, recipe.model.model_revision
    if name:
        copy_processor(name, staging, revision=revision, config=model.config)
    card = model_card(
        # Resolved, because `.` has no name.
        run.resolve().name,
        base_model=name,
        revision=revision,
        settings=recipe.settings,
        counts=[asdict(count) for count in mixture.counts],
        is_adapter=isinstance(model, PeftModel),
    )
    card.save(staging / "README.md")


def saved_dtype(recipe: Recipe, model: PreTrainedModel | PeftModel) -> torch.dtype:
    """Return the number type of the saved weights: the recipe's ``save_dtype``, or the base checkpoint's."""
    if recipe.run.save_dtype:
        return getattr(torch, recipe.run.save_dtype)
    name = recipe.model.model_name_or_path
    own = checkpoint_dtype(name, revision=recipe.model.model_revision) if name else None
    return own or model.dtype


def _write_weights(
    model: PreTrainedModel | PeftModel,
    state: dict[str, torch.Tensor],
    folder: Path,
    *,
    dtype: torch.dtype,
    seed: int,
    run: Path,
) -> None:
    """Write each weight once, and a configuration with the saved number type."""
    if isinstance(model, PeftModel):
        # The base model's weights are not saved; these are peft's names for the rest.
        trained = [key for key in state if ".lora_" in key or ".modules_to_save." in key]
    else:
        # Gathered from shards, a tied head is a separate tensor, which save_pretrained would write again.
        for tied, source in model.all_tied_weights_keys.items():
            if source in state:
                state.pop(tied, None)
        trained = list(state)
    _round(state, trained, dtype=dtype, seed=seed)
    # Checked after rounding, because a large value may overflow in a smaller number type.
    if broken := [key for key in trained if not state[key].isfinite().all()]:
        raise UserError(
            f"training diverged: {len(broken)} of {len(trained)} weights hold NaN or infinity, so nothing is "
            f"saved as {str(dtype).removeprefix('torch.')}; try a smaller learning_rate, or another "
            f"save_dtype; {way_back(run)}"
        )
    # Trainer disables the cache for training.
    model.config.use_cache = True
    model.save_pretrained(str(folder), state_dict=state)
    if not isinstance(model, PeftModel):
        set_dtype(model.config, dtype)
        model.config.save_pretrained(folder)


def _round(state: dict[str, torch.Tensor], trained: list[str], *, dtype: torch.dtype, seed: int) -> None:
    """Round trained weights in place; round a matrix with two names once: loaders may or may not tie it."""
    noise = torch.Generator().manual_seed(seed)
    exact: dict[str, torch.Tensor] = {}
    for key in trained:
        if not state[key].is_floating_point():
            continue
        weight = state[key].to("cpu")
        # Compared by value, because tensors gathered from shards share no memory.
        same = next((name for name, other in exact.items() if torch.equal(weight, other)), None)
        state[key] = state[same].clone() if same else rounded(weight, dtype, noise=noise)
        if ".modules_to_save." in key:
            exact[key] = weight
