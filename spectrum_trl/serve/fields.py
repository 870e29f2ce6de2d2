"""The fields of requests: OpenAI's, and ours."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from spectrum_trl.console import counted
from spectrum_trl.serve.errors import RequestError
from spectrum_trl.strict.json import strict_json
from spectrum_trl.strict.schema import problems_of

# The names of roles in chats, and ours.
ROLES = {"system": "description", "developer": "description", "user": "input", "assistant": "output"}
# Fields that change nothing here.
IGNORED = {
    *("user", "metadata", "store", "service_tier", "safety_identifier"),
    *("prompt_cache_key", "prompt_cache_retention", "parallel_tool_calls", "reasoning_effort", "verbosity"),
}
# Fields that are accepted with a value that asks for nothing.
NEUTRAL: dict[str, tuple[Any, ...]] = {
    "frequency_penalty": (0,),
    "presence_penalty": (0,),
    "logit_bias": ({},),
    "response_format": ({"type": "text"},),
    "modalities": (["text"],),
    "tools": ([],),
    "tool_choice": ("none", "auto"),
    "functions": ([],),
    "function_call": ("none", "auto"),
    "echo": (False,),
    "best_of": (1,),
    "suffix": ("",),
}
# The least temperature above 0 by which logits can be divided.
COLDEST = 0.01
MOST_STOPS, LONGEST_STOP = 16, 200
MOST_PROBLEMS = 10
Fields = TypeVar("Fields", bound="Common")


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _joined(value: Any) -> Any:
    """Return the text of a content in parts; anything else unchanged."""
    if not isinstance(value, list):
        return value
    if not all(isinstance(one, dict) and one.keys() == {"type", "text"} for one in value):
        raise ValueError("expected text, or a list of parts with type and text")
    if not all(one["type"] == "text" and isinstance(one["text"], str) for one in value):
        raise ValueError('expected parts of type "text" only')
    return "".join(one["text"] for one in value)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Turn(_Strict):
    """A message; roles are OpenAI's or ours."""

    role: Literal["description", "input", "output", "system", "developer", "user", "assistant"]
    content: Annotated[str, BeforeValidator(_joined)]
    name: str | None = None

    def message(self) -> dict[str, str]:
        """Return it with our role."""
        return {"role": ROLES.get(self.role, self.role), "content": self.content}


class StreamOptions(_Strict):
    """Options of a stream."""

    include_usage: bool = False
    include_obfuscation: bool = False


class Common(_Strict):
    """The fields of every request."""

    model: str | None = None
    n: int | None = Field(None, ge=0)
    # OpenAI's seeds are signed.
    seed: int | None = Field(None, ge=-(2**63), lt=2**64)
    temperature: float = Field(1.0, ge=0, le=2)
    top_p: float = Field(1.0, gt=0, le=1)
    stop: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=LONGEST_STOP)]],
        BeforeValidator(_listed),
        Field(max_length=MOST_STOPS),
    ] = []
    stream: bool = False
    stream_options: StreamOptions = StreamOptions()
    max_tokens: int | None = Field(None, ge=1)


class ChatRequest(Common):
    """A request for turns of a conversation."""

    messages: list[Turn] = Field(min_length=1)
    max_completion_tokens: int | None = Field(None, ge=1)
    logprobs: bool = False
    top_logprobs: int = Field(0, ge=0, le=20)
    answers: list[Any] | None = None
    # pydantic's models have an attribute of that name.
    json_schema: dict[str, Any] | None = Field(None, alias="schema")


class CompletionRequest(Common):
    """A request for continuations of plain text."""

    prompt: Annotated[list[str], BeforeValidator(_listed), Field(min_length=1)]
    logprobs: int | None = Field(None, ge=0, le=20)


def read_fields(body: bytes, kind: type[Fields]) -> Fields:
    """Return the checked fields of a request.

    Args:
        body: JSON.
        kind: Which fields.

    Raises:
        RequestError: With every problem.
    """
    try:
        found = strict_json(body)
    except ValueError as error:
        reason = "not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)
        raise RequestError(f"the body of the request cannot be read: {reason}") from error
    if not isinstance(found, dict):
        raise RequestError("the body of the request: expected a JSON object")
    try:
        "".join(_texts(found)).encode()
    except UnicodeEncodeError as error:
        raise RequestError("the body of the request holds an unpaired surrogate, which is no text") from error
    try:
        given = _asked(found)
        fields = kind.model_validate(given)
    except ValidationError as error:
        raise _problems(error, given, kind) from None
    if 0 < fields.temperature < COLDEST:
        raise RequestError(f"temperature: expected 0, or at least {COLDEST}", param="temperature")
    return fields


def _texts(value: Any) -> list[str]:
    """Return all texts in a value of JSON."""
    todo, found = [value], list[str]()
    while todo:
        one = todo.pop()
        if isinstance(one, str):
            found.append(one)
        elif isinstance(one, dict):
            todo += [*one, *one.values()]
        elif isinstance(one, list):
            todo += one
    return found


def _asked(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields that ask for something; null is as good as nothing."""
    given = {name: value for name, value in found.items() if value is not None and name not in IGNORED}
    for name in NEUTRAL.keys() & given.keys():
        value = given.pop(name)
        if not any(
            value == one and isinstance(value, bool) == isinstance(one, bool) for one in NEUTRAL[name]
        ):
            raise RequestError(f"{name} is not supported: leave it out", param=name, code="unsupported_value")
    if isinstance(messages := given.get("messages"), list):
        # Clients send back an assistant's message with all its empty fields.
        given["messages"] = [
            {key: v for key, v in one.items() if key in ("role", "content") or v not in (None, [])}
            if isinstance(one, dict)
            else one
            for one in messages
        ]
    return given


def _problems(error: ValidationError, given: Any, kind: type[Common]) -> RequestError:
    found = problems_of(error, given, kind=kind, most=MOST_PROBLEMS)
    places = [".".join(str(part)[:80] for part in one.path) for one in found]
    told = [f"{place}: {one.text}." for place, one in zip(places, found, strict=True)]
    if (more := error.error_count() - MOST_PROBLEMS) > 0:
        told.append(f"{counted(more, 'more problem')}")
    return RequestError(" ".join(told), param=places[0])
