"""Read a recipe from its file and the command line into checked arguments, reporting all problems at once."""

import os
import re
import textwrap
from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple

import torch
from transformers import CONFIG_MAPPING, AutoConfig, AutoModelForCausalLM, get_scheduler
from trl import ModelConfig, SFTConfig

from spectrum_trl.console import is_first_process
from spectrum_trl.errors import first_line, nearest, refuse
from spectrum_trl.files import folder_problems
from spectrum_trl.recipe.arguments import DataArguments, RunArguments
from spectrum_trl.recipe.command_line import help_text, read_words
from spectrum_trl.recipe.fields import SECTIONS, convert, known_fields, plain
from spectrum_trl.recipe.recipe_file import (
    HELP,
    LAUNCH_LINE,
    RecipeFile,
    find_recipe,
    read_recipe_file,
    unknown_key,
    write_recipe,
)

__all__ = ["LAUNCH_LINE", "Recipe", "read_recipe", "write_recipe"]

# Defaults of our own: loss on outputs only (TRL trains on every token), no trackers, and TRL's default of
# recomputing activations, under the name that transformers keeps.
DEFAULTS: dict[str, Any] = {
    "assistant_only_loss": True,
    "report_to": ["none"],
    "activation_checkpointing": True,
}


# Length limits for a library's message and for a step of a path, in characters.
LONGEST_MESSAGE, LONGEST_STEP = 400, 100
# Where a recipe evaluates while training: also before the first step, and the best step is that of the least
# mean of the tasks' losses. Held-out sequences are not packed.
WITH_EVALUATION: dict[str, Any] = {
    "eval_on_start": True,
    "metric_for_best_model": "loss",
    "eval_packing": False,
}
OF_EVALUATION = (
    *("eval_on_start", "eval_steps", "eval_delay", "eval_tasks", "eval_max_sequences"),
    *("load_best_model_at_end", "metric_for_best_model", "greater_is_better", "early_stopping_patience"),
)
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
    "do_eval": "`eval_strategy` decides when held-out losses are measured; remove it",
    "eval_packing": "held-out sequences are not packed; remove it",
    **dict.fromkeys(
        ("eval_accumulation_steps", "batch_eval_metrics"), "held-out losses need no such setting; remove it"
    ),
    **dict.fromkeys(
        ("push_to_hub", "hub_model_id", "hub_revision", "hub_private_repo", "hub_always_push"), NO_UPLOAD
    ),
}
OF_ADAPTERS = ("lora_", "load_in_", "use_dora", "use_rslora")
OF_4_BITS = ("bnb_4bit_", "use_bnb_")


class Recipe(NamedTuple):
    """A parsed recipe.

    Attributes:
        path: The recipe file.
        settings: Every key set by the file or the command line, for the record.
        data: The data mixture.
        run: Options around training.
        training: TRL's training arguments.
        model: TRL's model arguments.
    """

    path: Path
    settings: dict[str, Any]
    data: DataArguments
    run: RunArguments
    training: SFTConfig
    model: ModelConfig

    @property
    def resumes(self) -> bool:
        """Whether the recipe resumes a run."""
        wanted = self.training.resume_from_checkpoint
        return bool(wanted) and str(wanted).lower() not in ("false", "none")


def read_recipe(path: str | Path, *, overrides: Sequence[str] = ()) -> Recipe:
    """Read and check a recipe; ``--help`` among the overrides lists its fields and ends the program.

    Args:
        path: The file, or the name of a bundled recipe (``demo``).
        overrides: Command-line options ``--field value``, which override the file.

    Returns:
        The recipe.

    Raises:
        UserError: With every problem at once: not YAML, unknown or repeated keys, values of the wrong type or
            out of range, fields that contradict each other.
    """
    if set(HELP) & {str(path), *overrides}:
        show_help()
    file, settings, source = read_settings(path, overrides=overrides)
    sections = _sections(settings, source)
    return Recipe(file, {name: plain(value) for name, value in settings.items()}, *sections)


class Settings(NamedTuple):
    """The keys that a recipe and its options set, whose values are each valid, and where each comes from."""

    file: Path
    values: dict[str, Any]
    source: "_Source"


