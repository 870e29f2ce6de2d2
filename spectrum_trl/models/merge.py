"""Merge what was tuned into its base model, whole or part of the way, as a folder that stock tools load."""

import os
import shutil
from pathlib import Path
from typing import cast

import torch
from peft import PeftConfig, PeftModel, PeftType, get_peft_model
from peft.tuners.tuners_utils import BaseTunerLayer
from peft.utils import CONFIG_NAME as ADAPTER_CONFIG
from peft.utils import SAFETENSORS_WEIGHTS_NAME
from safetensors import SafetensorError
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from spectrum_trl.console import console
from spectrum_trl.errors import UserError
from spectrum_trl.files import check_new_folder, new_folder
from spectrum_trl.models.folder import (
    RECORD,
    copy_processor,
    generation_config,
    model_card,
    rounded,
    set_dtype,
    set_special_tokens,
)
from spectrum_trl.models.load import checkpoint_dtype, load_model, load_tokenizer
from spectrum_trl.models.role_rows import role_token_ids
from spectrum_trl.models.weights import check_weights, shared_layers, token_matrices
from spectrum_trl.prompts.templates import family_of
from spectrum_trl.recipe.recipe_file import read_recipe_file
from spectrum_trl.strict.json import read_json


def merge(run: Path, out: Path, *, dtype: torch.dtype | None = None, share: float = 1.0) -> torch.dtype:
    """Merge a run into its base model and save the result as an ordinary model folder.

    With a share, each weight lies that far on the way from the base model's to the tuned one, which forgets
    less and keeps much of what was learnt (Wortsman et al., arXiv 2109.01903); role tokens, which a base
    model never trained, keep their tuned rows.

    Args:
        run: ``output_dir`` of a LoRA or QLoRA run, or one of its checkpoints; with a share below 1 also of a
            full-parameter run.
        out: The folder to write; must be empty or not exist.
        dtype: Number type of the saved weights, or None for the base model's.
        share: In (0, 1].

    Returns:
        The number type of the saved weights.

    Raises:
        UserError: If there is nothing to merge, the base model cannot be loaded, or ``out`` is in use.
    """
    check_new_folder(out)
    adapter = None if share < 1 and (run / "config.json").is_file() else _read_adapter(run)
    named_in, base, revision = _base_of(run, adapter)
    tokenizer = load_tokenizer(str(run))
    try:
        # Merging in float32 means that weights saved in 16 bits are rounded only once, at the end.
        model = load_model(base, revision=revision, dtype=torch.float32)
        dtype = dtype or checkpoint_dtype(base, revision=revision) or torch.float32
    except UserError as error:
        raise UserError(
            f"{run}: its base model cannot be loaded: {error} If it has moved, correct {named_in}."
        ) from error
    if adapter:
        merged = _merged(model, run, adapter)
        # peft merges into the base model's own weights.
        model = load_model(base, revision=revision, dtype=torch.float32) if share < 1 else merged
    else:
        merged = load_model(str(run), dtype=torch.float32)
    if share < 1:
        _approach(merged, start=model, share=share, tokenizer=tokenizer)
    merged.generation_config = generation_config(tokenizer)
    merged.config.use_cache = True
    set_special_tokens(merged, tokenizer)
    noise = torch.Generator().manual_seed(0)
    for parameter in merged.parameters():
        parameter.data = rounded(parameter.data, dtype, noise=noise)
    torch.nn.Module.to(merged, dtype)
    check_weights(merged, name=f"{run}, merged into {str(dtype).removeprefix('torch.')},")
    set_dtype(merged.config, dtype)
    try:
        with new_folder(out) as folder:
            merged.save_pretrained(folder)
            merged.config.save_pretrained(folder)
            tokenizer.save_pretrained(folder)
            copy_processor(base, folder, revision=revision, config=merged.config)
            _write_card(run, folder, title=out.name, base=base, revision=revision, share=share)
            if (run / RECORD).is_file():
                # Evaluations read from it what the model was trained on.
                shutil.copyfile(run / RECORD, folder / RECORD)
    except (OSError, SafetensorError) as error:
        raise UserError(f"{out} cannot be written: {error}") from error
    return dtype


