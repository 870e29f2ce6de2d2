"""Read and write a recipe's file: YAML for us, and Python for ``accelerate launch``."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from spectrum_trl.errors import UserError
from spectrum_trl.files import write_atomic

LAUNCH_KEY = "launch"
LAUNCH_LINE = 'launch: any; from spectrum_trl.train import launch; launch(__file__); r"""'
QUOTES = '"""'
# Never written down.
SECRETS = ("hub_token",)
_OPENING = re.compile(rf"^{LAUNCH_KEY}:.*?{QUOTES}", re.MULTILINE)


class RecipeFile(NamedTuple):
    """What a file says.

    Attributes:
        settings: Its keys and values.
        lines: Line of each key by its path: ``("fsdp_config", "version")``.
        problems: What is wrong with it as a file.
    """

    settings: dict[str, Any]
    lines: dict[tuple[Any, ...], int]
    problems: list[str]


class _Loader(yaml.SafeLoader):
    """YAML 1.2's numbers: PyYAML reads 1e-6 as text (https://github.com/yaml/pyyaml/issues/173)."""


class _Dumper(yaml.SafeDumper):
    """Quotes text that the loader would read as a number."""

    def ignore_aliases(self, data: Any) -> bool:
        """Write every value out."""
        return True


for _class in (_Loader, _Dumper):
    _class.add_implicit_resolver(
        "tag:yaml.org,2002:float",
        re.compile(r"[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"),
        list("-+0123456789"),
    )


def read_recipe_file(file: Path) -> RecipeFile:
    """Read a recipe's file.

    Args:
        file: The file.

    Returns:
        Settings, lines, and problems that leave the rest readable.

    Raises:
        UserError: If it is no YAML mapping.
    """
    try:
        text = file.read_text(encoding="utf-8-sig")
        aliases = [event for event in yaml.parse(text, Loader=_Loader) if isinstance(event, yaml.AliasEvent)]
        if aliases:
            line = aliases[0].start_mark.line + 1
            raise UserError(f"{file}, line {line}: a recipe has no aliases (*); write the value out")
        node, settings = yaml.compose(text, Loader=_Loader), yaml.load(text, Loader=_Loader)
    except (yaml.YAMLError, ValueError, OSError) as error:
        raise UserError(f"{file} is not valid YAML: {' '.join(str(error).split())}") from error
    except RecursionError as error:
        raise UserError(f"{file} is not valid YAML: it is nested too deeply") from error
    if not isinstance(node, yaml.MappingNode):
        raise UserError(f"{file}: expected a mapping of keys to values at the top level")
    lines: dict[tuple[Any, ...], int] = {}
    problems = [f"{file}, line {line}: {problem}" for line, problem in _key_problems(node, (), lines)]
    settings.pop(LAUNCH_KEY, None)
    return RecipeFile(settings, lines, problems + [f"{file}, {told}" for told in _quote_problems(text)])


def write_recipe(settings: dict[str, Any], path: Path) -> None:
    """Write settings as a recipe that ``accelerate launch`` can run again.

    Args:
        settings: Keys and values.
        path: The file, replaced only when all of it is written.
    """
    public = {key: value for key, value in settings.items() if key not in SECRETS}
    plain = json.loads(json.dumps(public, default=str))
    body = yaml.dump(plain, Dumper=_Dumper, sort_keys=False, allow_unicode=True)
    if QUOTES in body:
        # The file is a Python string, too, which three quotes would end; this style escapes them.
        body = yaml.dump(plain, Dumper=_Dumper, sort_keys=False, default_style='"')
    text = f'# As run.  accelerate launch {path.name}\n{LAUNCH_LINE}\n\n{body}# """\n'
    with write_atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _key_problems(
    node: yaml.Node, path: tuple[Any, ...], lines: dict[tuple[Any, ...], int]
) -> Iterator[tuple[int, str]]:
    """Yield keys that repeat or are no text, at any depth, and note the line of each key."""
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield from _key_problems(item, (*path, index), lines)
    if not isinstance(node, yaml.MappingNode):
        return
    for key, value in node.value:
        line, name = key.start_mark.line + 1, str(key.value)
        here = (*path, name)
        if key.tag != "tag:yaml.org,2002:str":
            yield line, f"key {name!r} is no text to YAML; put it in quotes, or correct it"
        elif here in lines:
            yield line, f"key {name!r} repeats line {lines[here]}; keep one of them"
        lines[here] = line
        yield from _key_problems(value, here, lines)


def _quote_problems(text: str) -> Iterator[str]:
    """Yield what keeps a file from being the same recipe to YAML and to Python, which reads one long string."""
    opening = _OPENING.search(text)
    if opening is None:
        return
    body, quotes, rest = text[opening.end() :].partition(QUOTES)
    line = text[: opening.end()].count("\n") + body.count("\n") + 1
    if not quotes:
        yield f"line {line}: the closing line is missing; end the file with `# {QUOTES}`"
        return
    if not body.rpartition("\n")[2].lstrip().startswith("#"):
        yield f"line {line}: three quotes end the recipe to Python; write the value with other quotes"
    for number, behind in enumerate(rest.split("\n"), start=line):
        if behind.strip() and not behind.lstrip().startswith("#"):
            yield f"line {number}: {behind.strip()[:60]!r} stands behind the closing quotes; move it before them"
