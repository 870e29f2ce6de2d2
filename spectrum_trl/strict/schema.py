"""Turn pydantic's errors about a user's values into one clear message for each mistake."""

import json
import re
import reprlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from pydantic import BaseModel, ValidationError

from spectrum_trl.errors import UserError, nearest

# Length limit for a value in a message, in characters.
LONGEST_VALUE = 60
EXPECTED = "expected "
Model = TypeVar("Model", bound=BaseModel)


class Problem(NamedTuple):
    """A problem with a value: its path inside the value, and the message."""

    path: tuple[Any, ...]
    text: str

    def at(self, *place: str) -> str:
        """Return the message after the place of the whole value, and the path in it."""
        return f"{'.'.join(map(str, (*place, *self.path)))}: {self.text}"


def parsed(kind: type[Model], given: Any, *place: str, before: str = "") -> Model:
    """Return a user's values as a model.

    Args:
        kind: The model.
        given: The values.
        *place: Place of the values, as in `Problem.at`.
        before: Text before every message.

    Raises:
        UserError: With every wrong value at once.
    """
    try:
        return kind.model_validate(given)
    except ValidationError as error:
        found = problems_of(error, given, kind=kind)
        raise UserError(*(f"{before}{problem.at(*place)}" for problem in found)) from error


def problems_of(
    error: ValidationError, value: Any, *, kind: type[BaseModel] | None = None, most: int | None = None
) -> list[Problem]:
    """Return one problem per mistake, even for values that may be of several types.

    Args:
        error: The validation error.
        value: The value that was validated.
        kind: The model that it was validated as, or that is inside it, for the names of keys.
        most: Number of errors looked at; by default all.
    """
    texts: dict[tuple[Any, ...], list[str]] = {}
    inputs: dict[tuple[Any, ...], Any] = {}
    for detail in error.errors(include_url=False)[:most]:
        path = _path_in(value, detail["loc"])
        if detail["type"] == "missing":
            path = (*path, detail["loc"][-1])
        texts.setdefault(path, []).append(_text(detail, path, kind=kind))
        inputs[path] = detail["input"]
    # A problem inside a value says more than its type.
    inner = [path for path in texts if not any(other[: len(path)] == path != other for other in texts)]
    return [Problem(path, _sentence(list(dict.fromkeys(texts[path])), inputs[path])) for path in inner]


class _Short(reprlib.Repr):
    """Writes short texts of values as users write them, in JSON and YAML: null, true, "a"."""

    def repr_bool(self, value: bool | None, level: int) -> str:
        return json.dumps(value)

    repr_NoneType = repr_bool

    def repr_str(self, value: str, level: int) -> str:
        kept = self.maxstring // 2
        if len(value) > self.maxstring:
            value = f"{value[:kept]}…{value[-kept:]}"
        return json.dumps(value, ensure_ascii=not value.isprintable())


_SHORT = _Short()
_SHORT.maxstring = _SHORT.maxother = LONGEST_VALUE


def shown(value: Any) -> str:
    """Return a short text of any value, for a message: JSON, except for what JSON lacks, such as dates."""
    return _SHORT.repr(value)


def _text(detail: Any, path: tuple[Any, ...], *, kind: type[BaseModel] | None) -> str:
    """Return the mistake, or what was expected after ``EXPECTED``."""
    if detail["type"] == "missing":
        return "this key is missing"
    known = _keys(kind, path[:-1])
    if detail["type"] == "extra_forbidden":
        name = str(path[-1])[:LONGEST_VALUE]
        return f"unknown key {name!r}.{nearest(name, known)} Valid keys: {', '.join(known)}"
    if detail["type"] == "model_type":
        return f"{EXPECTED}a mapping with any of {', '.join(_keys(kind, path))}, or null for their defaults"
    if detail["type"] == "value_error":
        return str(detail["ctx"]["error"])
    text = detail["msg"].removeprefix("Input should be ").removeprefix("Unable to ")
    if detail["type"] in ("literal_error", "enum"):
        text = text.replace("'", '"')
    text = re.sub(r"^(?:String|List|Value) should have (at (?:least|most) \d+ \w+).*", r"\1", text)
    text = text.split(", unable")[0].replace("dictionary", "mapping").replace("string", "text")
    return f"{EXPECTED}{'a number ' * text.startswith(('greater', 'less'))}{text}"


def _sentence(texts: list[str], value: Any) -> str:
    text = " or ".join((texts[0], *(text.removeprefix(EXPECTED) for text in texts[1:])))
    if not text.startswith(EXPECTED) or ", but " in text:
        return text
    if text == f"{EXPECTED}a valid text" and isinstance(value, bool | int | float):
        return f"{EXPECTED}a text, but it is {shown(value)}; put it in quotation marks"
    choices = [word for text in texts for word in text.split('"')[1::2]]
    hint = nearest(value, choices) if isinstance(value, str) else ""
    return f"{text}, but it is {shown(value)}{f'.{hint}' if hint else ''}"


def _path_in(value: Any, location: Sequence[Any]) -> tuple[Any, ...]:
    """Return the part of pydantic's location that is a path into the value; the rest names union members."""
    path: list[Any] = []
    for step in location:
        if isinstance(value, Mapping) and step in value or isinstance(value, list) and isinstance(step, int):
            path.append(step)
            value = value[step]
    return tuple(path)


def _keys(kind: type[BaseModel] | None, path: Sequence[Any]) -> list[str]:
    """Return the keys of the model that a path leads to; steps that are no field stay in the same model."""
    for name in path:
        annotation: Any = getattr(kind and kind.model_fields.get(name), "annotation", None)
        parts = getattr(annotation, "__args__", (annotation,))
        models = [part for part in parts if isinstance(part, type) and issubclass(part, BaseModel)]
        kind = models[0] if models else kind
    return [field.alias or name for name, field in kind.model_fields.items()] if kind else []
