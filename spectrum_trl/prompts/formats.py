"""Render messages in one of the four prompt formats."""

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, get_args

from jinja2 import TemplateError

from spectrum_trl.errors import UserError, nearest, refuse
from spectrum_trl.prompts.families import template_source
from spectrum_trl.prompts.templates import installed, name_of, own_template, starts_with_bos
from spectrum_trl.suite.task import Role

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Format = Literal["spectrum", "colon", "chat", "chat_simple"]
Messages = Sequence[Mapping[str, Any]]

ROLES = get_args(Role)

CHAT_PROMPT = (
    "A source of texts is described below. Act as that source: each of your replies is one new sample "
    "from it, drawn as often as the source would produce it. Write the sample alone, without any comment."
)


def check_format(fmt: object) -> None:
    """Check the name of a format.

    Raises:
        UserError: If it is unknown.
    """
    if fmt not in get_args(Format):
        known = ", ".join(get_args(Format))
        raise UserError(
            f"format: expected one of {known}, but it is {fmt!r:.80}.{nearest(str(fmt), get_args(Format))}"
        )


def render(
    messages: Messages,
    *,
    tokenizer: "PreTrainedTokenizerBase",
    fmt: Format = "spectrum",
    add_generation_prompt: bool = False,
    chat_prompt: str | None = None,
    chat_template: str | None = None,
) -> str:
    """Render messages as text in a prompt format.

    The text starts with BOS if the model expects it: tokenize it with ``add_special_tokens=False``. Control
    tokens in content are not changed; ``spectrum_trl.prompts.messages.check`` finds them.

    Args:
        messages: Description, inputs and outputs.
        tokenizer: The model's tokenizer; format ``spectrum`` requires that ``install`` was called on it.
        fmt: ``spectrum``; ``colon``, plain text; ``chat``, the model's own chat template with an instruction
            and the description as system text; ``chat_simple``, the same without the instruction.
        add_generation_prompt: Whether to end with the header of an output.
        chat_prompt: Instruction for format ``chat``, or None for ``CHAT_PROMPT``.
        chat_template: Template for the formats ``chat`` and ``chat_simple``, or None for the model's own.

    Raises:
        UserError: If the format is unknown, the tokenizer has no template for it, or the template rejects the
            messages (Gemma's own, for example, requires inputs and outputs to alternate).
    """
    check_format(fmt)
    if chat_prompt is not None and fmt != "chat":
        raise UserError(f"chat_prompt applies to format 'chat', not to {fmt!r}: leave it out")
    if not messages:
        raise UserError("the conversation is empty: give at least one message")
    if fmt in ("chat", "chat_simple"):
        instruction = None if fmt == "chat_simple" else CHAT_PROMPT if chat_prompt is None else chat_prompt
        turns = _chat_turns(messages, instruction=instruction, open_end=add_generation_prompt)
        return _chat(turns, tokenizer=tokenizer, template=chat_template, open_end=add_generation_prompt)
    template = installed(tokenizer) if fmt == "spectrum" else template_source("colon")
    return _apply(
        template,
        messages,
        tokenizer=tokenizer,
        add_generation_prompt=add_generation_prompt,
        add_bos_token=starts_with_bos(tokenizer),
    )


def _chat_turns(messages: Messages, *, instruction: str | None, open_end: bool) -> list[dict[str, str]]:
    """Return messages as system, user and assistant turns; an instruction also labels descriptions.

    Without a description, the first output and the inputs before it become examples in the system text, since
    the first sample of an unknown source answers nothing. A later description repeats the system text so far.
    A generic user turn is inserted where there is nothing to answer, because chat templates require one.
    """
    roles = _roles(messages)
    first = roles.index("output") if "output" in roles else -1
    n_examples = 0 if "description" in roles[: first + 1] else first + 1
    system, turns = [instruction] if instruction else [], list[dict[str, str]]()
    for i, (role, content) in enumerate((message["role"], message["content"]) for message in messages):
        if role == "description":
            system.append(content if instruction is None else f"Description: {content}")
        elif i < n_examples:
            system.append(f"Example {role.capitalize()}: {content}")
        elif role == "output":
            turns += [] if "input" in roles else [{"role": "user", "content": "Generate"}]
            turns.append({"role": "assistant", "content": content})
        else:
            turns.append({"role": "user", "content": content})
        if role == "description" or i == n_examples - 1:
            turns.append({"role": "system", "content": "\n\n".join(system).strip()})
    if instruction and not any(turn["role"] == "system" for turn in turns):
        turns.insert(0, {"role": "system", "content": instruction.strip()})
    turns = [turn for turn in turns if turn["role"] != "system" or turn["content"]]
    if all(turn["role"] == "system" for turn in turns):
        turns.append({"role": "user", "content": ""})
    if open_end and turns[-1]["role"] != "user":
        turns.append({"role": "user", "content": "Generate."})
    return turns


def _roles(messages: Messages) -> list[str]:
    """Check messages for conversion to chat turns, and return their roles."""
    refuse(
        f"message {n} is {dict(message)!r:.200}, expected text and one of the roles {', '.join(ROLES)}"
        for n, message in enumerate(messages, start=1)
        if message.get("role") not in ROLES or not isinstance(message.get("content"), str)
    )
    return [message["role"] for message in messages]


def _chat(
    turns: Messages, *, tokenizer: "PreTrainedTokenizerBase", template: str | None, open_end: bool
) -> str:
    """Render chat turns, with the empty <think> block of a reasoning model before every answer.

    The model's template writes the block before the last answer only, so samples would not be exchangeable.
    """
    template = template or own_template(tokenizer)
    if template is None:
        raise UserError(
            f"tokenizer {name_of(tokenizer)} has no chat template of its own: use format 'spectrum' or "
            "'colon', or give chat_template"
        )
    text = _apply(template, turns, tokenizer=tokenizer, add_generation_prompt=open_end, enable_thinking=False)
    if "enable_thinking" not in template:
        return text
    asked, mark = {"role": "user", "content": "?"}, "\ue000"
    answered = [asked, {"role": "assistant", "content": mark}, asked]
    start = len(_apply(template, [asked], tokenizer=tokenizer))
    past = _apply(template, answered, tokenizer=tokenizer)[start:].split(mark)[0]
    prompt = _apply(
        template, [asked], tokenizer=tokenizer, add_generation_prompt=True, enable_thinking=False
    )[start:]
    thoughts = prompt.removeprefix(past)
    if not thoughts or not prompt.startswith(past):
        return text
    return re.sub(f"{re.escape(past)}(?!{re.escape(thoughts)})", lambda _: prompt, text)


def _apply(
    template: str, messages: Messages, *, tokenizer: "PreTrainedTokenizerBase", **variables: Any
) -> str:
    """Render messages with a template; raise ``UserError`` if the template rejects them."""
    turns = [dict(message) for message in messages]
    try:
        text = tokenizer.apply_chat_template(turns, chat_template=template, tokenize=False, **variables)
    except TemplateError as error:
        raise UserError(
            f"the template of tokenizer {name_of(tokenizer)} rejects the messages: {error}"
        ) from error
    if not text or not isinstance(text, str):
        raise UserError(
            f"the chat template of tokenizer {name_of(tokenizer)} renders the messages as empty text"
        )
    return text
