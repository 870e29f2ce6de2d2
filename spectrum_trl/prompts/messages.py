"""Check and normalise messages, for building data, training, evaluation and inference alike."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from spectrum_trl.errors import nearest
from spectrum_trl.prompts.families import families
from spectrum_trl.prompts.formats import ROLES
from spectrum_trl.prompts.templates import default_template, family_of, is_spectrum
from spectrum_trl.suite.task import Message

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_KEYS = {"role", "content"}
# Characters of the user's text quoted in an error message.
SHOWN = 80
_CHAT_ROLES = {"system": "description", "user": "input", "assistant": "output"}
_LEADING_BREAKS = re.compile(r"\s*[\r\n]")
# Possible control tokens in a stock template; only those in the vocabulary count.
_NAMED_TOKEN = re.compile(r"<[^<>\s'\"]+>")
# The start of an output, which decides whether a tokenizer merges it with the header.
_START = re.compile(r"\s{0,64}\S{0,2}", re.DOTALL)
_HALF_SURROGATE = re.compile("[\ud800-\udfff]")


def check(
    messages: Sequence[Mapping[str, Any]],
    *,
    tokenizer: "PreTrainedTokenizerBase | None" = None,
    trained: bool = True,
) -> list[str]:
    """Return all problems of a conversation; an empty list if it is valid.

    A valid conversation starts with at most one description, which is not blank. Outputs follow, each with or
    without an input directly before it (several outputs may follow one input). It may end with an input whose
    output is to be generated. Inputs and outputs may be empty.

    Args:
        messages: Description, inputs and outputs.
        tokenizer: Tokenizer whose control tokens content must not contain, or None for those of all families.
        trained: Whether the messages are for training, which requires at least one output with loss.

    Returns:
        One sentence per problem, with the number of its message, counted from 1.
    """
    if isinstance(messages, str | Mapping) or not isinstance(messages, Sequence):
        return [f"the conversation is of type {type(messages).__name__}, expected a list of messages"]
    if not messages:
        return ["the conversation is empty: give at least one message"]
    forbidden = _pattern(_all_turn_tokens() if tokenizer is None else special_tokens(tokenizer))
    problems: list[str] = []
    for number, message in enumerate(messages, start=1):
        problems += [
            f"message {number} {problem}"
            for problem in _message_problems(message, forbidden=forbidden, tokenizer=tokenizer)
        ]
    roles = [message.get("role") if isinstance(message, Mapping) else None for message in messages]
    return problems + _order_problems(roles) + (_loss_problems(roles) if trained else [])


def normalise(
    messages: Iterable[Message], *, tokenizer: "PreTrainedTokenizerBase | None" = None
) -> list[Message]:
    r"""Remove line breaks at the start of outputs; everything else, problems included, is unchanged.

    A tokenizer merges such a break with the header's into one token that never occurs in generation
    (``"\n\n"``).

    Args:
        messages: Description, inputs and outputs.
        tokenizer: With the Spectrum template, or None if not known yet. Leading spaces of outputs that it
            merges with the header, as GPT-2's pre-tokenizer does (``"\n "``), are removed too.
    """
    found = [_without_leading_breaks(message) for message in messages]
    return found if tokenizer is None else [_apart_from_header(message, tokenizer) for message in found]


def _apart_from_header(message: Message, tokenizer: "PreTrainedTokenizerBase") -> Message:
    content = message.get("content") if isinstance(message, Mapping) else None
    if not isinstance(content, str) or message.get("role") != "output" or not content[:1].isspace():
        return message
    while content[:1].isspace() and _joins_header(content, tokenizer):
        content = content[1:]
    return {**message, "content": content}


def _joins_header(output: str, tokenizer: "PreTrainedTokenizerBase") -> bool:
    """Return whether the first token of an output begins in its header; False without a Spectrum template."""
    template = default_template(tokenizer)
    start = _START.match(output)
    assert start is not None
    # Invalid text is reported elsewhere; tokenizers would raise here.
    if _HALF_SURROGATE.search(start.group()):
        return False
    return is_spectrum(template) and _start_joins_header(start.group(), tokenizer, template)


@lru_cache(maxsize=2**14)
def _start_joins_header(start: str, tokenizer: "PreTrainedTokenizerBase", template: str) -> bool:
    from spectrum_trl.prompts.rendering import header_of_outputs

    header = header_of_outputs(tokenizer, template)
    offsets = tokenizer(header + start, add_special_tokens=False, return_offsets_mapping=True)
    return any(first < len(header) < end for first, end in offsets["offset_mapping"])


def _without_leading_breaks(message: Message) -> Message:
    if not isinstance(message, Mapping) or message.get("role") != "output":
        return message
    content = message.get("content")
    found = _LEADING_BREAKS.match(content) if isinstance(content, str) else None
    return message if found is None else {**message, "content": content[found.end() :]}


def special_tokens(tokenizer: "PreTrainedTokenizerBase") -> tuple[str, ...]:
    """Return the texts that a tokenizer turns into control tokens wherever they occur.

    These are its special tokens and, of the other added tokens, those written ``<|…|>``, those listed for its
    family, and those that the model's own chat template contains (``<think>``). Gemma's added white space and
    HTML tags are text. The result is cached until the special tokens or the template change.
    """
    templates = tokenizer.chat_template or ""
    texts = list(templates.values()) if isinstance(templates, Mapping) else [templates]
    family = family_of(tokenizer)
    known = family.control_tokens if family else ()
    own = "\n".join(text for text in texts if not is_spectrum(text))
    return _special_tokens(tokenizer, tuple(tokenizer.all_special_tokens), known, own)


@lru_cache(maxsize=16)
def _special_tokens(
    tokenizer: "PreTrainedTokenizerBase", special: tuple[str, ...], known: tuple[str, ...], own_template: str
) -> tuple[str, ...]:
    named = {*known, *_NAMED_TOKEN.findall(own_template)}
    added = tokenizer.added_tokens_decoder.values()
    control = {token.content for token in added if token.special or token.content in named}
    control |= {token.content for token in added if re.fullmatch(r"<\|.+\|>", token.content)}
    return tuple(sorted(control | set(special)))


@lru_cache(maxsize=16)
def _pattern(tokens: tuple[str, ...]) -> re.Pattern[str]:
    # Vocabularies reserve hundreds of numbered tokens; one alternative for all keeps the search fast.
    shapes = {re.sub(r"(?<=\D)\d+(?=\D)", r"\\d+", re.escape(token)) for token in tokens}
    return re.compile("|".join(sorted(shapes, key=len, reverse=True)) or r"(?!)")


def _all_turn_tokens() -> tuple[str, ...]:
    return tuple(sorted({token for family in families().values() for token in family.control_tokens}))


def _message_problems(
    message: Any, *, forbidden: re.Pattern[str], tokenizer: "PreTrainedTokenizerBase | None"
) -> Iterator[str]:
    if not isinstance(message, Mapping):
        yield f"is of type {type(message).__name__}, expected an object with 'role' and 'content'"
        return
    if message.keys() != _KEYS:
        for key in sorted(_KEYS - message.keys()):
            yield f"has no {key!r}"
        for key in sorted(map(str, message.keys() - _KEYS)):
            yield f"has the key {repr(key)[:SHOWN]}, expected 'role' and 'content' only.{nearest(key, _KEYS)}"
    role, content = message.get("role"), message.get("content")
    if role not in ROLES and "role" in message:
        chat = _CHAT_ROLES.get(str(role))
        hint = f" Did you mean {chat!r}?" if chat else nearest(str(role), ROLES)
        yield f"has the unknown role {repr(role)[:SHOWN]}, expected 'description', 'input' or 'output'.{hint}"
    if isinstance(content, str):
        yield from _content_problems(role, content, forbidden=forbidden)
        if role == "output" and tokenizer is not None and not _LEADING_BREAKS.match(content):
            if content and _joins_header(content, tokenizer):
                yield (
                    f"(output) starts with {content[:1]!r}, which the tokenizer merges with its header: call "
                    "messages.normalise with the tokenizer"
                )
    elif "content" in message:
        yield f"({role}) has content of type {type(content).__name__}, expected text"


def _content_problems(role: Any, content: str, *, forbidden: re.Pattern[str]) -> Iterator[str]:
    if forbidden.search(content):
        found = ", ".join(map(repr, sorted(set(forbidden.findall(content)))))
        yield f"({role}) contains the control token {found}: drop the sequence or reword it"
    if not content.isascii() and _HALF_SURROGATE.search(content):
        yield (
            f"({role}) contains an unpaired surrogate, which is not valid text: read the source with the "
            "right encoding"
        )
    if role == "output" and _LEADING_BREAKS.match(content):
        yield (
            "(output) starts with a line break, which would merge with its header: call messages.normalise"
        )
    if role == "description" and not content.strip():
        yield "(description) is blank: leave it out"


def _order_problems(roles: Sequence[Any]) -> list[str]:
    late = [
        f"message {number} (description) must be the first message and the only description"
        for number, role in enumerate(roles[1:], start=2)
        if role == "description"
    ]
    unanswered = [
        f"message {number} (input) has no output after it: the next message is {after!r}"
        for number, (role, after) in enumerate(zip(roles, roles[1:], strict=False), start=1)
        if role == "input" and after != "output"
    ]
    return late + unanswered


def _loss_problems(roles: Sequence[Any]) -> list[str]:
    if "output" not in roles:
        return ["no message is an output, so there is nothing to train"]
    first = roles.index("output")
    if "description" in roles[:first] or "output" in roles[first + 1 :]:
        return []
    return ["the only output has no description before it, so it carries no loss: add one, or another output"]
