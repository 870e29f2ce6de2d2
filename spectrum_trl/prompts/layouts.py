"""Training layouts other than Spectrum turns: plain text, and the turns of a chat model."""

import copy
import re

from transformers import PreTrainedTokenizerBase

from spectrum_trl.errors import UserError
from spectrum_trl.prompts.families import Layout, template_source
from spectrum_trl.prompts.templates import name_of, own_template

# The token that ends a document in `layouts/text.jinja`.
END_OF_TEXT = "<|endoftext|>"


def layout_template(layout: Layout) -> str | None:
    """Return the template of a layout, or None for the template of the model's family."""
    return None if layout == "spectrum" else template_source(f"layouts/{layout}")


def check_layout(tokenizer: PreTrainedTokenizerBase, *, layout: Layout) -> None:
    """Check that the control tokens of a layout are in the vocabulary.

    Args:
        tokenizer: The model's tokenizer.
        layout: The recipe's layout.

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

    Args:
        tokenizer: With the Spectrum template.
        layout: The recipe's layout. Chat turns restore the model's own template; plain text has none.
    """
    if layout == "spectrum":
        return tokenizer
    saved = copy.deepcopy(tokenizer)
    saved.chat_template = own_template(tokenizer) if layout == "chat" else None
    saved.response_template = None
    if layout == "text":
        saved.eos_token = END_OF_TEXT
    return saved
