"""Fields that a recipe cannot use, and fields that contradict each other."""

from collections.abc import Iterator
from typing import Any

NO_EVALUATION_SET = "a recipe has no evaluation set; use `evaluate: tiny`, and remove this"
NO_UPLOAD = (
    "would upload checkpoints but never the trained model; remove it, and upload the folder "
    "afterwards with `hf upload REPOSITORY OUTPUT_DIR`"
)
# Fields that a recipe cannot use, and why.
UNUSABLE = {
    "chat_template_path": "the Spectrum template is chosen by the tokenizer; remove it",
    "pad_token": "padding is chosen with the template; remove it",
    "completion_only_loss": "assistant_only_loss already restricts the loss to outputs; remove it",
    "dataset_kwargs": "the data set is prepared from tasks and train_files; remove it",
    "dataset_text_field": "tasks and train_files contain conversations, which have no such field; remove it",
    "truncation_mode": "a sequence that is too long loses whole turns at its end; remove it",
    "model_init_kwargs": "use the recipe's model fields instead, such as dtype and attn_implementation",
    **dict.fromkeys(
        (
            *("eval_on_start", "load_best_model_at_end", "do_eval", "eval_packing", "eval_steps"),
            *("eval_accumulation_steps", "metric_for_best_model", "greater_is_better", "batch_eval_metrics"),
        ),
        NO_EVALUATION_SET,
    ),
    **dict.fromkeys(
        ("push_to_hub", "hub_model_id", "hub_revision", "hub_private_repo", "hub_always_push"), NO_UPLOAD
    ),
}
OF_ADAPTERS = ("lora_", "load_in_", "use_dora", "use_rslora")
OF_4_BITS = ("bnb_4bit_", "use_bnb_")


def contradictions(settings: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield pairs of a field and its contradiction with the other fields.

    Args:
        settings: Values that are each valid on their own.
    """
    if not str(settings.get("output_dir") or "").strip():
        yield "output_dir", "is missing; name a folder for the trained model"
    for name, reason in UNUSABLE.items():
        if settings.get(name):
            yield name, reason
    if settings.get("eval_strategy", "no") != "no":
        yield (
            "eval_strategy",
            'a recipe has no evaluation set; use `evaluate: tiny` and `eval_strategy: "no"`',
        )
    if settings.get("packing") and settings.get("max_length", 0) is None:
        yield "packing", "needs max_length; set it to a number, or set `packing: false`"
    if settings.get("dataloader_persistent_workers") and not settings.get("dataloader_num_workers"):
        yield (
            "dataloader_persistent_workers",
            "needs `dataloader_num_workers` above 0; set that too, or remove this",
        )
    if settings.get("activation_offloading") and settings.get("use_cpu"):
        yield "activation_offloading", "has no effect on a CPU; remove it"
    if settings.get("save_strategy") == "best":
        yield (
            "save_strategy",
            "`best` needs an evaluation set, which a recipe does not have; use `steps` or `epoch`",
        )
    trackers = settings.get("report_to") or []
    if len(trackers) > 1 and {"none", "all"} & set(trackers):
        yield "report_to", f"{' and '.join(trackers)} contradict each other; name the trackers alone"
    if settings.get("fsdp_config") and "fsdp" not in settings:
        yield "fsdp_config", "has no effect without `fsdp: true`; add that, or remove this"
    yield from _layout_contradictions(settings)
    yield from _adapter_contradictions(settings)


def _layout_contradictions(settings: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield fields that apply only to Spectrum turns, if the recipe's layout has none."""
    layout = settings.get("layout", "spectrum")
    if layout == "spectrum":
        return
    of_spectrum = {
        "train_on": "outputs",
        "evaluate": "none",
        "copy_role_tokens_from": None,
        "eos_token": None,
    }
    for name, default in of_spectrum.items():
        if settings.get(name) not in (default, None, ""):
            yield (
                name,
                f"has no effect with `layout: {layout}`, which writes no Spectrum turns; remove one of them",
            )


def _adapter_contradictions(settings: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield adapter and 4-bit options without their switch; a switch explicitly set to false allows them."""
    for switch, prefixes in (("use_peft", OF_ADAPTERS), ("load_in_4bit", OF_4_BITS)):
        for name in sorted(settings):
            if name.startswith(prefixes) and settings[name] and switch not in settings:
                yield name, f"has no effect without `{switch}: true`; add that, or remove this"
    for name in ("load_in_4bit", "load_in_8bit"):
        if settings.get(name) and "use_peft" in settings and not settings["use_peft"]:
            yield name, "quantized weights cannot be trained directly; set `use_peft: true`, or remove this"
