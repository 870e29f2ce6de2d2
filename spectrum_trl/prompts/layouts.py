"""The other layouts that conversations can be trained in: plain text, and the turns of a chat model."""

import copy
import re

from transformers import PreTrainedTokenizerBase

from spectrum_trl.errors import UserError
from spectrum_trl.prompts.families import Layout, template_source
from spectrum_trl.prompts.templates import name_of, own_template

# What `layouts/text.jinja` ends a document with.
END_OF_TEXT = "<|endoftext|>"


def layout_template(layout: Layout) -> str | None:
    """Return the template that writes conversations in a layout; None for that of the model's family."""
    return None if layout == "spectrum" else template_source(f"layouts/{layout}")


def check_layout(tokenizer: PreTrainedTokenizerBase, *, layout: Layout) -> None:
    """Check that what a layout writes around texts are tokens of the vocabulary.

    Args:
        tokenizer: The model's.
        layout: The recipe's.

    Raises:
        UserError: If one is not: then it would be trained as letters.
    """
    if missing := sorted(_control_tokens(layout) - set(tokenizer.get_vocab())):
        raise UserError(
            f"layout: {layout} writes {', '.join(missing)}, which tokenizer {name_of(tokenizer)} lacks; "
            "remove layout, or train a model with ChatML's tokens, such as Qwen"
        )


def published(tokenizer: PreTrainedTokenizerBase, *, layout: Layout) -> PreTrainedTokenizerBase:
    """Return the tokenizer to save beside a model, which writes and ends texts as the model was trained to.

    Args:
        tokenizer: With the Spectrum template.
        layout: The recipe's. Of plain text nothing is left of the Spectrum template, nor is of chat turns,
            whose template the tokenizer has beside it.
    """
    if layout == "spectrum":
        return tokenizer
    saved = copy.deepcopy(tokenizer)
    saved.chat_template = own_template(tokenizer) if layout == "chat" else None
    if layout == "text":
        saved.eos_token = END_OF_TEXT
    return saved


def _control_tokens(layout: Layout) -> set[str]:
    return set(re.findall(r"<\|\w+\|>", layout_template(layout) or ""))
