"""Checks of a recipe: before anything is loaded, and then with its model or configuration."""

import re
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import torch
from peft import PeftModel, get_peft_model_state_dict
from peft.utils import SAFETENSORS_WEIGHTS_NAME as ADAPTER_WEIGHTS
from peft.utils.constants import TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING
from safetensors import safe_open
from transformers import PreTrainedModel, Trainer
from transformers.integrations import get_available_reporting_integrations
from transformers.training_args import OptimizerNames
from transformers.utils import SAFE_WEIGHTS_NAME
from trl import ModelConfig, SFTConfig, get_quantization_config

from spectrum_trl.data.choice import select_eval_tasks, select_tasks
from spectrum_trl.data.conversations import check_files
from spectrum_trl.errors import UserError, first_line, nearest, refuse
from spectrum_trl.models.load import checkpoint_dtype, for_cpu, is_adapter, load_config, model_without_memory
from spectrum_trl.models.weights import named_by, shared_layers
from spectrum_trl.recipe.read import Recipe
from spectrum_trl.training.demo_evaluation import check_recorded
from spectrum_trl.training.tracking import login_problem

ALL_LINEAR = "all-linear"
# These read sequence boundaries from position ids (flash) or from the mask that transformers makes of them;
# tests/training/test_packing.py compares packed and separate logits for those that run on a CPU.
SEPARATING = ("sdpa", "eager", "flex_attention", *(f"flash_attention_{n}" for n in (2, 3, 4)))
# A batch of packed rows becomes one long row, for which these build a mask quadratic in its length. At batch
# size 8 that is several times slower than no packing (docs/benchmarks.md).
DENSE_MASK = ("sdpa", "eager")
# Fields that replace the rows of role tokens.
ROLE_TOKENS = ("copy_role_tokens_from", "initialise_role_tokens")
# Layers with a state that is carried across sequence boundaries.
RECURRENT = ("mamba", "linear_attention", "recurrent", "conv")


def check_all(recipe: Recipe, *, environment: bool = True) -> None:
    """Check a recipe before the data are built or weights are loaded.

    Args:
        recipe: The parsed recipe.
        environment: Whether to check the packages needed for training; a preview does not need them.

    Raises:
        UserError: With all problems at once.
    """
    checks: list[Callable[[], object]] = [
        lambda: check_recipe(recipe),
        lambda: select_tasks(recipe.data),
        lambda: select_eval_tasks(recipe.data),
        lambda: check_files(recipe.data.train_files),
        lambda: _check_packing(recipe),
        lambda: _check_precision(recipe),
        lambda: check_recorded(recipe),
    ]
    if environment:
        checks.append(lambda: _check_packages(recipe))
    problems: list[str] = []
    for check in checks:
        try:
            check()
        except UserError as error:
            problems += error.problems
    # Tasks are looked up for both kinds of data.
    refuse(dict.fromkeys(problems))


def _role_tokens_alone(recipe: Recipe, *, whole: bool) -> Iterator[str]:
    """Yield what prevents training only the role tokens' rows of the embedding and output layer."""
    field = "trained_embeddings: role_tokens"
    if recipe.run.new_model:
        yield f"{field} would leave the embeddings of new_model untrained; remove it"
    if recipe.model.use_peft and not whole:
        yield f"{field} needs trained embeddings; add `lora_modules_to_save: [embed_tokens, lm_head]`"
    if recipe.training.weight_decay:
        yield f"{field} needs `weight_decay: 0.0`, because decay changes rows that have no gradient"
    if recipe.training.fsdp or recipe.training.deepspeed:
        yield f"{field} needs whole embeddings on each process; remove it, or fsdp or deepspeed"


def _check_packing(recipe: Recipe) -> None:
    """Check packing with the attention that the recipe names; a model's default is known only later."""
    named = recipe.model.attn_implementation
    if named and recipe.model.model_name_or_path and not recipe.run.new_model:
        name, revision = str(recipe.model.model_name_or_path), recipe.model.model_revision
        config = load_config(name, revision=revision).get_text_config()
        check_packing(recipe.training, config=config, attention=named)


