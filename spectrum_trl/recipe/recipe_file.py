"""Read and write recipe files, which are both YAML and, for ``accelerate launch``, Python."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from spectrum_trl.errors import UserError
from spectrum_trl.files import write_atomic

LAUNCH_KEY = "launch"
LAUNCH_LINE = 'launch: any; from spectrum_trl.launch import launch; launch(__file__); r"""'
QUOTES = '"""'
TEXT = "tag:yaml.org,2002:str"
# Never written to a file.
SECRETS = ("hub_token",)
_OPENING = re.compile(rf"^{LAUNCH_KEY}:.*?{QUOTES}", re.MULTILINE)


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


class _Loader(yaml.SafeLoader):
    """Reads numbers as YAML 1.2: PyYAML reads 1e-6 as text (https://github.com/yaml/pyyaml/issues/173)."""


class _Dumper(yaml.SafeDumper):
    """Quotes text that the loader would read as a number."""

    def ignore_aliases(self, data: Any) -> bool:
        """Write out every value."""
        return True


for _class in (_Loader, _Dumper):
    _class.add_implicit_resolver(
        "tag:yaml.org,2002:float",
        re.compile(r"[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"),
        list("-+0123456789"),
    )


def read_recipe_file(file: Path) -> RecipeFile:
    """Read a recipe file.

    Args:
        file: The file.

    Returns:
        Settings, lines, and problems that leave the rest of the file readable.

    Raises:
        UserError: If the file is not a YAML mapping or uses aliases.
    """
    try:
        text = file.read_text(encoding="utf-8-sig")
        loader = _Loader(text)
        node = loader.get_single_node()
        lines: dict[tuple[Any, ...], int] = {}
        problems = list(_key_problems(node, (), lines, seen=set()))
    except (yaml.YAMLError, ValueError, OSError) as error:
        raise UserError(f"{file} is not valid YAML: {_one_line(error)}") from error
    except RecursionError as error:
        raise UserError(f"{file} is not valid YAML: it is nested too deeply") from error
    if not isinstance(node, yaml.MappingNode):
        raise UserError(f"{file}: expected a mapping of keys to values at the top level")
    if aliases := [problem for problem in problems if "alias" in problem]:
        raise UserError(f"{file}, {aliases[0]}")
    settings: dict[str, Any] = {}
    for key, value in node.value:
        if key.tag == TEXT and key.value != LAUNCH_KEY:
            try:
                settings[key.value] = loader.construct_object(value, deep=True)
            # A month 13 or a very long integer raises errors other than YAMLError.
            except (yaml.YAMLError, ValueError, LookupError, AttributeError, RecursionError) as error:
                problems.append(f"line {key.start_mark.line + 1}: {key.value}: {_one_line(error)}")
    problems += _quote_problems(text)
    return RecipeFile(settings, lines, [f"{file}, {problem}" for problem in problems])


def write_recipe(settings: dict[str, Any], path: Path) -> None:
    """Write settings as a recipe that ``accelerate launch`` can run again.

    Args:
        settings: Keys and values.
        path: The file, written atomically.
    """
    public = {key: value for key, value in settings.items() if key not in SECRETS}
    plain = json.loads(json.dumps(public, default=str))
    body = yaml.dump(plain, Dumper=_Dumper, sort_keys=False)
    if QUOTES in body:
        # To Python the body is a string, which three quotes would end; this style escapes them.
        body = yaml.dump(plain, Dumper=_Dumper, sort_keys=False, default_style='"')
    text = f'# As run.  accelerate launch {path.name}\n{LAUNCH_LINE}\n\n{body}# """\n'
    with write_atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _key_problems(
    node: yaml.Node | None, path: tuple[Any, ...], lines: dict[tuple[Any, ...], int], *, seen: set[int]
) -> Iterator[str]:
    """Yield repeated keys, keys that are not text, and aliases, at any depth; store the line of each key."""
    if node is not None and id(node) in seen:
        yield f"line {node.start_mark.line + 1}: YAML aliases (*) are not supported; write the value out"
        return
    seen.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield from _key_problems(item, (*path, index), lines, seen=seen)
    if not isinstance(node, yaml.MappingNode):
        return
    for key, value in node.value:
        line, name = key.start_mark.line + 1, str(key.value)
        here = (*path, name)
        if key.tag != TEXT:
            yield f"line {line}: key {name[:60]!r} is not a string in YAML; put it in quotes, or correct it"
        elif here in lines:
            yield f"line {line}: key {name[:60]!r} repeats line {lines[here]}; keep one of them"
        lines[here] = line
        yield from _key_problems(value, here, lines, seen=seen)


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


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
