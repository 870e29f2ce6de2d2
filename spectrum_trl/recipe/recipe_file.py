"""Read and write recipe files, which are both YAML and, for ``accelerate launch``, Python.

The names of fields are read without importing the libraries that define most of them: importing torch,
transformers and trl takes many seconds, which would delay the message for a misspelt name.
"""

import itertools
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import fields
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from spectrum_trl.errors import UserError, nearest
from spectrum_trl.files import write_atomic
from spectrum_trl.paths import bundled
from spectrum_trl.recipe.arguments import DataArguments, RunArguments
from spectrum_trl.strict.yaml import NUMBER, read_yaml

LAUNCH_KEY = "launch"
LAUNCH_LINE = 'launch: any; from spectrum_trl.launch import launch; launch(__file__); r"""'
QUOTES = '"""'
# Never written to a file.
SECRETS = ("hub_token",)
_OPENING = re.compile(rf"^{LAUNCH_KEY}:.*?{QUOTES}", re.MULTILINE)
# Files in which the libraries define fields, and accelerate its options.
FIELDS = (
    ("trl", "trainer/sft_config.py"),
    ("trl", "trainer/base_config.py"),
    ("trl", "trainer/model_config.py"),
    ("transformers", "training_args.py"),
)
LAUNCHER = (("accelerate", "commands/launch.py"),)
# Names from older versions and other tools, for which the nearest spelling would suggest the wrong field.
RENAMED = {
    "torch_dtype": "dtype",
    "model_id": "model_name_or_path",
    "max_seq_length": "max_length",
    "evaluation_strategy": "eval_strategy",
    "group_by_length": "train_sampling_strategy: group_by_length",
    "length_grouped_sampling": "train_sampling_strategy: group_by_length",
    "warmup_ratio": "warmup_steps, which also accepts a fraction below 1",
    "no_cuda": "use_cpu",
    "use_liger": "use_liger_kernel",
    "use_flash_attention_2": "attn_implementation: flash_attention_2",
    "logging_dir": "the environment variable TENSORBOARD_LOGGING_DIR",
    "dataset_name": "tasks or train_files",
    "lora_rank": "lora_r",
    "batch_size": "per_device_train_batch_size",
    "epochs": "num_train_epochs",
    "lr": "learning_rate",
    "dataset": "tasks or train_files",
    "model": "model_name_or_path",
    "output": "output_dir",
}
HELP = ("-h", "--help")
# Length limit for a name in a message, in characters.
LONGEST_NAME = 60


class RecipeFile(NamedTuple):
    """The contents of a recipe file.

    Attributes:
        settings: Its keys and values.
        lines: Line of each key by its path: ``("fsdp_config", "version")``.
        problems: Problems with the file's syntax and keys.
    """

    settings: dict[str, Any]
    lines: dict[tuple[Any, ...], int]
    problems: list[str]


class _Dumper(yaml.SafeDumper):
    """Quotes text that the loader would read as a number."""

    def ignore_aliases(self, data: Any) -> bool:
        """Write out every value."""
        return True


# As the loader reads them.
_Dumper.add_implicit_resolver("tag:yaml.org,2002:float", NUMBER, list("-+0123456789"))


def read_recipe_file(file: Path) -> RecipeFile:
    """Read a recipe file; problems that leave the rest of it readable are part of the result.

    Raises:
        UserError: If the file is not a YAML mapping or uses aliases.
    """
    found = read_yaml(file, plain=True)
    try:
        text = file.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{file}: save the file as UTF-8, which Python reads too; {error}") from error
    settings = {key: value for key, value in found.values.items() if key != LAUNCH_KEY}
    problems = [f"{file}, {problem}" for problem in _quote_problems(text)]
    return RecipeFile(settings, found.lines, [*found.problems, *problems])


def write_recipe(settings: dict[str, Any], path: Path) -> None:
    """Write settings atomically as a recipe that ``accelerate launch`` can run again."""
    public = {key: value for key, value in settings.items() if key not in SECRETS}
    plain = json.loads(json.dumps(public, default=str))
    body = yaml.dump(plain, Dumper=_Dumper, sort_keys=False)
    if QUOTES in body:
        # To Python the body is a string, which three quotes would end; this style escapes them.
        body = yaml.dump(plain, Dumper=_Dumper, sort_keys=False, default_style='"')
    text = f'# As run.  accelerate launch {path.name}\n{LAUNCH_LINE}\n\n{body}# """\n'
    with write_atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _quote_problems(text: str) -> Iterator[str]:
    """Yield problems that make YAML and Python read different recipes from the file."""
    opening = _OPENING.search(text)
    if opening is None:
        return
    body, quotes, rest = text[opening.end() :].partition(QUOTES)
    line = text[: opening.end()].count("\n") + body.count("\n") + 1
    if not quotes:
        yield f"line {line}: the closing line is missing; end the file with `# {QUOTES}`"
        return
    if not body.rpartition("\n")[2].lstrip().startswith("#"):
        yield f"line {line}: three quotes end the recipe for Python; write the value with other quotes"
    for number, behind in enumerate(rest.split("\n"), start=line):
        if behind.strip() and not behind.lstrip().startswith("#"):
            yield f"line {number}: {behind.strip()[:60]!r} comes after the closing quotes; move it up"