def _check_precision(recipe: Recipe) -> None:
    """Reject 16-bit frozen weights without mixed precision: trained weights are 32-bit."""
    arguments, training = recipe.model, recipe.training
    name, revision = arguments.model_name_or_path, arguments.model_revision
    whole = arguments.use_peft and arguments.lora_modules_to_save
    if not (whole and name) or recipe.run.new_model or training.bf16 or training.fp16:
        return
    # Quantized layers cast their inputs, but on a CPU some are left as they are.
    if quantization := get_quantization_config(arguments):
        on_cpu = arguments.load_in_4bit and training.device.type == "cpu"
        if not (on_cpu and for_cpu(quantization, name=str(name), revision=revision)):
            return
    dtype = arguments.dtype
    if dtype in (None, "auto"):
        dtype = str(checkpoint_dtype(str(name), revision=revision)).removeprefix("torch.")
    if dtype in ("bfloat16", "float16"):
        raise UserError(
            f"{recipe.path}: dtype {dtype} needs mixed precision, because embeddings are trained in float32; "
            "add `bf16: true`, or set `dtype: float32`"
        )


def check_recipe(recipe: Recipe) -> None:
    """Check the fields of a recipe against each other and against the model's files.

    Raises:
        UserError: With all problems at once.
    """
    refuse(f"{recipe.path}: {problem}" for problem in _recipe_problems(recipe))
    if recipe.model.use_peft and recipe.training.fsdp:
        check_sharded_adapter(recipe)


def _recipe_problems(recipe: Recipe) -> Iterator[str]:
    fills = [name for name in ROLE_TOKENS if getattr(recipe.run, name) not in (None, "none")]
    if recipe.run.new_model and fills:
        yield f"{fills[0]} cannot be combined with new_model; remove it"
    if len(fills) > 1:
        yield f"{' and '.join(fills)} both replace the role tokens; remove one of them"
    if bool(recipe.run.new_model) == bool(recipe.model.model_name_or_path):
        yield "set either model_name_or_path or new_model"
    name, revision = recipe.model.model_name_or_path, recipe.model.model_revision
    if name and is_adapter(name, revision=revision):
        yield (
            f"model_name_or_path: {name} is an adapter, not a whole model; merge it first: "
            f"spectrum-trl merge {name} FOLDER"
        )
    saved = {module.rpartition(".")[2] for module in recipe.model.lora_modules_to_save or []}
    whole = {"embed_tokens", "lm_head"} <= saved
    if fills and recipe.model.use_peft and not whole:
        yield (
            f"{fills[0]} changes embeddings that a LoRA adapter does not include; add "
            "`lora_modules_to_save: [embed_tokens, lm_head]`"
        )
    if recipe.run.trained_embeddings == "role_tokens":
        yield from _role_tokens_alone(recipe, whole=whole)
    if recipe.training.fsdp and recipe.run.evaluate != "none":
        yield "evaluate needs the whole model in one process; run `spectrum-trl tiny` later"
    if recipe.training.trust_remote_code:
        yield "trust_remote_code is not supported; use an architecture that transformers has"
    training = recipe.training
    strategies = (training.eval_strategy, training.save_strategy)
    if (
        training.load_best_model_at_end
        and strategies == ("steps", "steps")
        and training.eval_steps != training.save_steps
    ):
        yield (
            f"load_best_model_at_end: with eval_steps {training.eval_steps:g} and save_steps "
            f"{training.save_steps:g}, the best step may have no checkpoint; set both to the same number"
        )
    yield from _lost_row_order(recipe)


def _lost_row_order(recipe: Recipe) -> Iterator[str]:
    """Yield settings with which a resumed run trains on other rows than an uninterrupted one."""
    if recipe.training.ignore_data_skip:
        yield "ignore_data_skip: a resumed run would repeat rows of its epoch; remove it"
    config = recipe.training.accelerator_config
    for name, lost in (("use_seedable_sampler", False), ("dispatch_batches", True)):
        if getattr(config, name, None) is lost:
            yield (
                f"accelerator_config: {name}: {str(lost).lower()} gives a resumed run other rows than an "
                "uninterrupted one; remove it"
            )