def read_settings(path: str | Path, *, overrides: Sequence[str] = ()) -> Settings:
    """Read and check what a recipe sets, without asking whether this machine can run it.

    Raises:
        UserError: With every problem at once.
    """
    file = find_recipe(path)
    parsed = read_recipe_file(file)
    flags, problems = read_words(overrides)
    problems = [*parsed.problems, *problems]
    settings: dict[str, Any] = {}
    of_file, source = _Source(file, parsed.lines), _Source(file, parsed.lines, frozenset(flags))
    for given, place in ((parsed.settings, of_file), (flags, source)):
        for name, value in given.items():
            if name in known_fields():
                settings[name], found = convert(name, value)
                problems += [f"{place.of(name, problem.path)}: {problem.text}" for problem in found]
            elif isinstance(name, str):
                problems.append(unknown_key(place.of(name).removesuffix(f": {name}"), name))
    if not problems:
        problems += [
            source.of(name) + f": {problem}" for name, problem in _between_fields(settings, parsed, flags)
        ]
    refuse(problems)
    return Settings(file, settings, source)


def show_help() -> None:
    """Print the fields of a recipe on the first rank, and end the program."""
    if is_first_process():
        print(help_text())
    raise SystemExit(0)


class _Source(NamedTuple):
    """The origin of a recipe's values, for messages."""

    file: Path
    lines: dict[tuple[Any, ...], int]
    flags: frozenset[str] = frozenset()

    def of(self, name: str, path: tuple[Any, ...] = ()) -> str:
        if name in self.flags:
            return ", ".join(filter(None, (f"command line: --{name}", _dotted(path))))
        where = (name, *path)
        known = next((where[:n] for n in range(len(where), 0, -1) if where[:n] in self.lines), None)
        line = f", line {self.lines[known]}" if known else ""
        return f"{self.file}{line}: {_dotted(where)}"


def _dotted(path: tuple[Any, ...]) -> str:
    return ".".join(str(step)[:LONGEST_STEP] for step in path)


def _between_fields(
    settings: dict[str, Any], parsed: RecipeFile, flags: dict[str, Any]
) -> Iterator[tuple[str, str]]:
    """Yield pairs of a field and a problem, for fields that are each valid on their own."""
    yield from contradictions(settings)
    if folder := settings.get("output_dir"):
        yield from (("output_dir", problem) for problem in folder_problems(Path(os.path.expanduser(folder))))
    model, sibling = settings.get("model_name_or_path"), settings.get("copy_role_tokens_from")
    own = parsed.settings.get("model_name_or_path")
    if "model_name_or_path" in flags and model != own and sibling and "copy_role_tokens_from" not in flags:
        yield (
            "model_name_or_path",
            f"the recipe copies role tokens from {sibling}, the sibling of {own}; name that of {model} "
            'with --copy_role_tokens_from SIBLING, or copy nothing with --copy_role_tokens_from ""',
        )
    if settings.get("new_model"):
        yield from (("new_model", problem) for problem in _new_model_problems(settings["new_model"]))


def _new_model_problems(config: dict[str, Any]) -> Iterator[str]:
    """Build a new model on the meta device, to find a wrong configuration before the data are built."""
    rest = dict(config)
    if (kind := rest.get("model_type")) not in CONFIG_MAPPING:
        yield f"transformers has no model_type {kind!r}.{nearest(str(kind), CONFIG_MAPPING)}"
        return
    try:
        with torch.device("meta"):
            made = AutoConfig.for_model(rest.pop("model_type"), vocab_size=1000, **rest)
            AutoModelForCausalLM.from_config(made)
    # Any exception from transformers means that the configuration is wrong.
    except Exception as error:
        yield f"no model can be created from it: {_first_line(error)}"


def _sections(
    settings: dict[str, Any], source: _Source
) -> tuple[DataArguments, RunArguments, SFTConfig, ModelConfig]:
    """Create the argument objects; contradictions that the libraries find are reported to the user."""
    defaults = dict(DEFAULTS)
    if "gradient_checkpointing" in settings:
        # The old name: transformers prefers the new one if both are set.
        defaults.pop("activation_checkpointing")
    if settings.get("eval_strategy", "no") != "no":
        defaults |= WITH_EVALUATION
    if settings.get("early_stopping_patience"):
        # Else a resumed run would forget how long it has waited for a better loss.
        defaults["restore_callback_states_from_checkpoint"] = True
    values = {**defaults, **settings}
    made, problems = [], []
    for section in SECTIONS:
        names = {item.name for item in fields(section)} & values.keys()
        try:
            # A copy, because transformers fills in fsdp_config.
            made.append(section(**{name: deepcopy(values[name]) for name in names}))
        except Exception as error:
            problems.append(_summary(error, [name for name in settings if name in names], source))
    if not problems:
        data, run, training, model = made
        problems += [
            f"{source.of('lr_scheduler_kwargs')}: {problem}" for problem in _scheduler_problems(training)
        ]
    refuse(problems)
    model.lora_target_modules = _targets(model.lora_target_modules)
    return data, run, training, model


