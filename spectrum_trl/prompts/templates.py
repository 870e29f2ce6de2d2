"""Find the Spectrum chat template that fits a tokenizer and install it, or the template of another layout."""

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, cast, get_args

from spectrum_trl.errors import UserError, nearest, refuse
from spectrum_trl.prompts.families import Family, families, template_source
from spectrum_trl.suite.task import Role

if TYPE_CHECKING:
    from transformers import BatchEncoding, PreTrainedTokenizerBase

import copy

from transformers import PreTrainedTokenizerBase

from spectrum_trl.prompts.families import Layout

# Tokens made for padding first, then end-of-document tokens, which no template trains.
PAD_TOKENS = ("<|finetune_right_pad_id|>", "<pad>", "<|pad|>", "<|endoftext|>", "<|end_of_text|>", "<unk>")

# Every Spectrum template sets this variable to its name, which identifies it in a saved tokenizer.
MARK = "set spectrum_template = "
ADD_BOS = "{%- set add_bos_token = true %}\n"
# The token that ends a document in `layouts/text.jinja`.
END_OF_TEXT = "<|endoftext|>"


def install(tokenizer: "PreTrainedTokenizerBase", *, family: str | None = None) -> str:
    """Set the Spectrum template, with matching end-of-sequence and padding tokens, on a tokenizer.

    The model's own template is kept under the name ``chat``. Both are saved with the tokenizer, and a saved
    tokenizer needs only transformers.

    Args:
        tokenizer: A fast tokenizer of any model; changed in place.
        family: Name of a template family, or None to detect it from the vocabulary: a family whose tokens are
            all present, preferring one whose turns end with the tokenizer's end-of-sequence token, then one
            with more tokens of its own over the general one.

    Returns:
        The name of the family.

    Raises:
        UserError: If the family is unknown, or the tokenizer lacks something that the template needs.
    """
    table = families()
    if family is not None and family not in table:
        raise UserError(
            f"unknown template family {family!r}, expected {', '.join(table)}.{nearest(family, table)}"
        )
    chosen = _detect(tokenizer) if family is None else table[family]
    pad = _pad_token(tokenizer, chosen)
    place = f"tokenizer {name_of(tokenizer)} does not fit template {chosen.name}"
    refuse(f"{place}: {problem}" for problem in _misfits(tokenizer, chosen, pad=pad))
    template, own = template_source(chosen.name), own_template(tokenizer)
    if chosen.bos == "tokenizer" and starts_with_bos(tokenizer):
        template = ADD_BOS + template
    tokenizer.chat_template = template if own is None else {"default": template, "chat": own}
    tokenizer.eos_token, tokenizer.pad_token = chosen.end_of_turn, pad
    tokenizer.response_template = _reply(chosen, pad=str(pad))
    return chosen.name


def _reply(family: Family, *, pad: str) -> dict[str, object]:
    """Return how transformers finds an output: by default as the architecture's own template writes it."""
    # What follows the end, as in a padded batch, would be an output of its own, and replace the first.
    behind = "|".join(re.escape(token) for token in (pad, family.end_of_turn))
    close = rf"{re.escape(family.end_of_turn)}(?:\s|{behind})*"
    return {
        "start_anchor": family.header.replace("ROLE", "output"),
        # Empty fields without a default are left out.
        "defaults": {"role": "assistant", "content": ""},
        "fields": {"content": {"close_pattern": close, "content": "text", "content_args": {"strip": False}}},
    }


def own_template(tokenizer: "PreTrainedTokenizerBase") -> str | None:
    """Return the chat template that a model came with, before or after ``install``, or None."""
    templates = tokenizer.chat_template
    if not isinstance(templates, Mapping):
        templates = {"default": templates}
    own = templates.get("chat") or templates.get("default")
    return None if own is None or is_spectrum(own) else own


def default_template(tokenizer: "PreTrainedTokenizerBase") -> str:
    """Return the template that a tokenizer applies by default; empty if it has none."""
    templates = tokenizer.chat_template
    return (templates.get("default") if isinstance(templates, Mapping) else templates) or ""


def installed(tokenizer: "PreTrainedTokenizerBase") -> str:
    """Return the Spectrum template set on a tokenizer.

    Raises:
        UserError: If there is none.
    """
    template = default_template(tokenizer)
    if not is_spectrum(template):
        raise UserError(
            f"tokenizer {name_of(tokenizer)} has no Spectrum template: call templates.install on it"
        )
    return template


def family_of(tokenizer: "PreTrainedTokenizerBase") -> Family | None:
    """Return the family whose template is set on a tokenizer, or None if no family's is."""
    template = default_template(tokenizer)
    found = (family for family in families().values() if f"{MARK}'{family.name}'" in template)
    return next(found, None)