def _check_packages(recipe: Recipe) -> None:
    problems = []
    for tracker in recipe.training.report_to or ():
        if tracker not in ("none", "all") and tracker not in get_available_reporting_integrations():
            extra = "'spectrum-trl[wandb]'" if tracker == "wandb" else tracker
            problems.append(f"report_to: {tracker} is not installed; run `pip install {extra}`")
        elif tracker == "wandb" and (problem := login_problem()):
            problems.append(f"report_to: {problem}")
    if recipe.model.load_in_4bit and find_spec("bitsandbytes") is None:
        problems.append(
            "load_in_4bit: bitsandbytes is not installed; run `pip install 'spectrum-trl[quant]'`"
        )
    if recipe.training.use_liger_kernel and find_spec("liger_kernel") is None:
        problems.append("use_liger_kernel: liger-kernel is not installed; run `pip install liger-kernel`")
    attention = recipe.model.attn_implementation or ""
    if attention.startswith("flash_attention") and find_spec("flash_attn") is None:
        problems.append(
            f"attn_implementation: {attention} needs flash-attn, which is not installed; install flash-attn, "
            "or set `attn_implementation: sdpa`"
        )
    refuse(problems)


def check_lora_targets(arguments: ModelConfig, *, model: PreTrainedModel) -> None:
    """Check that the model has the modules named for LoRA.

    Raises:
        UserError: With every name that matches no module.
    """
    refuse(_absent(arguments, model) if arguments.use_peft else ())


def check_optimizer(training: SFTConfig, *, model: PreTrainedModel) -> None:
    """Try to create the optimizer, since transformers creates it only when training begins.

    Raises:
        UserError: If the optimizer needs a package that is not installed, or other arguments.
    """
    try:
        optimizer, settings = Trainer.get_optimizer_cls_and_kwargs(training, model)
        # Optimizers that select their own parameters cannot be tried on a single one.
        if not {"params", "model", "optimizer_dict"} & settings.keys():
            optimizer([torch.nn.Parameter(torch.zeros(1))], **settings)
    # Each optimizer's package has its own errors.
    except Exception as error:
        name = OptimizerNames(training.optim).value
        raise UserError(
            f"optim: {name} cannot be created with its optim_args: {first_line(error)}"
        ) from error


def check_checkpoint(checkpoint: Path | None, *, model: object) -> None:
    """Check that a checkpoint contains the weights that the adapted model trains: Trainer would only warn.

    Raises:
        UserError: If weights are missing, with the first missing name.
    """
    assert isinstance(model, torch.nn.Module)
    adapted = isinstance(model, PeftModel)
    file = (checkpoint or Path()) / (ADAPTER_WEIGHTS if adapted else SAFE_WEIGHTS_NAME)
    # Sharded weights have an index file instead, and FSDP has its own format.
    if checkpoint is None or not file.is_file():
        return
    trained = (name for name, parameter in model.named_parameters() if parameter.requires_grad)
    needed = get_peft_model_state_dict(model) if adapted else trained
    with safe_open(str(file), framework="numpy") as tensors:
        missing = sorted(set(needed) - set(tensors.keys()))
    if missing:
        raise UserError(
            f"resume_from_checkpoint: {file} does not belong to this model: it lacks {len(missing)} of its "
            f"weights, for example {missing[0]}; name another checkpoint, or start a new run"
        )


def check_packing(training: SFTConfig, *, config: object, attention: str) -> None:
    """Check that packed sequences do not attend to each other, and that packing saves time.

    Args:
        training: TRL's arguments.
        config: The model's text configuration.
        attention: Name of the attention implementation that the model uses.

    Raises:
        UserError: If packing would leak between sequences, cut through an output, or slow training down.
    """
    if attention == "flex_attention" and training.use_cpu:
        raise UserError(
            "attn_implementation: PyTorch has no backward pass of flex_attention for the CPU; set "
            "`attn_implementation: sdpa` (with packing, also `per_device_train_batch_size: 1`)."
        )
    if not training.packing:
        return
    problems = []
    rows, steps = training.per_device_train_batch_size, training.gradient_accumulation_steps
    if attention in DENSE_MASK and rows > 1:
        problems.append(
            f"packing: attention {attention!r} joins a batch of {rows} packed rows into one with a mask "
            "quadratic in its length, which is slower than no packing; set `per_device_train_batch_size: 1` "
            f"and `gradient_accumulation_steps: {rows * steps}`, or an attn_implementation that reads "
            "sequence boundaries (flash_attention_2, or flex_attention on a GPU), or `packing: false`."
        )
    if training.packing_strategy != "bfd":
        problems.append(
            f"packing_strategy: {training.packing_strategy!r} cuts through outputs and lets sequences attend "
            "to each other; use 'bfd'."
        )
    if not any(name in attention for name in SEPARATING) and not attention.startswith("kernels-community/"):
        problems.append(
            f"packing: attention {attention!r} is not known to keep packed sequences apart; set "
            "`attn_implementation: sdpa` or flash_attention_2, or `packing: false`."
        )
    layers = {
        kind for kind in getattr(config, "layer_types", None) or () for name in RECURRENT if name in kind
    }
    if layers:
        problems.append(
            f"packing: the model has layers ({', '.join(sorted(layers))}) whose state carries over into the "
            "next sequence; set `packing: false`."
        )
    refuse(problems)


