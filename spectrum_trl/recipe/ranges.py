"""The ranges of a recipe's fields, and the pairs of fields that contradict each other."""

from collections.abc import Iterable
from typing import Annotated, Any, Literal

from accelerate.utils import DynamoBackend
from accelerate.utils.constants import TORCH_DYNAMO_MODES
from annotated_types import Ge, Gt, Le, Lt
from pydantic import AfterValidator, BeforeValidator, TypeAdapter, ValidationError
from transformers.integrations.integration_utils import INTEGRATION_TO_CALLBACK

from spectrum_trl.errors import nearest
from spectrum_trl.recipe.task_choice import FileChoice, TaskChoice
from spectrum_trl.suite.task import Split

# What numpy's generator, which transformers seeds, accepts.
LARGEST_SEED = 2**32 - 1
# 256 bytes and the role tokens.
SMALLEST_VOCABULARY = 259
# Each row is padded to a multiple of it; beyond this it is a slip that fills the memory.
LONGEST_PADDING = 2**16
# Processes of one machine.
MOST_WORKERS = 1024
FSDP_KEYS = (
    "version",
    "auto_wrap_policy",
    "transformer_layer_cls_to_wrap",
    "min_num_params",
    "reshard_after_forward",
    "activation_checkpointing",
    "cpu_offload",
    "cpu_ram_efficient_loading",
    "state_dict_type",
    "forward_prefetch",
    "backward_prefetch",
    "use_orig_params",
    "sync_module_states",
    "limit_all_gathers",
    "xla",
    "xla_fsdp_v2",
    "xla_fsdp_grad_ckpt",
    "xla_fsdp_settings",
)


def _steps(value: float | None) -> float | None:
    if value is not None and value >= 1 and not float(value).is_integer():
        raise ValueError("expected a whole number of steps, or a share of all steps below 1")
    return value


def _max_steps(value: int) -> int:
    if value == 0 or value < -1:
        raise ValueError("expected a positive number of steps, or -1 to go by num_train_epochs")
    return value


def _switch(value: Any) -> Any:
    """Read ``true`` and ``false`` that came as text; transformers takes other text as its own old options."""
    if value == "":
        return False
    try:
        return TypeAdapter(bool).validate_python(value) if isinstance(value, str) else value
    except ValidationError:
        return value


# Fields whose own annotation says too little, or something else than transformers documents.
TYPES: dict[str, Any] = {
    "tasks": TaskChoice,
    "train_files": FileChoice,
    "split": Annotated[list[Split], AfterValidator(lambda chosen: _not_empty(chosen))],
    "copy_role_tokens_from": Annotated[str | None, BeforeValidator(lambda name: name or None)],
    "fsdp": Annotated[bool | str | None, BeforeValidator(_switch)],
    "fsdp_config": Annotated[dict[str, Any] | str | None, AfterValidator(lambda keys: _fsdp_keys(keys))],
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
    **_of("lora_r lora_alpha", Ge(1)),
    **_of("new_vocab_size", Ge(SMALLEST_VOCABULARY)),
    **_of("learning_rate num_train_epochs adam_epsilon", Gt(0)),
    **_of("warmup_steps weight_decay max_grad_norm eval_delay neftune_noise_alpha", Ge(0)),
    **_of("router_aux_loss_coef", Ge(0)),
    **_of("dataloader_num_workers", Ge(0), Le(MOST_WORKERS)),
    **_of("adam_beta1 adam_beta2 label_smoothing_factor lora_dropout", Ge(0), Lt(1)),
    **_of("description_probability", Ge(0), Le(1)),
    **_of("seed data_seed mixture_seed", Ge(0), Le(LARGEST_SEED)),
    **_of("logging_steps save_steps eval_steps", Gt(0), AfterValidator(_steps)),
}

# Fields that a recipe cannot use, and why.
UNUSABLE = {
    "chat_template_path": "the Spectrum template is chosen by the tokenizer; remove it",
    "pad_token": "padding is chosen with the template; remove it",
    "completion_only_loss": "loss is on outputs, which assistant_only_loss says; remove it",
    "dataset_kwargs": "the data set is prepared from tasks and train_files; remove it",
    "model_init_kwargs": "use the recipe's own fields of the model instead, as dtype and attn_implementation",
}
NEEDS_EVALUATION_SET = ("eval_on_start", "load_best_model_at_end", "do_eval")


def contradictions(settings: dict[str, Any]) -> Iterable[tuple[str, str]]:
    """Yield pairs of a field and what is wrong with it beside the others.

    Args:
        settings: Values that each are right alone.
    """
    if not str(settings.get("output_dir") or "").strip():
        yield "output_dir", "is missing; name a folder for the trained model"
    for name, reason in UNUSABLE.items():
        if settings.get(name):
            yield name, reason
    for name in NEEDS_EVALUATION_SET:
        if settings.get(name):
            yield name, "a recipe has no evaluation set; use `evaluate: tiny`, and remove this"
    if settings.get("eval_strategy", "no") != "no":
        yield (
            "eval_strategy",
            'a recipe has no evaluation set; use `evaluate: tiny` and `eval_strategy: "no"`',
        )
    if settings.get("push_to_hub"):
        yield (
            "push_to_hub",
            "would upload checkpoints but never the trained model; upload the folder afterwards with "
            "`hf upload REPOSITORY OUTPUT_DIR`",
        )
    if settings.get("packing") and settings.get("max_length", 0) is None:
        yield "packing", "packs rows of max_length tokens; give that a number, or set `packing: false`"
    if settings.get("dataloader_persistent_workers") and not settings.get("dataloader_num_workers"):
        yield (
            "dataloader_persistent_workers",
            "needs `dataloader_num_workers` above 0; set that, or remove this",
        )
    if settings.get("activation_offloading") and settings.get("use_cpu"):
        yield "activation_offloading", "moves activations to the CPU, where they are already; remove it"
    if settings.get("save_strategy") == "best":
        yield (
            "save_strategy",
            "the best needs an evaluation set, which a recipe does not have; use steps or epoch",
        )
    trackers = settings.get("report_to") or []
    if len(trackers) > 1 and {"none", "all"} & set(trackers):
        yield "report_to", f"{' and '.join(trackers)} contradict each other; name the trackers alone"
    if not settings.get("use_peft"):
        for name in sorted(settings):
            if name.startswith(("lora_", "load_in_")) and settings[name] and "use_peft" not in settings:
                yield name, "has no effect without `use_peft: true`; add that, or remove this"
        for name in ("load_in_4bit", "load_in_8bit"):
            if settings.get(name) and "use_peft" in settings:
                yield name, "quantized weights are not trained; set `use_peft: true`, or remove this"


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


def _fsdp_keys(config: Any) -> Any:
    if isinstance(config, dict):
        unknown = [key for key in config if key.removeprefix("fsdp_") not in FSDP_KEYS]
        if unknown:
            raise ValueError(f"expected keys among {', '.join(FSDP_KEYS)}, but found {', '.join(unknown)}")
    return config
