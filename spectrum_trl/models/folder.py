"""The files of a model folder: weights, generation settings, processor and card; and its fingerprints."""

import json
import logging
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
import yaml
from huggingface_hub import ModelCard, ModelCardData
from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id
from transformers import GenerationConfig, PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import cached_file

from spectrum_trl.console import is_first_process, visible
from spectrum_trl.errors import first_line
from spectrum_trl.files import sha256_of
from spectrum_trl.models.load import load_config, model_path
from spectrum_trl.paths import EMBEDDED
from spectrum_trl.strict.json import read_json
from spectrum_trl.suite.task import EVALUATED

logger = logging.getLogger(__name__)
# Files that a multimodal model's processor needs besides the tokenizer.
PROCESSOR_FILES = ("processor_config.json", "preprocessor_config.json", "video_preprocessor_config.json")
LICENCE_KEYS = ("license", "license_name", "license_link")
# A run's record, and its key for what its starting model was trained on.
RECORD = "provenance.json"
BEFORE = "before"
# The user's private keys, left out of the card.
PRIVATE = ("hub_token", "output_dir", "overwrite", "resume_from_checkpoint", "data_dir")
COLUMNS = ("sequences", "outputs", "trained_tokens")
TEMPLATE = Path(__file__).with_name("model_card.md.jinja")
# Weight files, hashed in full. Half a gigabyte takes about a third of a second.
WEIGHTS = ("*.safetensors", "*.bin", "*.pt", "*.pth", "*.gguf")
# Beside the weights: configuration, tokenizer, templates, code.
SMALL_FILES = ("*.json", "*.jinja", "*.model", "*.txt", "*.py", "additional_chat_templates/*.jinja")


def generation_config(tokenizer: PreTrainedTokenizerBase) -> GenerationConfig:
    """Return settings that sample from the model's own distribution and stop at the end of the turn."""
    return GenerationConfig(
        do_sample=True,
        temperature=1.0,
        top_p=1.0,
        top_k=0,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
    )


def set_special_tokens(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """Copy a tokenizer's special token ids into a model's configuration, where transformers reads them."""
    for name in ("bos_token_id", "eos_token_id", "pad_token_id"):
        setattr(model.config.get_text_config(), name, getattr(tokenizer, name))


def copy_processor(name: str, folder: Path, *, revision: str, config: PreTrainedConfig) -> None:
    """Copy a multimodal base model's processor files to a folder; do nothing for a text-only model."""
    if config.get_text_config() is config:
        return
    for file in PROCESSOR_FILES:
        found = cached_file(
            model_path(name), file, revision=revision, _raise_exceptions_for_missing_entries=False
        )
        if found:
            shutil.copyfile(found, folder / file)


def set_dtype(config: PreTrainedConfig, dtype: torch.dtype) -> None:
    """Record the number type of the saved weights in a configuration and all its sub-configurations."""
    config.dtype = dtype
    for part in config.sub_configs:
        set_dtype(getattr(config, part), dtype)


def rounded(weight: torch.Tensor, dtype: torch.dtype, *, noise: torch.Generator) -> torch.Tensor:
    """Convert a weight to another number type, rounding stochastically to bfloat16.

    Weights of a bfloat16 checkpoint start on its grid, and a small learning rate moves most of them by less
    than half a step: rounding to nearest would undo these updates. Stochastic rounding, with probabilities
    given by the distances, preserves them on average and leaves unchanged weights exact.

    Args:
        weight: A tensor on the CPU.
        dtype: A floating-point type.
        noise: Source of randomness.
    """
    if dtype != torch.bfloat16 or weight.dtype != torch.float32:
        return weight.to(dtype)
    bits = weight.contiguous().view(torch.int32)
    lower = torch.randint(2**16, bits.shape, dtype=torch.int32, generator=noise)
    found = ((bits + lower) & -(2**16)).view(torch.float32)
    # The payload of a NaN can be in the lower bits, without which it would be an infinity.
    return found.where(weight.isfinite(), weight).to(dtype)


def model_card(
    title: str,
    *,
    base_model: str | None,
    revision: str,
    settings: Mapping[str, Any],
    counts: Sequence[Mapping[str, Any]],
    is_adapter: bool,
    share: float = 1.0,
) -> ModelCard:
    """Return the card of a trained model.

    Args:
        title: Name of the model folder.
        base_model: Folder or Hub id of the base model, or None if there was none.
        revision: Revision of the Hub repository.
        settings: The recipe's keys and values.
        counts: For each task, its ``task``, ``sequences``, ``outputs`` and ``trained_tokens``.
        is_adapter: Whether the folder holds an adapter rather than a whole model.
        share: How far on the way from the base model to the tuned weights the model lies. In (0, 1].
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
        share=share,
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


def fingerprints(name: str, *, revision: str = "main") -> dict[str, str]:
    """Return what identifies a model: its commit on the Hub, or the hashes of its weight files.

    Hashes are not cached: a file rewritten within one clock tick, or with its old modification time restored,
    would be mistaken for the previous one.

    Args:
        name: Folder or Hub id.
        revision: Revision of the Hub repository.
    """
    folder = Path(model_path(name))
    if not folder.is_dir():
        return {"commit of the model": str(load_config(name, revision=revision)._commit_hash)}
    return {
        f"{file.name} of the model": f"{file.stat().st_size:,} bytes, sha256 {sha256_of(file)}"
        for file in weights(folder)
    }


def weights(folder: Path) -> Iterator[Path]:
    """Yield the weight files in a folder."""
    for pattern in WEIGHTS:
        yield from sorted(file for file in folder.glob(pattern) if file.is_file())


def contents(name: str, *patterns: str) -> tuple[str, ...]:
    """Return names and hashes of files in a model folder that match globs relative to it.

    They are empty for a Hub id, which its revision identifies.
    """
    folder = Path(model_path(name))
    files = [file for pattern in patterns for file in sorted(folder.glob(pattern)) if file.is_file()]
    return tuple(f"{file.name} {sha256_of(file)}" for file in files) if folder.is_dir() else ()


class TrainingRecord(NamedTuple):
    """The training data of a model, from the record of its run.

    Attributes:
        counts: Name of each task that was trained on, to its counts.
        held_out_share: Share of individuals that were held out.
    """

    counts: dict[str, dict[str, Any]]
    held_out_share: float


def whole_record(record: dict[str, Any]) -> dict[str, Any]:
    """Return a run's record, with the data that its starting model was trained on among its own."""
    before = record.get(BEFORE)
    if not before:
        return record
    settings = record.get("settings", {})
    share = min(float(one.get("held_out_share") or 0) for one in (before, settings))
    settings = settings | {"held_out_share": share}
    return record | {"data": [*before["data"], *record["data"]], "settings": settings}


def training_record(name: str) -> TrainingRecord | None:
    """Return what a model was trained on; None without a record, or, with a warning, for a damaged one."""
    file = Path(model_path(name), RECORD)
    if not os.path.isfile(file):
        return None
    try:
        record = whole_record(read_json(file))
        # If a task was trained on twice, what left out its evaluated answers comes first, and is replaced.
        data = sorted(record["data"], key=lambda count: EVALUATED not in (count.get("dropped") or {}))
        counts = {str(count["task"]): dict(count) for count in data}
        share = float(record.get("settings", {}).get("held_out_share") or 0)
        if not 0 <= share < 1:
            raise ValueError(f"a held_out_share of {share:g}")
        return TrainingRecord(counts, share)
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        if is_first_process():
            logger.warning(
                "%s is damaged (%s), so results do not say what the model was trained on; copy it again",
                visible(str(file)),
                visible(first_line(error)),
            )
        return None
