"""Save a trained model so that stock libraries load it and stop where a sample ends."""

import shutil
from pathlib import Path

import torch
from peft import PeftModel
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from trl import SFTTrainer

from spectrum_trl.data.mixture import Mixture
from spectrum_trl.errors import UserError
from spectrum_trl.models.folder import copy_processor, generation_config, set_dtype, set_special_tokens
from spectrum_trl.models.load import checkpoint_dtype
from spectrum_trl.models.model_card import model_card
from spectrum_trl.models.rounding import rounded
from spectrum_trl.prompts.layouts import published
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
    """Save the model to a staging folder first, and move it into place when it is complete.

    Args:
        trainer: After training; every process must call this.
        folder: Of the run.
        recipe: As parsed.
        mixture: What was trained on.
        tokenizer: With the Spectrum template.
    """
    staging = folder.path / STAGING
    if trainer.is_world_process_zero():
        shutil.rmtree(staging, ignore_errors=True)
    trainer.accelerator.wait_for_everyone()
    write_model(trainer, staging, recipe=recipe, mixture=mixture, tokenizer=tokenizer)
    folder.publish(staging)
    trainer.accelerator.wait_for_everyone()


def write_model(
    trainer: SFTTrainer,
    staging: Path,
    *,
    recipe: Recipe,
    mixture: Mixture,
    tokenizer: PreTrainedTokenizerBase,
) -> None:
    """Fill a folder with all that stock libraries need to load the trained model, and its model card.

    Args:
        trainer: After training; every process must call this.
        staging: The folder; made by the first process.
        recipe: As parsed.
        mixture: What was trained on.
        tokenizer: With the Spectrum template.
    """
    # A collective: with FSDP every process gives its shards, and the first gets whole tensors.
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
        # Of `.` there is no name.
        run.resolve().name,
        base_model=name,
        revision=revision,
        settings=recipe.settings,
        counts=[count._asdict() for count in mixture.counts],
        is_adapter=isinstance(model, PeftModel),
    )
    card.save(staging / "README.md")


def saved_dtype(recipe: Recipe, model: PreTrainedModel | PeftModel) -> torch.dtype:
    """Return the number type of the saved weights: the recipe's ``save_dtype``, or that of the checkpoint."""
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
    """Write the weights once each, and a configuration that says what they are."""
    if isinstance(model, PeftModel):
        # The base's weights are not saved; the rest is named by peft.
        trained = [key for key in state if ".lora_" in key or ".modules_to_save." in key]
    else:
        # Gathered from shards, a tied head is a tensor of its own, which save_pretrained would write again.
        for tied, source in model.all_tied_weights_keys.items():
            if source in state:
                state.pop(tied, None)
        trained = list(state)
    _round(state, trained, dtype=dtype, seed=seed)
    # Rounded, because a smaller number type may not hold what a larger one does.
    if broken := [key for key in trained if not state[key].isfinite().all()]:
        raise UserError(
            f"training diverged: {len(broken)} of {len(trained)} weights hold NaN or infinity, so nothing is "
            f"saved as {str(dtype).removeprefix('torch.')}; try a smaller learning_rate, or another "
            f"save_dtype; {way_back(run)}"
        )
    # Trainer switches the cache off for training.
    model.config.use_cache = True
    model.save_pretrained(str(folder), state_dict=state)
    if not isinstance(model, PeftModel):
        set_dtype(model.config, dtype)
        model.config.save_pretrained(folder)


def _round(state: dict[str, torch.Tensor], trained: list[str], *, dtype: torch.dtype, seed: int) -> None:
    """Round what was trained, and one matrix under two names once: loaders tie them anew, or do not."""
    noise = torch.Generator().manual_seed(seed)
    exact: dict[str, torch.Tensor] = {}
    for key in trained:
        if not state[key].is_floating_point():
            continue
        weight = state[key].to("cpu")
        # By value, because what is gathered from shards is a tensor of its own.
        same = next((name for name, other in exact.items() if torch.equal(weight, other)), None)
        state[key] = state[same].clone() if same else rounded(weight, dtype, noise=noise)
        if ".modules_to_save." in key:
            exact[key] = weight