def _absent(arguments: ModelConfig, model: PreTrainedModel) -> Iterator[str]:
    modules = [
        name for name, module in model.named_modules() if name and any(True for _ in module.parameters())
    ]
    # Layers that peft can adapt: projections and embeddings, not norms or blocks.
    layers = [
        name
        for name, module in model.named_modules()
        if getattr(getattr(module, "weight", None), "ndim", 0) > 1
    ]
    parameters = [name for name, _ in model.named_parameters()]
    targets = arguments.lora_target_modules
    if targets is None and arguments.lora_target_parameters is None:
        if model.config.model_type not in TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING:
            yield (
                f"lora_target_modules: peft has no default for {model.config.model_type}; name the modules, "
                "for example [q_proj, v_proj], or use all-linear"
            )
    elif isinstance(targets, str):
        if targets != ALL_LINEAR and (problem := _pattern_problem(targets, layers)):
            yield f"lora_target_modules: {problem}"
    for field, names, present in (
        ("lora_target_modules", targets if isinstance(targets, list) else None, layers),
        ("lora_modules_to_save", arguments.lora_modules_to_save, modules),
        ("lora_target_parameters", arguments.lora_target_parameters, parameters),
    ):
        endings = {name.rpartition(".")[2] for name in present}
        for name in names or ():
            if not any(full == name or full.endswith(f".{name}") for full in present):
                known = ", ".join(sorted(ending for ending in endings if not ending.isdigit()))
                yield f"{field}: the model has no {name!r}.{nearest(name, endings)} It has {known}."


def _pattern_problem(pattern: str, modules: list[str]) -> str | None:
    """Return what is wrong with a regular expression that peft will match against full module names."""
    try:
        found = any(re.fullmatch(pattern, name) for name in modules)
    except re.error as error:
        return f"{pattern!r} is not a regular expression: {error}"
    return None if found else f"the regular expression {pattern!r} matches no module of the model"


def check_sharded_adapter(recipe: Recipe) -> None:
    """Reject settings under which a sharded adapter is not saved, or a library fails.

    Raises:
        UserError: With every such setting.
    """
    fsdp, problems = recipe.training.fsdp_config, []
    assert isinstance(fsdp, dict)
    if fsdp.get("activation_checkpointing"):
        # peft 0.21.2 looks for the adapter under the names of the wrapped layers, and saves nothing.
        problems.append(
            f"{recipe.path}: with fsdp_config.activation_checkpointing no LoRA matrix would be saved; set it "
            "to false, and `activation_checkpointing: true` at the top level"
        )
    whole = list(recipe.model.lora_modules_to_save or [])
    name, revision = recipe.model.model_name_or_path, recipe.model.model_revision
    # accelerate 1.15 ties the weights again after emptying them, which fails on peft's wrapped layers.
    if whole and fsdp.get("cpu_ram_efficient_loading") and name and not recipe.model.load_in_4bit:
        # The configuration decides: one rank reads the weights, and the others tie them.
        if any(
            named_by(whole, layer) for layer in shared_layers(model_without_memory(name, revision=revision))
        ):
            problems.append(
                f"{recipe.path}: fsdp_config.cpu_ram_efficient_loading cannot load {name} with a LoRA "
                "adapter that trains its tied embedding; set cpu_ram_efficient_loading to false"
            )
    refuse(problems)