def _read_adapter(run: Path) -> PeftConfig:
    if not os.path.isdir(run):
        raise UserError(f"{run} is not a folder; name the output_dir of a LoRA run")
    if not (run / ADAPTER_CONFIG).is_file():
        whole = (run / "config.json").is_file()
        raise UserError(
            f"{run} is a whole model, so there is nothing to merge; load it directly"
            if whole
            else f"{run} contains no adapter ({ADAPTER_CONFIG}); name the output_dir of a LoRA run"
        )
    try:
        config = PeftConfig.from_pretrained(str(run))
    except (ValueError, TypeError, KeyError) as error:
        raise UserError(f"{run / ADAPTER_CONFIG} cannot be read: {error}") from error
    if config.peft_type != PeftType.LORA or not config.base_model_name_or_path:
        raise UserError(f"{run / ADAPTER_CONFIG} does not describe a LoRA adapter with a named base model")
    if not (run / SAFETENSORS_WEIGHTS_NAME).is_file():
        raise UserError(
            f"{run} has no {SAFETENSORS_WEIGHTS_NAME}; name the output_dir of a finished LoRA run"
        )
    return config


def _base_of(run: Path, adapter: PeftConfig | None) -> tuple[str, str, str]:
    """Return where a run names its base model, and that model's name and revision."""
    if adapter:
        named_in = f"base_model_name_or_path in {run / ADAPTER_CONFIG}"
        return named_in, str(adapter.base_model_name_or_path), adapter.revision or "main"
    recipe = run / "recipe.yaml"
    settings = read_recipe_file(recipe).settings if recipe.is_file() else {}
    if not settings.get("model_name_or_path"):
        raise UserError(f"{run} has no recipe.yaml that names a base model; name the output_dir of a run")
    base, revision = str(settings["model_name_or_path"]), str(settings.get("model_revision") or "main")
    return f"model_name_or_path in {recipe}", base, revision


@torch.no_grad()
def _approach(
    tuned: PreTrainedModel, *, start: PreTrainedModel, share: float, tokenizer: PreTrainedTokenizerBase
) -> None:
    """Move weights in place to ``share`` of the way from a start, but for the role tokens' rows."""
    family = family_of(tokenizer)
    roles = role_token_ids(tokenizer, family=family.name) if family else []
    embeddings = token_matrices(tuned)
    rows = [weight[roles].clone() for weight in embeddings]
    begun = start.state_dict()
    for name, weight in tuned.named_parameters():
        if name not in begun or begun[name].shape != weight.shape:
            raise UserError(f"{name} differs in shape from the base model's, or is not there; merge it whole")
        weight.copy_(torch.lerp(begun[name], weight, share))
    for embedding, kept in zip(embeddings, rows, strict=True):
        embedding[roles] = kept


def _merged(base: PreTrainedModel, run: Path, adapter: PeftConfig) -> PreTrainedModel:
    shared = shared_layers(base)
    try:
        model = cast(PeftModel, get_peft_model(base, adapter))
        # from_pretrained would do the same, but only warn about missing weights.
        found = model.load_adapter(str(run), "default")
        if wrong := [*found.missing_keys, *found.unexpected_keys]:
            raise ValueError(
                f"{SAFETENSORS_WEIGHTS_NAME} lacks {len(found.missing_keys)} of its weights and has "
                f"{len(found.unexpected_keys)} unexpected ones, for example {wrong[0]}"
            )
        adapted = model.get_base_model()
        if apart := [name for name in shared if isinstance(adapted.get_submodule(name), BaseTunerLayer)]:
            # peft 0.21.2 merges into the shared matrix what was trained for only one of its users.
            raise ValueError(f"it adapts {apart[0]}, which shares its weights; it cannot be merged")
        return model.merge_and_unload(safe_merge=True)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        raise UserError(f"{run}: its adapter does not fit its base model: {error}") from error


def _write_card(run: Path, folder: Path, *, title: str, base: str, revision: str, share: float) -> None:
    """Write the model card if the folder has the records of a run."""
    recipe, provenance = run / "recipe.yaml", run / RECORD
    if not (recipe.is_file() and provenance.is_file()):
        return
    try:
        settings = read_recipe_file(recipe).settings
        counts = read_json(provenance)["data"]
        card = model_card(
            title,
            base_model=base,
            revision=revision,
            settings=settings,
            counts=counts,
            is_adapter=False,
            share=share,
        )
    except (UserError, ValueError, KeyError, TypeError, AttributeError) as error:
        console(stderr=True).print(f"no model card: the records of {run} are damaged ({error})", markup=False)
        return
    card.save(folder / "README.md")
