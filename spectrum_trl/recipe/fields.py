"""All fields of a recipe, and validation of a value against its field's type and range."""

import datetime
import inspect
import math
import re
import types
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields
from enum import Enum
from functools import cache
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel, BeforeValidator, TypeAdapter, ValidationError
from trl import ModelConfig, SFTConfig

from spectrum_trl.recipe.arguments import DataArguments, RunArguments
from spectrum_trl.recipe.ranges import RANGES, TYPES
from spectrum_trl.recipe.task_choice import FileOptions, TaskOptions, split_commas
from spectrum_trl.strict.schema import Problem, problems_of, shown

SECTIONS: tuple[Any, ...] = (DataArguments, RunArguments, SFTConfig, ModelConfig)
# Counts and seeds fit in 64 bits.
LARGEST_NUMBER = 2**63 - 1


class Field(NamedTuple):
    """One field of a recipe.

    Attributes:
        adapter: Validates and converts a value.
        kinds: The built-in types in its annotation (``list``, ``dict``, ``str``, …; None for null).
        help: One sentence.
        default: Value used if a recipe does not set the field.
    """

    adapter: TypeAdapter
    kinds: frozenset[Any]
    help: str
    default: Any


@cache
def known_fields() -> dict[str, Field]:
    """Return every field by name, ours first."""
    found = {}
    for section in SECTIONS:
        hints, helps = get_type_hints(section), _described(section)
        for item in fields(section):
            hint = TYPES.get(item.name, _narrowed(hints[item.name], item.metadata.get("choices")))
            kinds = frozenset(_kinds(hint))
            if list in kinds and str not in kinds - {list}:
                hint = Annotated[hint, BeforeValidator(split_commas)]
            if ranges := RANGES.get(item.name):
                hint = Annotated[hint, *ranges]
            help = helps.get(item.name) or item.metadata.get("help", "").replace("%%", "%")
            sentence = help.split(". ")[0].rstrip(".") + "."
            found[item.name] = Field(TypeAdapter(hint), kinds, sentence, item.default)
    return found


def convert(name: str, value: Any) -> tuple[Any, list[Problem]]:
    """Check a value from YAML or the command line, and convert it to its field's type.

    Args:
        name: Name of a known field.
        value: The value to check.

    Returns:
        The converted value and its problems; if there are any, the value is unchanged.
    """
    field = known_fields()[name]
    if problems := list(_not_plain(value, ())):
        return value, problems
    if value is False and "no" in field.kinds:
        # YAML 1.1 reads an unquoted no as false.
        value = "no"
    elif isinstance(value, bool) and not {bool, value} & field.kinds:
        return value, [Problem((), f"expected {_wanted(field)}, but it is {value!r}")]
    try:
        converted = field.adapter.validate_python(value)
    except ValidationError as error:
        return value, problems_of(error, value, kind=FileOptions if name == "train_files" else TaskOptions)
    return converted, list(_not_plain(converted, ()))


def plain(value: Any) -> Any:
    """Return a converted value as JSON types, for the record."""
    if isinstance(value, BaseModel):
        return value.model_dump(exclude_defaults=True)
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value.value if isinstance(value, Enum) else value


def _described(section: type) -> dict[str, str]:
    """Return what the docstring of a class says about each of its attributes."""
    attributes = (inspect.getdoc(section) or "").partition("Attributes:\n")[2]
    found = re.findall(r"^    (\w+): (.+?)(?=^    \w|\Z)", attributes, re.MULTILINE | re.DOTALL)
    return {name: " ".join(text.split()).replace("``", "") for name, text in found}


def _narrowed(hint: Any, choices: Iterable[Any] | None) -> Any:
    """Return an annotation restricted to its choices: those of its metadata, or of an enumeration in it."""
    enums = [part for part in get_args(hint) if isinstance(part, type) and issubclass(part, Enum)]
    if enums and str in get_args(hint):
        choices = [member.value for member in enums[0]]
    if not choices:
        return hint
    chosen = Literal[*choices]  # type: ignore[valid-type]
    return chosen | None if type(None) in get_args(hint) else chosen


def _kinds(hint: Any) -> Iterator[Any]:
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        for part in get_args(hint):
            yield from _kinds(part)
    elif origin is Annotated:
        yield from _kinds(get_args(hint)[0])
    elif origin is Literal:
        yield from get_args(hint)
    elif hint in (None, type(None)):
        yield None
    else:
        yield origin or hint


def _not_plain(value: Any, path: tuple[Any, ...]) -> Iterator[Problem]:
    """Find values that no field accepts, at any depth: dates, numbers out of range, and invalid text."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            # A key that is not text has been reported when the file was read.
            yield from _not_plain(key, path) if isinstance(key, str) else ()
            yield from _not_plain(item, (*path, key))
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _not_plain(item, (*path, index))
    elif isinstance(value, datetime.date):
        yield Problem(path, f"YAML reads {value} as a date; put it in quotes")
    elif isinstance(value, bool) or value is None or isinstance(value, BaseModel | Enum):
        return
    elif isinstance(value, int) and abs(value) > LARGEST_NUMBER:
        yield Problem(path, f"expected a number of at most {LARGEST_NUMBER}, but it is larger")
    elif isinstance(value, float) and not math.isfinite(value):
        yield Problem(path, f"expected a finite number, but it is {value}")
    elif isinstance(value, str):
        if "\0" in value or not _encodable(value):
            yield Problem(path, f"expected text, but {shown(value)} holds a character that cannot be encoded")
    elif not isinstance(value, int | float):
        yield Problem(path, f"expected text, a number, a list or a mapping, but it is {shown(value)}")


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _wanted(field: Field) -> str:
    names = {
        str: "text",
        int: "a whole number",
        float: "a number",
        list: "a list",
        dict: "a mapping",
        None: "null",
    }
    return " or ".join(sorted(str(names.get(kind, repr(kind))) for kind in field.kinds))
