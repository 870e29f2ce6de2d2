"""Read YAML strictly: loaders silently keep the last of repeated keys, and read 1e-6 as text."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from spectrum_trl.errors import UserError, refuse

NUMBER = re.compile(r"[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$")
TEXT = "tag:yaml.org,2002:str"
# Length limit for a key in a message, in characters.
LONGEST_KEY = 60
LONGEST_MESSAGE = 300
KeyPath = tuple[str | int, ...]


class Loader(yaml.SafeLoader):
    """Reads numbers as YAML 1.2: PyYAML reads 1e-6 as text (https://github.com/yaml/pyyaml/issues/173)."""


class TagsAsText(Loader):
    """Reads values of unknown tags, such as lm-eval's ``!function``, as text."""


Loader.add_implicit_resolver("tag:yaml.org,2002:float", NUMBER, list("-+0123456789"))
TagsAsText.add_multi_constructor("!", lambda loader, suffix, node: str(node.value))


class Document(NamedTuple):
    """A YAML file that holds a mapping.

    Attributes:
        values: Its keys and values; those that cannot be constructed are among the problems instead.
        lines: Line of each key by its path: ``("fsdp_config", "version")``.
        problems: Problems that leave the rest readable, each with the file and line.
    """

    values: dict[Any, Any]
    lines: dict[KeyPath, int]
    problems: list[str]


def read_yaml(file: Path, *, plain: bool = False) -> Document:
    """Read a YAML file whose top level is a mapping.

    Args:
        file: The file.
        plain: Whether to report aliases, unknown tags, and keys that are not text.

    Raises:
        UserError: If the file cannot be read, is not a YAML mapping, or has a value that contains itself.
    """
    try:
        loader = (Loader if plain else TagsAsText)(file.read_bytes())
        node = loader.get_single_node()
        lines: dict[KeyPath, int] = {}
        found = list(_key_problems(node, (), lines, visits={}, plain=plain))
    except (yaml.YAMLError, ValueError) as error:
        raise UserError(f"{file} is not valid YAML: {one_line(error)}") from error
    except RecursionError as error:
        raise UserError(f"{file} is not valid YAML: it is nested too deeply") from error
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror}") from error
    if not isinstance(node, yaml.MappingNode):
        raise UserError(f"{file}: expected a mapping of keys to values at the top level")
    if aliases := [problem for problem in found if "alias" in problem]:
        raise UserError(f"{file}, {aliases[0]}")
    values: dict[Any, Any] = {}
    for key, value in node.value:
        if not isinstance(key, yaml.ScalarNode) or (plain and key.tag != TEXT):
            continue
        try:
            values[loader.construct_object(key)] = loader.construct_object(value, deep=True)
        # A month 13 or a very long integer raises errors other than YAMLError.
        except (yaml.YAMLError, ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
            found.append(f"line {key.start_mark.line + 1}: {str(key.value)[:LONGEST_KEY]}: {one_line(error)}")
    return Document(values, lines, [f"{file}, {problem}" for problem in found])


def read_mapping(file: Path) -> dict[str, Any]:
    """Read a YAML file that holds a mapping, written without aliases and tags.

    Raises:
        UserError: With all problems, such as repeated keys.
    """
    document = read_yaml(file, plain=True)
    refuse(document.problems)
    return document.values


def one_line(error: Exception) -> str:
    """Return the message of an error in one line."""
    return " ".join(str(error).split())[:LONGEST_MESSAGE]


def _key_problems(
    node: yaml.Node | None, path: KeyPath, lines: dict[KeyPath, int], *, visits: dict[int, bool], plain: bool
) -> Iterator[str]:
    """Yield problems with keys and aliases at any depth, and store the line of each key.

    ``visits`` has the visited nodes by id, and whether the visit is unfinished: an alias leads back.
    """
    if node is None:
        return
    if id(node) in visits:
        line = f"line {node.start_mark.line + 1}"
        if plain:
            yield f"{line}: YAML aliases (*) are not supported; write the value out"
        elif visits[id(node)]:
            yield f"{line}: a value contains itself through an alias; write it out"
        return
    visits[id(node)] = True
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield from _key_problems(item, (*path, index), lines, visits=visits, plain=plain)
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            line, name = key.start_mark.line + 1, str(key.value)
            here = (*path, name)
            if not isinstance(key, yaml.ScalarNode):
                yield f"line {line}: a key must be a text, not a list or mapping; write it as one"
            elif plain and key.tag != TEXT:
                yield (
                    f"line {line}: key {name[:LONGEST_KEY]!r} is not a string in YAML; put it in quotes, "
                    "or correct it"
                )
            elif here in lines:
                yield f"line {line}: key {name[:LONGEST_KEY]!r} repeats line {lines[here]}; keep one of them"
            lines[here] = line
            yield from _key_problems(value, here, lines, visits=visits, plain=plain)
    visits[id(node)] = False
