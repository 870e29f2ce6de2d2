"""Spectrum chat templates: setting one on a tokenizer, and the text of the four prompt formats."""

import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, get_args

from jinja2 import TemplateError

from spectrum_trl.errors import UserError, nearest
from spectrum_trl.paths import bundled
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

# Tokens made for padding first, then those of a document's end, which no template trains.
PAD_TOKENS = ("<|finetune_right_pad_id|>", "<pad>", "<|pad|>", "<|endoftext|>", "<|end_of_text|>", "<unk>")

CONTROL_TOKEN = re.compile(r"<[^<>\s'\"]+>")
_END_OF_TURN = re.compile(r"set end_of_turn = '([^']+)'")


@cache
def sources() -> dict[str, str]:
    """Return the text of every file in ``chat_templates`` by name, in alphabetical order."""
    files = sorted(bundled("chat_templates").glob("*.jinja"))
    return {path.stem: path.read_text(encoding="utf-8") for path in files}


@cache
def turn_tokens() -> dict[str, tuple[str, ...]]:
    """Return the control tokens that each model family is known by.

    A family is a template that sets ``end_of_turn``; its tokens are those the file names, comments included.
    """
    families = {name: text for name, text in sources().items() if _END_OF_TURN.search(text)}
    return {name: tuple(dict.fromkeys(CONTROL_TOKEN.findall(text))) for name, text in families.items()}


def install(tokenizer: "PreTrainedTokenizerBase", *, family: str | None = None) -> str:
    """Set the Spectrum template, and end-of-sequence and padding tokens that fit it, on a tokenizer.

    The model's own template is kept under the name ``chat``. All of it is saved with the tokenizer, and a
    saved tokenizer needs transformers only.

    Args:
        tokenizer: A fast tokenizer of any model; changed in place.
        family: Name of a template, or None to find it from the vocabulary: a family whose tokens are all
            there, preferring one whose turns end with the tokenizer's end-of-sequence token.

    Returns:
        The name of the family.

    Raises:
        UserError: If the family is unknown, or the tokenizer lacks something that it needs.
    """
    if family is None:
        family = _detect(tokenizer)
    elif family not in turn_tokens():
        known = ", ".join(turn_tokens())
        raise UserError(
            f"unknown template family {family!r}, expected {known}.{nearest(family, turn_tokens())}"
        )
    pad = _pad_token(tokenizer, family)
    if problems := _misfits(tokenizer, family, pad=pad):
        raise UserError(
            *(f"tokenizer {_name(tokenizer)} does not fit template {family}: {p}" for p in problems)
        )
    template, own = sources()[family], own_template(tokenizer)
    if "add_bos_token" in template and _starts_with_bos(tokenizer):
        template = "{%- set add_bos_token = true %}\n" + template
    tokenizer.chat_template = template if own is None else {"default": template, "chat": own}
    tokenizer.eos_token, tokenizer.pad_token = _end_of_turn(family), pad
    return family


def own_template(tokenizer: "PreTrainedTokenizerBase") -> str | None:
    """Return the chat template a model came with, before or after ``install``; None where it has none."""
    templates = tokenizer.chat_template
    if not isinstance(templates, Mapping):
        templates = {"default": templates}
    own = templates.get("chat") or templates.get("default")
    return None if own is None or _is_spectrum(own) else own


def render(
    messages: Messages,
    *,
    tokenizer: "PreTrainedTokenizerBase",
    fmt: Format = "spectrum",
    add_generation_prompt: bool = False,
    chat_prompt: str | None = None,
    chat_template: str | None = None,
) -> str:
    """Return messages as the text of a prompt format.

    The text has the BOS token where the model wants one: tokenize it with ``add_special_tokens=False``.
    Control tokens in content stay as they are; ``spectrum_trl.prompts.messages.check`` finds them.

    Args:
        messages: Description, inputs and outputs.
        tokenizer: The model's tokenizer; format ``spectrum`` needs one that ``install`` was called on.
        fmt: ``spectrum``; ``colon``, plain text; ``chat``, the model's own chat template with an instruction
            and the description as system text; ``chat_simple``, the same without the instruction.
        add_generation_prompt: Whether to end with the header of an output.
        chat_prompt: Instruction of format ``chat``, or None for ``CHAT_PROMPT``.
        chat_template: Template of the formats ``chat`` and ``chat_simple``, or None for the model's own.

    Raises:
        UserError: If the format is unknown, the tokenizer has no template for it, or the template refuses the
            messages (Gemma's own, for one, wants inputs and outputs to alternate).
    """
    if fmt not in get_args(Format):
        known = ", ".join(get_args(Format))
        raise UserError(f"unknown format {fmt!r}, expected {known}.{nearest(fmt, get_args(Format))}")
    if chat_prompt is not None and fmt != "chat":
        raise UserError(f"chat_prompt belongs to format 'chat', not to {fmt!r}: leave it out")
    if fmt in ("chat", "chat_simple"):
        instruction = None if fmt == "chat_simple" else CHAT_PROMPT if chat_prompt is None else chat_prompt
        turns = _chat_turns(messages, instruction=instruction, open_end=add_generation_prompt)
        return _chat(turns, tokenizer=tokenizer, template=chat_template, open_end=add_generation_prompt)
    template = _installed(tokenizer) if fmt == "spectrum" else sources()["colon"]
    return _apply(
        template,
        messages,
        tokenizer=tokenizer,
        add_generation_prompt=add_generation_prompt,
        add_bos_token=_starts_with_bos(tokenizer),
    )


