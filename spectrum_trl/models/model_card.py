"""The model card of a run: base model, training data, recipe, and how to load the model."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from huggingface_hub import ModelCard, ModelCardData
from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id
from transformers.utils import cached_file

from spectrum_trl.paths import EMBEDDED

LICENCE_KEYS = ("license", "license_name", "license_link")
# The user's private keys, left out of the card.
PRIVATE = ("hub_token", "output_dir", "overwrite", "resume_from_checkpoint", "data_dir")
COLUMNS = ("sequences", "outputs", "trained_tokens")
TEMPLATE = Path(__file__).with_name("model_card.md.jinja")


def model_card(
    title: str,
    *,
    base_model: str | None,
    revision: str,
    settings: Mapping[str, Any],
    counts: Sequence[Mapping[str, Any]],
    is_adapter: bool,
) -> ModelCard:
    """Return the card of a trained model.

    Args:
        title: Name of the model folder.
        base_model: Folder or Hub id of the base model, or None if there was none.
        revision: Revision of the Hub repository.
        settings: The recipe's keys and values.
        counts: For each task, its ``task``, ``sequences``, ``outputs`` and ``trained_tokens``.
        is_adapter: Whether the folder holds an adapter rather than a whole model.
    """
    layout = str(settings.get("layout", "spectrum"))
    base, licence = _base(base_model, revision=revision) if base_model else (None, {})
    relation = {"base_model_relation": "adapter" if is_adapter else "finetune"} if base else {}
    others: dict[str, Any] = relation | licence
    lora = ["lora"] if is_adapter else []
    data = ModelCardData(
        base_model=base,
        library_name="peft" if is_adapter else "transformers",
        pipeline_tag="text-generation",
        tags=[*(["spectrum-tuning"] if layout == "spectrum" else []), "sft", "trl", *lora],
        **others,
    )
    own = {key: value for key, value in settings.items() if key not in PRIVATE}
    return ModelCard.from_template(
        data,
        template_path=str(TEMPLATE),
        title=title,
        layout=layout,
        is_adapter=is_adapter,
        origin=_origin(base_model, base=base, is_adapter=is_adapter),
        counts=[_cells(count) for count in counts],
        recipe=yaml.safe_dump(json.loads(json.dumps(own, default=str)), sort_keys=False, allow_unicode=True),
    )


def _base(name: str, *, revision: str) -> tuple[str | None, dict[str, str]]:
    """Return the Hub id that a base model comes from, and its licence fields, as far as they are known."""
    if name in {*EMBEDDED, *map(str, EMBEDDED.values())}:
        return None, {"license": "apache-2.0"}
    try:
        file = cached_file(name, "README.md", revision=revision, _raise_exceptions_for_missing_entries=False)
        card = ModelCard.load(file, ignore_metadata_errors=True).data.to_dict() if file else {}
    except (OSError, ValueError):
        card = {}
    # A folder has no Hub id, but its card may name the model that it came from.
    base = card.get("base_model") if Path(name).is_dir() else name
    licence = {key: card[key] for key in LICENCE_KEYS if isinstance(card.get(key), str)}
    return (base if isinstance(base, str) and _is_repo_id(base) else None), licence


def _is_repo_id(name: str) -> bool:
    try:
        validate_repo_id(name)
    except HFValidationError:
        return False
    return True


def _origin(name: str | None, *, base: str | None, is_adapter: bool) -> str:
    if name is None:
        return "A model trained from random weights"
    link = f"[{name}](https://huggingface.co/{name})" if base == name else f"`{name}`"
    return f"A LoRA adapter for {link}, trained" if is_adapter else f"{link}, fine-tuned"


def _cells(count: Mapping[str, Any]) -> list[str]:
    # A user's own file is named by its path, which is private.
    cells = [Path(str(count["task"])).name, *(str(count[column]) for column in COLUMNS)]
    return [cell.replace("|", r"\|") for cell in cells]
