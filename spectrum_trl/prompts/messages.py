"""The one place that checks messages: for building data, training, evaluation and inference."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from spectrum_trl.errors import nearest
from spectrum_trl.prompts.families import families
from spectrum_trl.prompts.formats import ROLES
from spectrum_trl.prompts.templates import family_of, is_spectrum
from spectrum_trl.suite.task import Message

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_KEYS = {"role", "content"}
# Characters of a user's text in a message.
SHOWN = 80
_CHAT_ROLES = {"system": "description", "user": "input", "assistant": "output"}
_LEADING_BREAKS = re.compile(r"\s*[\r\n]")
# What a stock template may write as a control token; only those in the vocabulary count.
_NAMED_TOKEN = re.compile(r"<[^<>\s'\"]+>")
_HALF_SURROGATE = re.compile("[\ud800-\udfff]")


def check(
    messages: Sequence[Mapping[str, Any]],
    *,
    tokenizer: "PreTrainedTokenizerBase | None" = None,
    trained: bool = True,
) -> list[str]:
    """Return everything that is wrong with a conversation; an empty list where nothing is.

    A valid conversation has at most one description, first and not blank; then outputs, each with or without
    an input right before it (several outputs may follow one input); last, if at all, an input whose output is
    yet to come.
    Inputs and outputs may be empty.

    Args:
        messages: Description, inputs and outputs.
        tokenizer: Whose control tokens content must not hold, or None for the control tokens of all families.
        trained: Whether the messages are for training: then at least one output must carry loss.

    Returns:
        One sentence for each problem, with the number of its message, counted from 1.
    """
    if isinstance(messages, str | Mapping) or not isinstance(messages, Sequence):
        return [f"the conversation is of type {type(messages).__name__}, expected a list of messages"]
    if not messages:
        return ["the conversation is empty: give at least one message"]
    forbidden = _pattern(_all_turn_tokens() if tokenizer is None else special_tokens(tokenizer))
    problems: list[str] = []
    for number, message in enumerate(messages, start=1):
        problems += [
            f"message {number} {problem}" for problem in _message_problems(message, forbidden=forbidden)
        ]
    roles = [message.get("role") if isinstance(message, Mapping) else None for message in messages]
    return problems + _order_problems(roles) + (_loss_problems(roles) if trained else [])


def normalise(messages: Iterable[Message]) -> list[Message]:
    r"""Return messages whose outputs do not start with line breaks; the rest stays as it is, problems too.

    A tokenizer joins such a break with the header's into a token that generation never meets (``"\n\n"``).
    """
    return [_without_leading_breaks(message) for message in messages]


def _without_leading_breaks(message: Message) -> Message:
    if not isinstance(message, Mapping) or message.get("role") != "output":
        return message
    content = message.get("content")
    found = _LEADING_BREAKS.match(content) if isinstance(content, str) else None
    return message if found is None else {**message, "content": content[found.end() :]}


def special_tokens(tokenizer: "PreTrainedTokenizerBase") -> tuple[str, ...]:
    """Return the texts that a tokenizer turns into control tokens wherever they stand.

    These are its special tokens, and of the others it adds to its vocabulary those written ``<|…|>``, those
    in the row of its family, and those that the model's own chat template names (``<think>``). Gemma's added
    white space and HTML tags are text. The answer is kept until the special tokens or the template change.
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
    # Vocabularies reserve hundreds of numbered tokens: one alternative for all keeps the search fast.
    shapes = {re.sub(r"(?<=\D)\d+(?=\D)", r"\\d+", re.escape(token)) for token in tokens}
    return re.compile("|".join(sorted(shapes, key=len, reverse=True)) or r"(?!)")


def _all_turn_tokens() -> tuple[str, ...]:
    return tuple(sorted({token for family in families().values() for token in family.control_tokens}))


def _message_problems(message: Any, *, forbidden: re.Pattern[str]) -> Iterator[str]:
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
    elif "content" in message:
        yield f"({role}) has content of type {type(content).__name__}, expected text"


def _content_problems(role: Any, content: str, *, forbidden: re.Pattern[str]) -> Iterator[str]:
    if forbidden.search(content):
        found = ", ".join(map(repr, sorted(set(forbidden.findall(content)))))
        yield f"({role}) contains the control token {found}: drop the sequence or reword it"
    if not content.isascii() and _HALF_SURROGATE.search(content):
        yield (
            f"({role}) contains an unpaired surrogate, which is not valid text: read the source in its real "
            "encoding"
        )
    if role == "output" and _LEADING_BREAKS.match(content):
        yield (
            "(output) starts with a line break, which would merge with the header's: call messages.normalise"
        )
    if role == "description" and not content.strip():
        yield "(description) is blank: leave it out"


def _order_problems(roles: Sequence[Any]) -> list[str]:
    late = [
        f"message {number} (description) must be the first message, and the only description"
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
