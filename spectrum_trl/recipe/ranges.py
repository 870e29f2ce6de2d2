"""The types and ranges of a recipe's fields."""

from typing import Annotated, Any, Literal

from accelerate.utils import DynamoBackend
from accelerate.utils.constants import TORCH_DYNAMO_MODES
from annotated_types import Ge, Gt, Le, Lt
from pydantic import AfterValidator, BeforeValidator, TypeAdapter, ValidationError
from transformers.integrations.integration_utils import INTEGRATION_TO_CALLBACK

from spectrum_trl.errors import nearest
from spectrum_trl.recipe.fsdp import check_fsdp
from spectrum_trl.recipe.task_choice import FileChoice, TaskChoice
from spectrum_trl.suite.task import Split

# The limit of numpy's legacy generator, which transformers seeds.
LARGEST_SEED = 2**32 - 1
# 256 bytes and the role tokens.
SMALLEST_VOCABULARY = 259
# Rows are padded to a multiple of this; a larger value is a typo that fills the memory.
LONGEST_PADDING = 2**16
# No layer is wider; a larger rank is a typo that fills the memory.
LARGEST_RANK = 2**16
# The NEFTune paper tries 5 to 15; beyond this limit, noise drowns the embedding.
LARGEST_NOISE = 1000
# Processes on one machine.
MOST_WORKERS = 1024


def _steps(value: float | None) -> float | None:
    if value is not None and value >= 1 and not float(value).is_integer():
        raise ValueError("expected a whole number of steps, or a fraction of all steps below 1")
    return value


def _max_steps(value: int) -> int:
    if value == 0 or value < -1:
        raise ValueError("expected a positive number of steps, or -1 to use num_train_epochs")
    return value


def _switch(value: Any) -> Any:
    """Convert the texts ``true`` and ``false``; transformers reads other text as its former options."""
    if value == "":
        return False
    try:
        return TypeAdapter(bool).validate_python(value) if isinstance(value, str) else value
    except ValidationError:
        return value


# Fields whose annotation is too loose, or differs from what transformers documents.
TYPES: dict[str, Any] = {
    "tasks": TaskChoice,
    "train_files": FileChoice,
    "split": Annotated[list[Split], AfterValidator(lambda chosen: _not_empty(chosen))],
    "copy_role_tokens_from": Annotated[str | None, BeforeValidator(lambda name: name or None)],
    "fsdp": Annotated[bool | str | None, BeforeValidator(_switch)],
    # A file's path is not accepted, because its keys would not be recorded.
    "fsdp_config": Annotated[dict[str, Any] | None, AfterValidator(lambda config: check_fsdp(config))],
    "report_to": Annotated[
        list[Literal["none", "all", *INTEGRATION_TO_CALLBACK]] | None,  # type: ignore[valid-type]
        AfterValidator(lambda trackers: trackers or ["none"]),
    ],
    "resume_from_checkpoint": bool | str | None,
    "pad_to_multiple_of": Annotated[int, Ge(1), Le(LONGEST_PADDING)] | Literal["auto"] | None,
    "max_steps": Annotated[int, AfterValidator(_max_steps)],
    "lora_task_type": Literal["CAUSAL_LM"],
    "bnb_4bit_quant_storage": Literal["uint8", "float16", "bfloat16", "float32"] | None,
    "torch_compile_backend": Annotated[str | None, AfterValidator(lambda name: _backend(name))],
    "torch_compile_mode": Literal[*TORCH_DYNAMO_MODES] | None,
    # Cannot be written in YAML.
    "parallelism_config": None,
}


def _of(names: str, *constraints: Any) -> dict[str, tuple[Any, ...]]:
    return dict.fromkeys(names.split(), constraints)


RANGES: dict[str, tuple[Any, ...]] = {
    **_of("per_device_train_batch_size per_device_eval_batch_size gradient_accumulation_steps", Ge(1)),
    **_of("max_sequences max_length save_total_limit torch_empty_cache_steps eval_accumulation_steps", Ge(1)),
    **_of("dataset_num_proc", Ge(1), Le(MOST_WORKERS)),
    **_of("dataloader_prefetch_factor ddp_bucket_cap_mb ddp_timeout", Ge(1)),
    **_of("lora_r lora_alpha", Ge(1), Le(LARGEST_RANK)),
    **_of("new_vocab_size", Ge(SMALLEST_VOCABULARY)),
    **_of("learning_rate num_train_epochs adam_epsilon", Gt(0)),
    **_of("warmup_steps weight_decay max_grad_norm eval_delay", Ge(0)),
    **_of("neftune_noise_alpha", Ge(0), Le(LARGEST_NOISE)),
    **_of("router_aux_loss_coef", Ge(0)),
    **_of("dataloader_num_workers", Ge(0), Le(MOST_WORKERS)),
    **_of("adam_beta1 adam_beta2 label_smoothing_factor lora_dropout", Ge(0), Lt(1)),
    **_of("description_probability", Ge(0), Le(1)),
    **_of("seed data_seed mixture_seed", Ge(0), Le(LARGEST_SEED)),
    **_of("logging_steps save_steps eval_steps", Gt(0), AfterValidator(_steps)),
}


def _backend(name: str | None) -> str | None:
    from torch._dynamo import list_backends

    known = sorted({backend.value.lower() for backend in DynamoBackend} & set(list_backends(())))
    if name is not None and name not in known:
        raise ValueError(
            f"expected one of {', '.join(known)}, but it is {name[:60]!r}.{nearest(name, known)}"
        )
    return name


def _not_empty(chosen: list[Any]) -> list[Any]:
    if not chosen:
        raise ValueError("expected at least one of 'train' and 'test'")
    return chosen
