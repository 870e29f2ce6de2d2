"""JSON answers: every value that a schema allows, and whether a text is one of them."""

import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeGuard, cast, get_origin

import jsonschema
import pandas as pd
from pydantic import TypeAdapter
from pydantic.errors import PydanticUserError

from spectrum_trl.ask.results import Probabilities
from spectrum_trl.errors import UserError
from spectrum_trl.strict.json import strict_json

# More joint values are not enumerated.
MOST_VALUES = 10_000
# Valid answers shown in a message, and characters of a value.
SHOWN = 80
# Columns of a table, whose names a field may have, too.
TAKEN = ("probability", "normalised")
# A JSON Schema, a pydantic model, or any other type that pydantic knows.
Schema = Mapping[str, Any] | type[Any]


class JsonProbabilities(NamedTuple):
    """Probabilities of all values that a schema allows.

    Attributes:
        values: The values, as parsed from JSON.
        found: Their probabilities as texts.
    """

    values: tuple[Any, ...]
    found: Probabilities

    @property
    def coverage(self) -> float:
        """Probability that the model gives one of the values, in [0, 1]."""
        return self.found.coverage

    def frame(self) -> pd.DataFrame:
        """Return one row a value: its fields, or ``value``; its probability, and the normalised one."""
        fields = [value if isinstance(value, Mapping) else {"value": value} for value in self.values]
        fields = [
            {f"{name} (field)" if name in TAKEN else name: v for name, v in one.items()} for one in fields
        ]
        shares = {"probability": self.found.probabilities, "normalised": self.found.normalised}
        return pd.concat([pd.DataFrame(fields, dtype=object), pd.DataFrame(shares)], axis=1)

    def marginal(self, field: str, *, given: Mapping[str, Any] | None = None) -> pd.Series:
        """Return the normalised distribution of a field.

        Args:
            field: Its name.
            given: Values of other fields to condition on.

        Raises:
            UserError: If a field is unknown, or no value agrees with ``given``.
        """
        names = {name for value in self.values if isinstance(value, Mapping) for name in value}
        if unknown := {field, *(given or {})} - names:
            raise UserError(
                f"no field {', '.join(sorted(unknown))}: the schema has {', '.join(sorted(names))}"
            )
        shares: dict[str, float] = {}
        labels: dict[str, Any] = {}
        # In Python True equals 1, in JSON it does not.
        wanted = {name: _compared(value) for name, value in (given or {}).items()}
        for value, share in zip(self.values, self.found.normalised, strict=True):
            has = value.keys() if isinstance(value, Mapping) else ()
            if field in has and all(
                name in has and _compared(value[name]) == text for name, text in wanted.items()
            ):
                key = json.dumps(value[field])
                labels[key], shares[key] = value[field], shares.get(key, 0.0) + share
        total = sum(shares.values())
        if not total:
            raise UserError(f"no value of the schema has a {field} and {dict(given or {})!r:.80}")
        return pd.Series(
            [one / total for one in shares.values()], index=pd.Index(_index(labels), dtype=object), name=field
        )


def _is_type(schema: Schema) -> TypeGuard[type[Any]]:
    # Unions, literals and lists of types are no types themselves.
    return isinstance(schema, type) or get_origin(schema) is not None


def _compared(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)


def _index(labels: Mapping[str, Any]) -> list[Any]:
    """Return values as labels; lists and mappings as JSON, which pandas would take apart."""
    return [text if isinstance(value, list | dict) else value for text, value in labels.items()]


class JsonSamples(NamedTuple):
    """Sampled values that a schema allows.

    Attributes:
        values: As parsed from JSON; fewer than asked for if the limit was reached.
        invalid: Texts that the schema does not allow, in the order drawn.
    """

    values: tuple[Any, ...]
    invalid: tuple[str, ...]


def validator(schema: Schema) -> Callable[[str], Any]:
    """Return a function that parses a text, and raises ValueError unless the schema allows it.

    Args:
        schema: A JSON Schema, or a pydantic model.

    Raises:
        UserError: If it is no valid schema.
    """
    if _is_type(schema):
        known = _adapter(schema)

        def parse(text: str) -> Any:
            # The parsed JSON is returned, for the names of aliases are those of the texts.
            value = strict_json(text)
            known.validate_json(text, strict=True)
            return value

        return parse
    checker = _checker(cast(Mapping[str, Any], schema))

    def check(text: str) -> Any:
        value = strict_json(text)
        if (error := next(checker.iter_errors(value), None)) is not None:
            raise ValueError(error.message)
        return value

    return check


