"""Questions: a description, examples and an input, or whole messages."""

import json
from collections.abc import Mapping, Sequence
from os.path import commonprefix
from typing import TYPE_CHECKING, Any, TypedDict

from spectrum_trl.console import counted
from spectrum_trl.errors import UserError, nearest
from spectrum_trl.prompts.messages import check, normalise
from spectrum_trl.suite.task import Message, Role

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from spectrum_trl.prompts.scored import Prompts

# An output, or an input with its output; anything but a text is written as JSON.
Example = Any


class Question(TypedDict, total=False):
    """A question to a model: either ``messages``, or any of the others.

    Attributes:
        messages: Messages with the roles ``description``, ``input`` and ``output``.
        description: What is sampled.
        examples: Earlier outputs; a pair is an input with its output. What is no text is written as JSON.
        input: What the next output is conditioned on.
    """

    messages: Sequence[Mapping[str, str]]
    description: str | None
    examples: Sequence[Example]
    input: Any


def as_text(value: Any) -> str:
    """Return a text unchanged, and anything else as JSON, as in the Suite's data.

    Raises:
        UserError: If JSON cannot express the value.
    """
    if isinstance(value, str):
        return value
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise UserError(f"{_quoted(value)} is neither text nor JSON: {error}") from error


def _quoted(value: Any) -> str:
    try:
        return f"{value!r:.80}"
    except RecursionError:
        return f"a deeply nested {type(value).__name__}"


def turns(examples: Sequence[Example]) -> list[Message]:
    """Return the messages of examples.

    Args:
        examples: Outputs, and pairs (tuples or lists of two) of an input and its output.

    Raises:
        UserError: If ``examples`` is a single text.
    """
    if isinstance(examples, str | Mapping) or not isinstance(examples, Sequence):
        raise UserError(f"examples: expected a list of outputs or pairs, but it is {examples!r:.80}")
    found: list[Message] = []
    for example in examples:
        if isinstance(example, tuple | list):
            if len(example) != 2:
                raise UserError(
                    f"examples: {example!r:.80} has {counted(len(example), 'part')}; a pair is an input and "
                    "its output. Give a list that is itself an output as JSON text"
                )
            found.append(_message("input", example[0]))
            example = example[1]
        found.append(_message("output", example))
    return found


def conversation(
    question: Question, *, tokenizer: "PreTrainedTokenizerBase", before: Sequence[Message] = ()
) -> list[Message]:
    """Return the checked messages of a question, which end before the next output.

    Args:
        question: Its parts.
        tokenizer: Its control tokens must not occur in contents.
        before: Messages that come first.

    Raises:
        UserError: With every problem at once.
    """
    if not isinstance(question, Mapping):
        raise UserError(
            f"question: expected a mapping such as {{'description': …}}, but it is {question!r:.80}"
        )
    if unknown := set(map(str, question)) - set(Question.__annotations__):
        raise UserError(
            *(
                f"question: unknown key {key!r}, expected {', '.join(Question.__annotations__)}."
                f"{nearest(str(key), Question.__annotations__)}"
                for key in sorted(map(str, unknown))
            )
        )
    parts = {name: part for name, part in question.items() if part is not None}
    if "messages" in parts and len(parts) > 1:
        raise UserError("question: give either messages, or description, examples and input")
    own: Any = parts["messages"] if "messages" in parts else _parts(parts)
    if isinstance(own, str | Mapping) or not isinstance(own, Sequence):
        raise UserError(f"question: messages: expected a list of messages, but it is {own!r:.80}")
    messages = [*before, *own]
    if messages:
        messages = normalise(messages, tokenizer=tokenizer)
        if problems := check(messages, tokenizer=tokenizer, trained=False):
            raise UserError(*(f"question: {problem}" for problem in problems))
    return list(messages)


def _parts(parts: Mapping[str, Any]) -> list[Message]:
    described = [_message("description", parts["description"])] if "description" in parts else []
    asked = [_message("input", parts["input"])] if "input" in parts else []
    return [*described, *turns(parts.get("examples", ())), *asked]


def _message(role: Role, content: Any) -> Message:
    return Message(role=role, content=as_text(content))


def beginning(given: Sequence[Message], *, prompts: "Prompts") -> list[int]:
    """Return the tokens with which all prompts begin whose messages go on as the given ones do.

    Args:
        given: The first messages.
        prompts: Writes the prompts.
    """
    roles = {message["role"] for message in given}
    # Chat templates write outputs without inputs otherwise.
    alone = "output" in roles and "input" not in roles
    follows: Message = {"role": "output" if alone else "input", "content": "?"}
    texts = [prompts.prompt(given), prompts.prompt([*given, follows])]
    ids: list[int] = commonprefix(prompts.tokenizer(texts, add_special_tokens=False)["input_ids"])
    # The last one is read with the answer, whose first token it predicts.
    return ids[:-1]
