"""Turn pydantic's errors about the key ``spectrum`` of a user's YAML file into clear messages."""

import reprlib
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

from spectrum_trl.errors import nearest


def schema_problems(kind: type[BaseModel], error: ValidationError, *, file: str) -> list[str]:
    """Return one problem per mistake, even for keys that accept several types.

    Args:
        kind: The expected model.
        error: Its validation error.
        file: The YAML file, for the messages.
    """
    groups: dict[Any, list[Any]] = {}
    for detail in error.errors():
        groups.setdefault(detail["loc"][:1], []).append(detail)
    shown: list[Mapping[str, Any]] = []
    for details in groups.values():
        # The second part of a location names a type; an error inside a value says more than a type mismatch.
        inside = [each for each in details if not _of_form(each["loc"]) or len(each["loc"]) > 2]
        shown += inside or details[:1]
    return [_problem(kind, each, file=file) for each in shown]


def _of_form(place: Sequence[Any]) -> bool:
    return len(place) > 1 and str(place[1]) in ("str", "list[str]", "dict[str,str]")


def _problem(kind: type[BaseModel], detail: Mapping[str, Any], *, file: str) -> str:
    first, *rest = detail["loc"] or ("",)
    rest = [part for part in (rest[1:] if _of_form(detail["loc"]) else rest) if part != "[key]"]
    place = f"{file}: spectrum.{'.'.join(map(str, [first, *rest]))}"
    if detail["type"] == "missing":
        return f"{place}: this key is missing"
    if detail["type"] == "extra_forbidden":
        *outer, key = detail["loc"]
        fields = _fields(kind, outer)
        return f"{place}: unknown key, expected {', '.join(fields)}.{nearest(str(key), fields)}"
    message = str(detail["msg"]).removeprefix("Value error, ").removeprefix("Input should be ")
    if detail["type"] == "value_error":
        return f"{place}: {message}"
    hint = "; put it in quotation marks" if detail["type"] == "string_type" else ""
    return f"{place}: expected {message}, found {_shown(detail['input'])!r}{hint}"


def _shown(value: Any) -> str:
    # YAML aliases can make a value of nine lines too long to print.
    return (str(value) if isinstance(value, str | int | float) else reprlib.repr(value))[:60]


def _fields(kind: type[BaseModel], outer: Sequence[Any]) -> list[str]:
    """Return the keys of a nested model, given the names of the keys around it."""
    for name in outer:
        annotation: Any = kind.model_fields[name].annotation
        options = getattr(annotation, "__args__", (annotation,))
        kind = next(one for one in options if isinstance(one, type) and issubclass(one, BaseModel))
    return list(kind.model_fields)