def shortest_turn(tokenizer: "PreTrainedTokenizerBase") -> int:
    """Return the number of tokens of the shortest possible turn, an empty one, by rendering our template."""

    def length(role: str, turns: int) -> int:
        messages = [{"role": role, "content": ""}] * turns
        encoded = tokenizer.apply_chat_template(
            messages, chat_template=installed(tokenizer), return_dict=True
        )
        return len(cast("BatchEncoding", encoded)["input_ids"])

    return min(length(role, 2) - length(role, 1) for role in get_args(Role))


def starts_with_bos(tokenizer: "PreTrainedTokenizerBase") -> bool:
    """Return whether the tokenizer itself starts a text with BOS; many name a BOS token but never add it."""
    return tokenizer.bos_token is not None and tokenizer("")["input_ids"][:1] == [tokenizer.bos_token_id]


def name_of(tokenizer: "PreTrainedTokenizerBase") -> str:
    """Return a tokenizer's name for a message."""
    return repr(tokenizer.name_or_path or type(tokenizer).__name__)


def is_spectrum(template: str) -> bool:
    """Return whether a template is a Spectrum template, of this version or another."""
    return MARK in template


def _detect(tokenizer: "PreTrainedTokenizerBase") -> Family:
    missing = {family.name: _missing(tokenizer, family) for family in families().values()}
    fitting = [family for family in families().values() if not missing[family.name]]
    if not fitting:
        lacks = "; ".join(f"{name}: {', '.join(tokens)}" for name, tokens in missing.items())
        raise UserError(
            f"no Spectrum template fits tokenizer {name_of(tokenizer)}; its vocabulary lacks, for {lacks}. "
            "Use another model, or add these as special tokens and resize the model's embeddings"
        )
    fitting = [family for family in fitting if family.end_of_turn == tokenizer.eos_token] or fitting
    # A family whose tokens another one has too is the more general one, wherever its row is.
    tokens = [set(family.control_tokens) for family in fitting]
    return next(one for one, own in zip(fitting, tokens, strict=True) if not any(own < t for t in tokens))


def _misfits(tokenizer: "PreTrainedTokenizerBase", family: Family, *, pad: str | None) -> Iterator[str]:
    yield from (f"its vocabulary lacks {token}" for token in _missing(tokenizer, family))
    if not tokenizer.is_fast:
        yield "it is a slow tokenizer, which cannot mark the tokens to train: load a fast one"
    if family.bos == "always" and not tokenizer.bos_token:
        yield "it has no bos_token, but every text starts with one: set tokenizer.bos_token"
    if pad is None:
        yield (
            f"it has no padding token other than {family.end_of_turn}: call "
            "tokenizer.add_special_tokens({'pad_token': '<pad>'}) and resize the model's embeddings"
        )


def _missing(tokenizer: "PreTrainedTokenizerBase", family: Family) -> list[str]:
    return [token for token in family.control_tokens if not _is_token(token, tokenizer=tokenizer)]


def _is_token(text: str, *, tokenizer: "PreTrainedTokenizerBase") -> bool:
    return tokenizer.tokenize(text) == [text]


def _pad_token(tokenizer: "PreTrainedTokenizerBase", family: Family) -> str | None:
    # If it were the end of turn, collators that mask labels by padding would mask every end of turn.
    own = [tokenizer.pad_token] if tokenizer.pad_token else []
    others = [token for token in PAD_TOKENS if _is_token(token, tokenizer=tokenizer)]
    return next((token for token in own + others if token not in family.control_tokens), None)


def layout_template(layout: Layout) -> str | None:
    """Return the template of a layout, or None for the template of the model's family."""
    return None if layout == "spectrum" else template_source(f"layouts/{layout}")


def check_layout(tokenizer: PreTrainedTokenizerBase, *, layout: Layout) -> None:
    """Check that the control tokens of a recipe's layout are in the vocabulary.

    Raises:
        UserError: If one is missing: it would be split into ordinary tokens.
    """
    tokens = set(re.findall(r"<\|\w+\|>", layout_template(layout) or ""))
    if missing := sorted(tokens - set(tokenizer.get_vocab())):
        raise UserError(
            f"layout: {layout} writes {', '.join(missing)}, which tokenizer {name_of(tokenizer)} lacks; "
            "remove layout, or train a model with ChatML's tokens, such as Qwen"
        )


def published(tokenizer: PreTrainedTokenizerBase, *, layout: Layout) -> PreTrainedTokenizerBase:
    """Return the tokenizer to save with a model, with the template and end-of-sequence token of its layout.

    Chat turns restore the model's own template; plain text has none.
    """
    if layout == "spectrum":
        return tokenizer
    saved = copy.deepcopy(tokenizer)
    saved.chat_template = own_template(tokenizer) if layout == "chat" else None
    saved.response_template = None
    if layout == "text":
        saved.eos_token = END_OF_TEXT
    return saved