def _scheduler_problems(training: SFTConfig) -> Iterator[str]:
    """Try the schedule on a dummy optimizer, since transformers creates it only when training begins."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=training.learning_rate)
    try:
        get_scheduler(
            training.lr_scheduler_type,
            optimizer,
            num_warmup_steps=1,
            num_training_steps=10,
            scheduler_specific_kwargs=training.lr_scheduler_kwargs,  # type: ignore[arg-type]
        )
    except Exception as error:
        yield f"the schedule {plain(training.lr_scheduler_type)} cannot be created: {_first_line(error)}"


def _targets(names: Any) -> Any:
    """Undo TRL's unpacking of a list with one name, which peft would match against full paths."""
    return (
        [names]
        if isinstance(names, str) and names != "all-linear" and re.fullmatch(r"[\w.]+", names)
        else names
    )


def _summary(error: Exception, names: list[str], source: _Source) -> str:
    """Return a library's error with the fields that it names, or else those it could refer to."""
    named = [name for name in names if re.search(rf"\b{name}\b", str(error))]
    mappings = [name for name in names if dict in known_fields()[name].kinds]
    where = "; ".join(source.of(name) for name in named or mappings) or str(source.file)
    return f"{where}: {_first_line(error)}"


def _first_line(error: Exception) -> str:
    text = repr(error) if isinstance(error, KeyError) else first_line(error)
    return textwrap.shorten(text, LONGEST_MESSAGE, placeholder=" …")


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
    yield from _evaluation_contradictions(settings)
    if settings.get("packing") and settings.get("max_length", 0) is None:
        yield "packing", "needs max_length; set it to a number, or set `packing: false`"
    if settings.get("dataloader_persistent_workers") and not settings.get("dataloader_num_workers"):
        yield (
            "dataloader_persistent_workers",
            "needs `dataloader_num_workers` above 0; set that too, or remove this",
        )
    if settings.get("activation_offloading") and settings.get("use_cpu"):
        yield "activation_offloading", "has no effect on a CPU; remove it"
    trackers = settings.get("report_to") or []
    if len(trackers) > 1 and {"none", "all"} & set(trackers):
        yield "report_to", f"{' and '.join(trackers)} contradict each other; name the trackers alone"
    if settings.get("fsdp_config") and "fsdp" not in settings:
        yield "fsdp_config", "has no effect without `fsdp: true`; add that, or remove this"
    yield from _layout_contradictions(settings)
    yield from _adapter_contradictions(settings)


def _evaluation_contradictions(settings: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield options of an evaluation that a recipe lacks, and an evaluation without held-out data."""
    if settings.get("eval_strategy", "no") == "no":
        for name in OF_EVALUATION:
            if settings.get(name):
                yield name, "has no effect without `eval_strategy: steps`; add that, or remove this"
        if settings.get("save_strategy") == "best":
            yield "save_strategy", "`best` needs `eval_strategy: steps`; add that, or use `steps` or `epoch`"
        return
    if not settings.get("held_out_share") and not settings.get("eval_tasks"):
        yield (
            "eval_strategy",
            "nothing is held out to evaluate on; add `held_out_share: 0.1`, which leaves a tenth of the "
            "individuals out of training, or name tasks in `eval_tasks`",
        )
    if settings.get("early_stopping_patience") and not settings.get("load_best_model_at_end"):
        yield (
            "early_stopping_patience",
            "needs `load_best_model_at_end: true`, or the last and worse weights would be saved; add that",
        )


def _layout_contradictions(settings: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield fields that apply only to Spectrum turns, if the recipe's layout has none."""
    layout = settings.get("layout", "spectrum")
    if layout == "spectrum":
        return
    of_spectrum = {
        "train_on": "outputs",
        "evaluate": "none",
        "copy_role_tokens_from": None,
        "initialise_role_tokens": "none",
        "trained_embeddings": "all",
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
