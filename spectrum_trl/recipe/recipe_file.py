"""Read and write recipe files, which are both YAML and, for ``accelerate launch``, Python."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from spectrum_trl.errors import UserError
from spectrum_trl.files import write_atomic
from spectrum_trl.strict.yaml import NUMBER, read_yaml

LAUNCH_KEY = "launch"
LAUNCH_LINE = 'launch: any; from spectrum_trl.launch import launch; launch(__file__); r"""'
QUOTES = '"""'
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


class _Dumper(yaml.SafeDumper):
    """Quotes text that the loader would read as a number."""

    def ignore_aliases(self, data: Any) -> bool:
        """Write out every value."""
        return True


# As the loader reads them.
_Dumper.add_implicit_resolver("tag:yaml.org,2002:float", NUMBER, list("-+0123456789"))


def read_recipe_file(file: Path) -> RecipeFile:
    """Read a recipe file.

    Args:
        file: The file.

    Returns:
        Settings, lines, and problems that leave the rest of the file readable.

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
