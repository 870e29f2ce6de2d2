"""Read a recipe: one file that is YAML for us and Python for ``accelerate launch``."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple, get_type_hints

import yaml
from pydantic import TypeAdapter, ValidationError
from trl import ModelConfig, SFTConfig, TrlParser

from spectrum_trl.errors import UserError, nearest
from spectrum_trl.files import write_atomic
from spectrum_trl.paths import bundled
from spectrum_trl.training.arguments import DataArguments, RunArguments

SECTIONS: list[Any] = [DataArguments, RunArguments, SFTConfig, ModelConfig]
# Where a recipe is silent: loss on outputs only (TRL trains on every token), nothing reported, and TRL's
# own default for recomputing activations under the name that transformers keeps.
DEFAULTS: dict[str, Any] = {
    "assistant_only_loss": True,
    "report_to": "none",
    "activation_checkpointing": True,
}
LAUNCH_KEY = "launch"
LAUNCH_LINE = 'launch: any; from spectrum_trl.train import launch; launch(__file__); r"""'


class Recipe(NamedTuple):
    """A parsed recipe.

    Attributes:
        path: The file.
        settings: Every key that the file or the command line set, for the record.
        data: The mixture.
        run: What happens around training.
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
        """Whether the recipe continues a run."""
        wanted = self.training.resume_from_checkpoint
        return bool(wanted) and str(wanted).lower() not in ("false", "none")


def read_recipe(path: str | Path, *, overrides: Sequence[str] = ()) -> Recipe:
    """Read and check a recipe.

    Args:
        path: The file, or the bare name of a recipe that comes with the package (``demo``).
        overrides: Command-line words ``--field value`` that win over the file.

    Returns:
        The recipe.

    Raises:
        UserError: With every fault at once: not YAML, unknown or repeated keys, values of the wrong type.
    """
    file = find_recipe(path)
    settings, lines, problems = _read_yaml(file)
    known = field_types()
    for key, value in settings.items():
        if key not in known:
            where = f"{file}, line {lines[key]}"
            problems.append(f"{where}: unknown key {key!r}.{nearest(key, known)} Correct or remove it.")
        elif fault := _type_fault(known[key], value):
            problems.append(f"{file}, line {lines[key]}: {key}: {fault}, but it is {value!r}.")
    flags = [word.split("=")[0] for word in overrides if word.startswith("--")]
    for flag in flags:
        if (name := flag[2:].replace("-", "_")) not in known:
            problems.append(
                f"command line: unknown option {flag}.{nearest(name, known)} Correct or remove it."
            )
    if problems:
        raise UserError(*problems)
    return _parse(file, settings, overrides, {flag[2:].replace("-", "_") for flag in flags})


def field_types() -> dict[str, Any]:
    """Return the type of every field that a recipe can have."""
    known = {
        item.name: get_type_hints(section)[item.name] for section in SECTIONS for item in fields(section)
    }
    # transformers 5 documents `fsdp: true` and still annotates the field as text; a checkpoint can be `true`.
    return known | {"fsdp": bool | str | None, "resume_from_checkpoint": bool | str | None}


def _parse(file: Path, settings: dict[str, Any], overrides: Sequence[str], flags: set[str]) -> Recipe:
    """Hand the settings to TRL's parser, which turns faults on the command line into exit code 2."""
    parser = TrlParser(SECTIONS, usage="RECIPE [--field value ...]", allow_abbrev=False)
    parser.set_defaults_with_config(**{**DEFAULTS, **settings})
    try:
        data, run, training, model, rest = parser.parse_args_into_dataclasses(
            args=list(overrides), return_remaining_strings=True, look_for_args_file=False
        )
    except (ValueError, TypeError) as error:
        raise UserError(f"{file}: {error}") from error
    if rest:
        raise UserError(f"command line: {' '.join(rest)!r} belongs to no option; write --field value")
    data.tasks, run.new_model = _from_json(data.tasks), _from_json(run.new_model)
    overridden = "model_name_or_path" in flags and "copy_role_tokens_from" not in flags
    if overridden and run.copy_role_tokens_from:
        # The file's sibling belongs to the file's model alone. Training prints that nothing is copied.
        run.copy_role_tokens_from = settings["copy_role_tokens_from"] = None
    for section in (data, run, training, model):
        names = {item.name for item in fields(section)}
        settings |= {name: getattr(section, name) for name in flags & names}
    return Recipe(file, settings, data, run, training, model)


def find_recipe(path: str | Path) -> Path:
    """Return the file of a recipe given by path, or by name if it comes with the package."""
    file = Path(path)
    by_name = bundled("recipes") / f"{file.name.removesuffix('.yaml')}.yaml"
    if file.is_file():
        return file
    if file.parent == Path(".") and by_name.is_file():
        return by_name
    names = sorted(recipe.stem for recipe in bundled("recipes").glob("*.yaml"))
    raise UserError(f"no recipe {path}.{nearest(file.stem, names)} There are: {', '.join(names)}.")


def write_recipe(settings: dict[str, Any], path: Path) -> None:
    """Write settings as a recipe that ``accelerate launch`` can run again.

    Args:
        settings: Keys and values.
        path: The file, replaced only when all of it is written.
    """
    body = yaml.safe_dump(json.loads(json.dumps(settings, default=str)), sort_keys=False, allow_unicode=True)
    text = f'# As run.  accelerate launch {path.name}\n{LAUNCH_LINE}\n\n{body}# """\n'
    with write_atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _read_yaml(file: Path) -> tuple[dict[str, Any], dict[str, int], list[str]]:
    """Return a YAML mapping, the line of each key, and repeated keys as problems."""
    try:
        text = file.read_text(encoding="utf-8")
        node, settings = yaml.compose(text, Loader=yaml.SafeLoader), yaml.safe_load(text)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{file} is not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(node, yaml.MappingNode):
        raise UserError(f"{file}: expected a mapping of keys to values at the top level")
    lines: dict[str, int] = {}
    problems = []
    for key, line in _keys(node):
        if key in lines:
            problems.append(f"{file}, line {line}: key {key!r} repeats line {lines[key]}; keep one of them.")
        lines[key] = line
    settings.pop(LAUNCH_KEY, None)
    return settings, lines, problems


def _keys(node: yaml.MappingNode) -> Iterator[tuple[str, int]]:
    for key, _ in node.value:
        yield str(key.value), key.start_mark.line + 1


def _type_fault(hint: Any, value: Any) -> str | None:
    """Return what was expected where a value does not fit a field's type."""
    if hint == dict[str, Any] | str | None and isinstance(value, list):
        return None
    try:
        TypeAdapter(hint).validate_python(value)
    except ValidationError as error:
        wanted = sorted({fault["msg"].removeprefix("Input should be ") for fault in error.errors()})
        return f"expected {' or '.join(wanted)}"
    return None


def _from_json(value: Any) -> Any:
    """Read a mapping or list that came as text from the command line."""
    if isinstance(value, str) and value.lstrip().startswith(("{", "[")):
        try:
            return json.loads(value)
        except json.JSONDecodeError as error:
            raise UserError(f"command line: not valid JSON ({error}): {value}") from error
    return value