def allowed_values(schema: Schema, *, most: int = MOST_VALUES) -> list[Any]:
    """Return every value that a schema allows.

    Args:
        schema: A JSON Schema, or a pydantic model, whose fields are enumerations, constants, booleans, null,
            integers between two bounds, and arrays and objects of these.
        most: Number of joint values, at most.

    Raises:
        UserError: If a field's values cannot be listed, or there are more joint values.
    """
    whole = _adapter(schema).json_schema() if _is_type(schema) else cast(Mapping[str, Any], schema)
    _checker(whole)
    try:
        values = list(itertools.islice(_values(whole, whole, "$"), most + 1))
    except RecursionError:
        raise UserError("schema: it refers to itself, so its values cannot be listed") from None
    if len(values) > most:
        raise UserError(f"schema: it allows more than {most:,} values; sample instead")
    parse, unique = validator(schema), dict[str, Any]()
    for value in values:
        text = json.dumps(value)
        try:
            parse(text)
        except ValueError:
            # Forbidden by a keyword or a validator that lists no values.
            continue
        unique[text] = value
    if not unique:
        raise UserError("schema: it allows no value")
    return list(unique.values())


def _adapter(schema: type[Any]) -> TypeAdapter[Any]:
    try:
        return TypeAdapter(schema)
    except PydanticUserError as error:
        raise UserError(
            f"schema: pydantic cannot read {schema!r:.80}: {str(error).splitlines()[0]}"
        ) from error


def _checker(schema: Mapping[str, Any]) -> Any:
    if not isinstance(schema, Mapping):
        raise UserError(f"schema: expected a JSON Schema or a pydantic model, but it is {schema!r:.80}")
    kind = jsonschema.validators.validator_for(dict(schema), default=jsonschema.Draft202012Validator)
    try:
        kind.check_schema(dict(schema))
    except jsonschema.SchemaError as error:
        raise UserError(f"schema: {error.json_path}: {error.message}") from error
    return kind(dict(schema))


def _values(schema: Any, whole: Mapping[str, Any], path: str) -> Iterator[Any]:
    if schema is True or not isinstance(schema, Mapping):
        raise _unbounded(path, "anything")
    if "$ref" in schema:
        yield from _values(_resolved(str(schema["$ref"]), whole, path), whole, path)
    elif "const" in schema:
        yield schema["const"]
    elif "enum" in schema:
        yield from schema["enum"]
    elif choices := schema.get("anyOf") or schema.get("oneOf"):
        for choice in choices:
            yield from _values(choice, whole, path)
    else:
        kinds = schema.get("type")
        for kind in kinds if isinstance(kinds, list) else [kinds]:
            yield from _of_type(kind, schema, whole, path)


def _of_type(kind: Any, schema: Mapping[str, Any], whole: Mapping[str, Any], path: str) -> Iterator[Any]:
    if kind == "null":
        yield None
    elif kind == "boolean":
        yield from (True, False)
    elif kind == "integer" and (bounds := _bounds(schema)):
        step = int(schema.get("multipleOf", 1)) or 1
        yield from range(-(-bounds[0] // step) * step, bounds[1] + 1, step)
    elif kind == "array" and ("maxItems" in schema or "prefixItems" in schema):
        yield from _arrays(schema, whole, path)
    elif kind == "object" and "properties" in schema:
        yield from _objects(schema, whole, path)
    else:
        raise _unbounded(path, str(kind))


def _bounds(schema: Mapping[str, Any]) -> tuple[int, int] | None:
    low = schema.get(
        "minimum", schema.get("exclusiveMinimum", -1) + 1 if "exclusiveMinimum" in schema else None
    )
    high = schema.get(
        "maximum", schema.get("exclusiveMaximum", 1) - 1 if "exclusiveMaximum" in schema else None
    )
    return None if low is None or high is None else (int(low), int(high))


def _arrays(schema: Mapping[str, Any], whole: Mapping[str, Any], path: str) -> Iterator[list[Any]]:
    first: Sequence[Any] = schema.get("prefixItems", ())
    for length in range(schema.get("minItems", len(first)), schema.get("maxItems", len(first)) + 1):
        kinds = [first[n] if n < len(first) else schema.get("items", True) for n in range(length)]
        parts = (
            list(itertools.islice(_values(kind, whole, f"{path}[{n}]"), MOST_VALUES + 1))
            for n, kind in enumerate(kinds)
        )
        yield from map(list, itertools.product(*parts))


def _objects(schema: Mapping[str, Any], whole: Mapping[str, Any], path: str) -> Iterator[dict[str, Any]]:
    absent = object()
    parts = []
    for name, part in schema["properties"].items():
        found = list(itertools.islice(_values(part, whole, f"{path}.{name}"), MOST_VALUES + 1))
        parts.append(found if name in schema.get("required", ()) else [*found, absent])
    for values in itertools.product(*parts):
        fields = zip(schema["properties"], values, strict=True)
        yield {name: value for name, value in fields if value is not absent}


def _resolved(reference: str, whole: Mapping[str, Any], path: str) -> Any:
    found: Any = whole
    for step in reference.removeprefix("#/").split("/"):
        if not reference.startswith("#/") or not isinstance(found, Mapping) or step not in found:
            raise UserError(f"schema: {path}: {reference} is not in the schema")
        found = found[step]
    return found


def _unbounded(path: str, kind: str) -> UserError:
    return UserError(
        f"schema: {path}: values of type {kind} cannot be listed; give an enum, or bounds of an integer, or "
        "sample instead"
    )
