"""Render conversations with the template, running it only once per order of roles.

The output of a Spectrum template depends on roles alone: it copies every content unchanged, and the text
around contents and the turns that carry loss follow from the roles. Running it takes longer than tokenizing,
and most conversations of a task have the same roles in the same order.
"""

from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate
from typing import Any, NamedTuple, cast

from transformers import PreTrainedTokenizerBase
from transformers.utils.chat_template_utils import render_jinja_template

from spectrum_trl.suite.task import Message

# Placeholder for a content: a private-use character that no template contains.
_CONTENT = "\ue000"


@lru_cache(maxsize=16)
def header_of_outputs(tokenizer: PreTrainedTokenizerBase, template: str) -> str:
    """Return the text that a Spectrum template writes before the content of a sequence's first output."""
    filled = Outlines(tokenizer, template=template).fill([Message(role="output", content="")])
    return filled.text[: filled.ends[0]]


class Filled(NamedTuple):
    """The text of a conversation.

    Attributes:
        text: The rendered text.
        trained: Start and end, in characters, of each part that carries loss.
        ends: Position where each content ends and the end of its turn begins.
    """

    text: str
    trained: list[tuple[int, int]]
    ends: list[int]


class _Outline(NamedTuple):
    """The text of a template around contents.

    Attributes:
        pieces: Text before, between and after the contents.
        trained: The parts that carry loss; each bound is the number of contents before it, and the number of
            template characters before it.
    """

    pieces: list[str]
    trained: list[tuple[tuple[int, int], tuple[int, int]]]


class Outlines:
    """Renders conversations, caching the template's text for each order of roles."""

    def __init__(
        self, tokenizer: PreTrainedTokenizerBase, *, template: str | None = None, **variables: Any
    ) -> None:
        """Choose the template.

        Args:
            tokenizer: With the Spectrum template installed.
            template: Another Spectrum template to use instead of the installed one.
            **variables: Variables for the template, such as ``train_on``.
        """
        self._tokenizer, self._variables = tokenizer, variables
        self._template = template or tokenizer.get_chat_template()
        self._known: dict[tuple[str, ...], _Outline] = {}

    def fill(self, conversation: Sequence[Message]) -> Filled:
        """Return the text of a conversation and the parts of it that carry loss."""
        roles = tuple(message["role"] for message in conversation)
        outline = self._known.get(roles)
        if outline is None:
            outline = self._known[roles] = self._outline(roles)
        contents = [message["content"] for message in conversation]
        before = list(accumulate(map(len, contents), initial=0))
        written = list(accumulate(map(len, outline.pieces)))
        return Filled(
            text="".join(part for pair in zip(outline.pieces, [*contents, ""], strict=True) for part in pair),
            trained=[(before[i] + start, before[j] + end) for (i, start), (j, end) in outline.trained],
            ends=[written[i] + before[i + 1] for i in range(len(contents))],
        )

    def _outline(self, roles: tuple[str, ...]) -> _Outline:
        rendered: Any = render_jinja_template(
            conversations=[[{"role": role, "content": _CONTENT} for role in roles]],
            chat_template=self._template,
            return_assistant_tokens_mask=True,
            **self._variables,
            **cast(dict[str, Any], self._tokenizer.special_tokens_map),
        )
        # Annotated as text alone, but with masks the bounds of the trained parts are returned too.
        (text,), (bounds,) = rendered
        pieces = text.split(_CONTENT)
        if len(pieces) != len(roles) + 1:
            raise RuntimeError("the template does not write each content once")

        def bound(position: int) -> tuple[int, int]:
            contents = text.count(_CONTENT, 0, position)
            return contents, position - contents

        return _Outline(pieces, [(bound(start), bound(end)) for start, end in bounds])