def _chat_turns(messages: Messages, *, instruction: str | None, open_end: bool) -> list[dict[str, str]]:
    """Return messages as system, user and assistant turns; without an instruction descriptions have no label.

    Without a description, the first output and the inputs before it are examples in the system text, since a
    first sample of an unknown source answers nothing. A later description repeats the system text so far.
    Where there is nothing to answer, a user turn stands in, because chat templates want one.
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
    """Return the roles of messages that chat turns can be made of."""
    problems = [
        f"message {n} is {dict(message)!r:.200}, expected text and one of the roles {', '.join(ROLES)}"
        for n, message in enumerate(messages, start=1)
        if message.get("role") not in ROLES or not isinstance(message.get("content"), str)
    ]
    if problems or not messages:
        raise UserError(*(problems or ["the conversation is empty: give at least one message"]))
    return [message["role"] for message in messages]


def _chat(
    turns: Messages, *, tokenizer: "PreTrainedTokenizerBase", template: str | None, open_end: bool
) -> str:
    """Return chat turns as text, each answer with the empty block of thoughts of a model that reasons.

    Its template writes the block before the last answer only, and that would tell the samples apart.
    """
    template = template or own_template(tokenizer)
    if template is None:
        raise UserError(
            f"tokenizer {_name(tokenizer)} has no chat template of its own: use format 'spectrum' or "
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
    """Return messages as text; what a template refuses is a ``UserError``."""
    if not messages:
        raise UserError("the conversation is empty: give at least one message")
    turns = [dict(message) for message in messages]
    try:
        text = tokenizer.apply_chat_template(turns, chat_template=template, tokenize=False, **variables)
    except TemplateError as error:
        raise UserError(
            f"the template of tokenizer {_name(tokenizer)} refuses the messages: {error}"
        ) from error
    if not text or not isinstance(text, str):
        raise UserError(f"the chat template of tokenizer {_name(tokenizer)} turns the messages into nothing")
    return text


def _installed(tokenizer: "PreTrainedTokenizerBase") -> str:
    templates = tokenizer.chat_template
    template = templates.get("default") if isinstance(templates, Mapping) else templates
    if template is None or not _is_spectrum(template):
        raise UserError(
            f"tokenizer {_name(tokenizer)} has no Spectrum template: call templates.install on it"
        )
    return template


def _is_spectrum(template: str) -> bool:
    return "'description'" in template and "'output'" in template


def _detect(tokenizer: "PreTrainedTokenizerBase") -> str:
    missing = {family: _missing(tokenizer, family) for family in turn_tokens()}
    fitting = [family for family, tokens in missing.items() if not tokens]
    if not fitting:
        lacks = "; ".join(f"{family}: {', '.join(tokens)}" for family, tokens in missing.items())
        raise UserError(
            f"no Spectrum template fits tokenizer {_name(tokenizer)}; its vocabulary lacks, for {lacks}. Use "
            "another model, or add the tokens as special tokens and resize the model's embeddings"
        )
    return max(
        fitting, key=lambda name: (_end_of_turn(name) == tokenizer.eos_token, len(turn_tokens()[name]))
    )


def _misfits(tokenizer: "PreTrainedTokenizerBase", family: str, *, pad: str | None) -> list[str]:
    problems = [f"its vocabulary lacks {token}" for token in _missing(tokenizer, family)]
    if not tokenizer.is_fast:
        problems.append("it is a slow tokenizer, which cannot tell which tokens to train: load a fast one")
    if (
        "add_bos_token" not in sources()[family]
        and "bos_token" in sources()[family]
        and not tokenizer.bos_token
    ):
        problems.append("it has no bos_token, which every text starts with: set tokenizer.bos_token")
    if pad is None:
        problems.append(
            f"it has no token to pad with other than {_end_of_turn(family)}: call "
            "tokenizer.add_special_tokens({'pad_token': '<pad>'}) and resize the model's embeddings"
        )
    return problems


def _missing(tokenizer: "PreTrainedTokenizerBase", family: str) -> list[str]:
    return [token for token in turn_tokens()[family] if not _is_token(token, tokenizer=tokenizer)]


def _is_token(text: str, *, tokenizer: "PreTrainedTokenizerBase") -> bool:
    return tokenizer.tokenize(text) == [text]


def _pad_token(tokenizer: "PreTrainedTokenizerBase", family: str) -> str | None:
    # Collators that make labels from padding would hide every end of a turn, were it the padding token.
    own = [tokenizer.pad_token] if tokenizer.pad_token else []
    others = [token for token in PAD_TOKENS if _is_token(token, tokenizer=tokenizer)]
    return next((token for token in own + others if token not in turn_tokens()[family]), None)


def _end_of_turn(family: str) -> str:
    return _END_OF_TURN.findall(sources()[family])[0]


def _starts_with_bos(tokenizer: "PreTrainedTokenizerBase") -> bool:
    # The tokenizer is asked, because many name a BOS token that they never add.
    return tokenizer.bos_token is not None and tokenizer("")["input_ids"][:1] == [tokenizer.bos_token_id]


def _name(tokenizer: "PreTrainedTokenizerBase") -> str:
    return repr(tokenizer.name_or_path or type(tokenizer).__name__)
