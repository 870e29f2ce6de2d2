"""The values of a client's JSON Schema; it is limited so that listing them takes little time and memory."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from spectrum_trl.ask.schemas import allowed_values
from spectrum_trl.errors import UserError
from spectrum_trl.serve.errors import RequestError
from spectrum_trl.serve.limits import Limits

# Keywords that name other schemas, in a list or by name.
LISTS, NAMED = ("anyOf", "oneOf"), ("properties",)
# References could be fetched from elsewhere or repeat each other, arrays grow without limit, and patterns
# take any time; what these allow can be listed in `answers`.
KEYWORDS = (
    *("$schema", "title", "description", "default", "examples", "type", "enum", "const", *LISTS),
    *(*NAMED, "required", "additionalProperties"),
    *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
)


def listed(schema: Mapping[str, Any], *, limits: Limits) -> list[Any]:
    """Return every value that a schema allows.

    Raises:
        RequestError: If it is no schema, or its values cannot be listed, or are too many.
    """
    if len(json.dumps(schema)) > limits.schema:
        raise RequestError(f"schema: it has more than {limits.schema:,} characters", param="schema")
    if problem := next(_problems(schema, "$"), None):
        raise RequestError(f"schema: {problem}", param="schema")
    try:
        return allowed_values(schema, most=limits.answers)
    except UserError as error:
        raise RequestError("; ".join(error.problems), param="schema") from error


def _problems(schema: Any, path: str) -> Iterator[str]:
    if not isinstance(schema, Mapping):
        return
    for name in schema:
        if name not in KEYWORDS:
            yield f"{path}: {name!r:.80} is not supported, only {', '.join(KEYWORDS)}"
    if isinstance(schema.get("additionalProperties"), Mapping):
        yield f"{path}.additionalProperties: expected true or false"
    for name in LISTS:
        for number, part in enumerate(parts if isinstance(parts := schema.get(name), list) else ()):
            yield from _problems(part, f"{path}.{name}[{number}]")
    for name in NAMED:
        for key, part in (parts if isinstance(parts := schema.get(name), Mapping) else {}).items():
            yield from _problems(part, f"{path}.{key}")
