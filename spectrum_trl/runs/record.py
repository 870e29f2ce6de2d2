"""Record what determines a run: settings, library versions and data."""

import importlib.metadata
import json
import platform
from dataclasses import asdict, fields
from typing import Any

from accelerate import PartialState

from spectrum_trl.data.mixture import Mixture
from spectrum_trl.models.fingerprint import fingerprints
from spectrum_trl.recipe.read import Recipe
from spectrum_trl.recipe.recipe_file import SECRETS

RECORD = "provenance.json"
PACKAGES = (
    *("spectrum-trl", "torch", "transformers", "trl", "peft", "accelerate", "datasets", "tokenizers"),
    "bitsandbytes",
)
# Only their product matters: 4 processes with 2 rows make the same step as 2 with 4, except at the end of an
# epoch whose rows cannot be divided evenly, where accelerate repeats some.
BATCH = ("per_device_train_batch_size", "gradient_accumulation_steps")


def settings_of(recipe: Recipe) -> dict[str, Any]:
    """Return every effective setting as JSON values, with ``rows_per_step`` in place of its factors."""
    settings = {
        item.name: getattr(section, item.name)
        for section in (recipe.data, recipe.run, recipe.model, recipe.training)
        for item in fields(section)
        if item.name not in (*BATCH, *SECRETS)
    }
    per_device, accumulation = (getattr(recipe.training, name) for name in BATCH)
    if recipe.training.train_sampling_strategy == "group_by_length":
        # Group sizes depend on the rows of one process per step.
        settings["rows_per_step_and_process"] = per_device * accumulation
    if recipe.training.dataloader_drop_last:
        # This decides how many of an epoch's last rows are dropped.
        settings["per_device_train_batch_size"] = per_device
    settings["rows_per_step"] = per_device * accumulation * PartialState().num_processes
    plain = json.loads(json.dumps(settings, default=_plain, sort_keys=True))
    # Trainer adds the accumulation steps here, which rows_per_step already covers.
    own = (plain.get("accelerator_config") or {}).get("gradient_accumulation_kwargs") or {}
    own.pop("num_steps", None)
    return plain


def model_of(recipe: Recipe) -> dict[str, str]:
    """Return the fingerprints of the starting model; empty for a new one."""
    name = recipe.model.model_name_or_path
    return fingerprints(name, revision=recipe.model.model_revision) if name else {}


def versions() -> dict[str, str]:
    """Return the versions of Python and of the libraries that affect a run."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def data_of(mixture: Mixture) -> dict[str, Any]:
    """Return counts and hashes of the training data."""
    return {"data": [asdict(count) for count in mixture.counts], "missing": mixture.missing}


def _plain(value: Any) -> Any:
    if hasattr(value, "to_dict"):
        return value.to_dict()
    if hasattr(value, "model_dump"):
        return value.model_dump()
    if hasattr(value, "value"):
        return value.value
    return vars(value) if hasattr(value, "__dict__") else str(value)
