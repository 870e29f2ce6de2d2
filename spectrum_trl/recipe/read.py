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
from spectrum_trl.errors import nearest, refuse
from spectrum_trl.files import folder_problems
from spectrum_trl.recipe.arguments import DataArguments, RunArguments
from spectrum_trl.recipe.command_line import help_text, read_words
from spectrum_trl.recipe.contradictions import contradictions
from spectrum_trl.recipe.fields import SECTIONS, convert, known_fields, plain
from spectrum_trl.recipe.names import HELP, find_recipe, unknown_key
from spectrum_trl.recipe.recipe_file import LAUNCH_LINE, RecipeFile, read_recipe_file, write_recipe

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
    sections = _sections(settings, source)
    settings = {name: plain(value) for name, value in settings.items()}
    return Recipe(file, settings, *sections)


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
    lines = str(error).strip().splitlines()
    text = lines[0] if lines and not isinstance(error, KeyError) else repr(error)
    return textwrap.shorten(text, LONGEST_MESSAGE, placeholder=" …")
