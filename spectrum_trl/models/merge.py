"""Merge an adapter into its base model: a folder that every stock tool loads."""

import json
import tempfile
from pathlib import Path

import torch
import yaml
from peft import PeftConfig, PeftModel
from peft.utils import CONFIG_NAME as ADAPTER_CONFIG
from transformers import PreTrainedModel

from spectrum_trl.errors import UserError
from spectrum_trl.models.folder import copy_processor, generation_config, set_dtype
from spectrum_trl.models.load import checkpoint_dtype, load_model, load_tokenizer
from spectrum_trl.models.model_card import model_card


def merge(run: Path, out: Path, *, dtype: torch.dtype | None = None) -> None:
    """Merge the adapter of a run into its base model and save the result as a stock folder.

    Args:
        run: ``output_dir`` of a LoRA or QLoRA run, or one of its checkpoints.
        out: The folder to write; must not exist or be empty.
        dtype: Number type of the saved weights, or None for the base model's own.

    Raises:
        UserError: If there is no adapter, its base model cannot be loaded, or the folder is taken.
    """
    adapter = _read_adapter(run)
    if out.is_symlink() or out.is_file() or (out.is_dir() and any(out.iterdir())):
        raise UserError(f"{out} is not an empty folder; name a new one")
    base, revision = str(adapter.base_model_name_or_path), adapter.revision or "main"
    tokenizer = load_tokenizer(str(run))
    try:
        # Sums of products round; what is saved in 16 bits is rounded once, at the end.
        model = load_model(base, revision=revision, dtype=torch.float32)
        dtype = dtype or checkpoint_dtype(base, revision=revision) or torch.float32
    except UserError as error:
        raise UserError(
            f"{run}: its base model is missing: {error} If it has moved, correct base_model_name_or_path in "
            f"{run / ADAPTER_CONFIG}."
        ) from error
    merged = _merged(model, run)
    merged.generation_config = generation_config(tokenizer)
    merged.config.use_cache = True
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as temporary:
        folder = Path(temporary, "model")
        torch.nn.Module.to(merged, dtype).save_pretrained(folder)
        set_dtype(merged.config, dtype)
        merged.config.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        copy_processor(base, folder, revision=revision, config=merged.config)
        _write_card(run, folder, title=out.name, base=base, revision=revision)
        # Replaces an empty folder, and fails where somebody has filled it meanwhile.
        folder.rename(out)


def _read_adapter(run: Path) -> PeftConfig:
    if not run.is_dir():
        raise UserError(f"{run} is no folder; name the output_dir of a LoRA run")
    if not (run / ADAPTER_CONFIG).is_file():
        whole = (run / "config.json").is_file()
        raise UserError(
            f"{run} holds a whole model, so there is nothing to merge: load it as it is"
            if whole
            else f"{run} holds no adapter ({ADAPTER_CONFIG}); name the output_dir of a LoRA run"
        )
    try:
        return PeftConfig.from_pretrained(str(run))
    except (ValueError, TypeError, KeyError) as error:
        raise UserError(f"{run / ADAPTER_CONFIG} cannot be read: {error}") from error


def _merged(base: PreTrainedModel, run: Path) -> PreTrainedModel:
    try:
        return PeftModel.from_pretrained(base, str(run)).merge_and_unload(safe_merge=True)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise UserError(f"{run}: its adapter does not fit its base model: {error}") from error


def _write_card(run: Path, folder: Path, *, title: str, base: str, revision: str) -> None:
    """Write the model card, where the folder is that of a run with its records."""
    recipe, provenance = run / "recipe.yaml", run / "provenance.json"
    if not (recipe.is_file() and provenance.is_file()):
        return
    settings = yaml.safe_load(recipe.read_text(encoding="utf-8"))
    settings.pop("launch", None)
    card = model_card(
        title,
        base_model=base,
        revision=revision,
        settings=settings,
        counts=json.loads(provenance.read_text(encoding="utf-8"))["data"],
        is_adapter=False,
    )
    card.save(folder / "README.md")
