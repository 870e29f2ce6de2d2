"""Conversations as pairs of texts: the context, and the output to score or generate.

In the formats ``spectrum`` and ``colon`` the texts come from the templates used in training, so their token
ids are the same too.
"""

import copy
from collections.abc import Sequence
from typing import Literal, NamedTuple

from transformers import PreTrainedTokenizerBase

from spectrum_trl.errors import UserError
from spectrum_trl.prompts.families import template_source
from spectrum_trl.prompts.formats import Format, render
from spectrum_trl.prompts.rendering import Outlines
from spectrum_trl.prompts.templates import family_of, install, own_template, starts_with_bos
from spectrum_trl.suite.sequences.builders import description_message, pair
from spectrum_trl.suite.task import Message

# The last characters of a context, enough for the header of an output in every template.
TAIL = 64
# Text that plain-text templates write before an output, as part of it.
PlainTemplate = Literal["colon", "layouts/record"]
BEFORE_PLAIN: dict[PlainTemplate, str] = {"colon": " ", "layouts/record": ""}
# Placeholder for an output: a private-use character that no template contains.
_OUTPUT = "\ue000"


class Scored(NamedTuple):
    """The text before an output, with the header of its turn, and the output with its turn's end."""

    context: str
    output: str


def default_format(tokenizer: PreTrainedTokenizerBase) -> Format:
    """Return a model's default format: ``spectrum`` after Spectrum tuning, else ``chat`` or ``colon``."""
    if family_of(tokenizer):
        return "spectrum"
    return "chat" if own_template(tokenizer) else "colon"