def find_recipe(path: str | Path) -> Path:
    """Return the file of a recipe, given its path or the name of a bundled recipe.

    Raises:
        UserError: If there is no such recipe.
    """
    file = Path(path)
    by_name = bundled("recipes") / f"{file.name.removesuffix('.yaml')}.yaml"
    try:
        if file.is_file():
            return file
        if file.parent == Path(".") and by_name.is_file():
            return by_name
    except OSError as error:
        raise UserError(f"no recipe {path}: {error.strerror}") from error
    names = sorted(recipe.stem for recipe in bundled("recipes").glob("*.yaml"))
    # A path may end in the name of a bundled recipe.
    near = f" Did you mean {file.stem!r}?" if file.stem in names else nearest(file.stem, names)
    raise UserError(f"no recipe {path}.{near} Available: {', '.join(names)}.")


@cache
def field_names() -> frozenset[str]:
    """Return the names of all fields, ours and the libraries'."""
    ours = {item.name for section in (DataArguments, RunArguments) for item in fields(section)}
    return frozenset(ours.union(*(re.findall(r"^    (\w+): ", text, re.M) for text in _texts(FIELDS))))


def hint(name: str) -> str:
    """Return a suggestion for an unknown field, with a leading space, or an empty string."""
    if name in RENAMED:
        return f" Use {RENAMED[name]}."
    return nearest(name, sorted(field_names()))


def unknown_names(file: Path, parsed: RecipeFile, words: Sequence[str], *, launcher: bool) -> Iterator[str]:
    """Yield a message for each unknown key and option.

    Args:
        file: The recipe.
        parsed: Its contents.
        words: Command-line arguments, without the recipe.
        launcher: Whether the arguments may include options of ``accelerate launch``.
    """
    known = field_names() | {"help"}
    for name in parsed.settings:
        if name not in known:
            yield unknown_key(f"{file}, line {parsed.lines[name,]}", name)
    known |= _words_of(LAUNCHER) if launcher else frozenset()
    for word in words:
        name = word[2:].partition("=")[0].replace("-", "_")
        if word.startswith("--") and name and name not in known:
            yield unknown_option(name)


def unknown_key(where: str, name: Any) -> str:
    """Return the message for a recipe key that is not a field."""
    return f"{where}: unknown key {str(name)[:LONGEST_NAME]!r}.{hint(name)} Correct or remove it."


def unknown_option(name: str) -> str:
    """Return the message for a command-line option that is not a field."""
    return f"command line: unknown option --{name[:LONGEST_NAME]}.{hint(name)} Correct or remove it."


def task_names(parsed: RecipeFile, words: Sequence[str], *, key: str = "tasks") -> list[str]:
    """Return the tasks that a key names on the command line or, if there are none, in the recipe.

    Anything but a plain list or mapping of names is ignored here and checked when the recipe is read.
    """
    flag = f"--{key}"
    values = [word.removeprefix(f"{flag}=") for word in words if word.startswith(f"{flag}=")]
    if flag in words:
        behind = words[words.index(flag) + 1 :]
        values += itertools.takewhile(lambda word: not word.startswith("--"), behind)
    named = values or parsed.settings.get(key) or []
    named = [named] if isinstance(named, str) else [name for name in named if isinstance(name, str)]
    if any(name.lstrip().startswith(("{", "[")) for name in named):
        return []
    return [part.strip() for name in named for part in name.split(",") if part.strip()]


@cache
def _words_of(sources: tuple[tuple[str, str], ...]) -> frozenset[str]:
    return frozenset(word for text in _texts(sources) for word in re.findall(r"\w+", text))


def _texts(sources: tuple[tuple[str, str], ...]) -> Iterator[str]:
    """Yield the source code of library modules without importing them."""
    for library, file in sources:
        found = find_spec(library)
        if found and found.origin:
            yield Path(found.origin).parent.joinpath(file).read_text("utf-8")