class Prompts:
    """Writes conversations in one format of one tokenizer."""

    def __init__(
        self, tokenizer: PreTrainedTokenizerBase, *, fmt: Format, plain: PlainTemplate = "colon"
    ) -> None:
        """Choose the template.

        Args:
            tokenizer: The model's tokenizer; not changed: if it has no Spectrum template, format ``spectrum``
                installs one on a copy.
            fmt: The format.
            plain: Plain-text template for the format ``colon``.

        Raises:
            UserError: If the tokenizer does not support the format.
        """
        self.tokenizer, self.fmt, self._plain = tokenizer, fmt, plain
        self._leads: dict[str, int] = {}
        self._outlines = None
        if fmt == "spectrum":
            if family_of(tokenizer) is None:
                # A copy, because others choose the default format by this tokenizer's template.
                self.tokenizer = copy.deepcopy(tokenizer)
                install(self.tokenizer)
            self._outlines = Outlines(self.tokenizer, train_on="outputs")
        elif fmt == "colon":
            self._outlines = Outlines(
                tokenizer,
                template=template_source(plain),
                train_on="outputs",
                add_bos_token=starts_with_bos(tokenizer),
            )
        elif own_template(tokenizer) is None:
            raise UserError(
                f"format: {fmt} needs a chat template, and the model has none; use format=colon or spectrum"
            )
        self.before, self.end = self._around()

    def prompt(self, messages: Sequence[Message]) -> str:
        """Return the text before the next output, including the header of its turn."""
        if self._outlines is None:
            return render(messages, tokenizer=self.tokenizer, fmt=self.fmt, add_generation_prompt=True)
        return self._outputs([*messages, {"role": "output", "content": ""}])[-1].context

    def split(self, context: str) -> tuple[str, str]:
        """Split off the end of a context that a text-based harness would tokenize differently from the whole.

        lm-eval tokenizes the context both alone and together with the continuation, and moves white space at
        the end of the context into the continuation. The results agree only if the context ends at a token
        boundary of the whole, with a token that is not white space: ``output`` and the line break of a header
        may be one token.

        Returns:
            A context that ends at such a boundary, and the rest, which may be empty.
        """
        tail = context[-TAIL:]
        if tail not in self._leads:
            self._leads[tail] = self._lead(tail)
        lead = self._leads[tail]
        return context[: len(context) - lead], context[len(context) - lead :]

    def apart(self, context: str, *texts: str) -> list[tuple[str, str]]:
        """Return pairs of texts whose log-probabilities give those of ``texts`` after a context.

        If the end of the context has to be scored with each text, one more pair at the end scores it alone,
        to be subtracted.
        """
        bare, lead = self.split(context)
        return [(bare, lead + text) for text in (*texts, *([""] if lead else []))]

    def _lead(self, tail: str) -> int:
        """Return the number of characters to split off the end of a text."""
        if tail == tail.rstrip():
            return 0
        whole = self.tokenizer(tail, add_special_tokens=False)["input_ids"]
        for end in range(len(tail.rstrip()), 0, -1):
            bare = tail[:end]
            ids = self.tokenizer(bare, add_special_tokens=False)["input_ids"]
            if bare == bare.rstrip() and whole[: len(ids)] == ids:
                return len(tail) - end
        raise UserError(f"format: {self.fmt} cannot be scored: no part of its header {tail!r} is a token")

    def answer(self, text: str) -> str:
        """Return an output as the format writes it, including the end of its turn."""
        return f"{self.before}{text.strip() if self.fmt == 'colon' else text}{self.end}"

    def outputs(self, messages: Sequence[Message]) -> list[Scored]:
        """Return every output of a conversation with everything before it."""
        if self._outlines is not None:
            return self._outputs(messages)
        return self._of_whole_chat(messages) or [
            Scored(
                render(messages[:n], tokenizer=self.tokenizer, fmt=self.fmt, add_generation_prompt=True)
                if n
                else self._empty(),
                self.answer(message["content"]),
            )
            for n, message in enumerate(messages)
            if message["role"] == "output"
        ]

    def _outputs(self, messages: Sequence[Message]) -> list[Scored]:
        assert self._outlines is not None
        if self.fmt == "colon":
            messages = [
                {**m, "content": m["content"].strip()} if m["role"] == "output" else m for m in messages
            ]
        filled = self._outlines.fill(messages)
        found = []
        for message, end in zip(messages, filled.ends, strict=True):
            if message["role"] == "output":
                start = end - len(message["content"]) - len(self.before)
                found.append(Scored(filled.text[:start], filled.text[start:end] + self.end))
        return found

    def _of_whole_chat(self, messages: Sequence[Message]) -> list[Scored]:
        """Return every output from one rendering, or an empty list if turns depend on later ones.

        Rendering a chat again for each output takes time quadratic in the number of outputs.
        """
        numbers = [n for n, message in enumerate(messages) if message["role"] == "output"]
        if not numbers or not numbers[0]:
            return []
        blank = [{**m, "content": _OUTPUT} if m["role"] == "output" else m for m in messages]
        pieces = render(blank, tokenizer=self.tokenizer, fmt=self.fmt).split(_OUTPUT)
        found, context = [], ""
        for n, piece in zip(numbers, pieces, strict=False):
            context += piece
            found.append(Scored(context, self.answer(messages[n]["content"])))
            context += messages[n]["content"]
        checked = {numbers[0]: found[0], numbers[-1]: found[-1]}
        for n, one in checked.items():
            alone = render(messages[:n], tokenizer=self.tokenizer, fmt=self.fmt, add_generation_prompt=True)
            if len(pieces) != len(numbers) + 1 or alone != one.context:
                return []
        return found

    def _empty(self) -> str:
        # For a first output without description or input: chat templates need something to answer.
        asked: list[Message] = [{"role": "input", "content": "Generate."}]
        return render(asked, tokenizer=self.tokenizer, fmt=self.fmt, add_generation_prompt=True)

    def _around(self) -> tuple[str, str]:
        """Return the text that the format writes before an output, and after it up to the end of the turn."""
        if self.fmt == "spectrum":
            family = family_of(self.tokenizer)
            assert family is not None
            return "", family.end_of_turn
        if self.fmt == "colon":
            return BEFORE_PLAIN[self._plain], "\n\n"
        # Without a description, the output would become an example in the system text.
        messages = [description_message("?"), *pair("?", _OUTPUT)]
        text = render(messages, tokenizer=self.tokenizer, fmt=self.fmt)
        tail = text.rpartition(_OUTPUT)[2].strip()
        if not tail:
            raise UserError(
                f"format: {self.fmt} cannot be scored because the model's chat template does not end turns; "
                "use format=colon"
            )
        return "", tail
