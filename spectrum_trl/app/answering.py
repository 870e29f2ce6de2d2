"""Ask the models that a page shows."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from spectrum_trl.app.draft import Draft
from spectrum_trl.ask.model import MAX_NEW_TOKENS, SpectrumModel
from spectrum_trl.ask.questions import conversation
from spectrum_trl.ask.results import Probabilities, Sample
from spectrum_trl.errors import UserError
from spectrum_trl.serve.stopping import GivenUp

# Steps of a path: how many of the last examples are taken away.
LONGEST_PATH = 20


class Shown(NamedTuple):
    """A model on the page.

    Attributes:
        name: As it was named on the command line.
        model: The model.
        settings: Keywords of `SpectrumModel.from_pretrained` that differ from its defaults.
        max_new_tokens: Maximum number of tokens of a sample.
    """

    name: str
    model: SpectrumModel
    settings: Mapping[str, Any] = {}
    max_new_tokens: int = MAX_NEW_TOKENS


class Step(NamedTuple):
    """Probabilities after some of the examples.

    Attributes:
        examples: Their number.
        found: The probabilities.
    """

    examples: int
    found: Probabilities


class Found(NamedTuple):
    """The answer of a model.

    Attributes:
        name: The model's name.
        path: Probabilities after 0, 1, … examples, the last after all; empty if no answers were given.
        samples: Samples after all examples; empty if none were asked for.
    """

    name: str
    path: list[Step]
    samples: list[Sample]


@dataclass
class Turn:
    """Whose question is answered; one at a time.

    Attributes:
        visitor: The visitor's session, or None.
        is_over: Whether the server ends.
    """

    visitor: str | None = None
    is_over: bool = False

    def leave(self, visitor: str | None) -> None:
        """Give up what a visitor has asked."""
        if visitor == self.visitor:
            self.visitor = None

    def given_up(self) -> bool:
        """Return whether nobody waits for what is computed."""
        return self.is_over or self.visitor is None

    def check(self) -> None:
        """Raise `GivenUp` if nobody waits for what is computed."""
        if self.given_up():
            raise GivenUp


def answer(shown: Shown, draft: Draft, *, draws: bool, between: Callable[[], object] = lambda: None) -> Found:
    """Ask a model.

    Args:
        shown: The model.
        draft: The question, with at most 20 examples in the path.
        draws: Whether to draw samples too.
        between: Called every few texts while they are tokenized; what it raises gives up all.

    Raises:
        UserError: If the question or an answer cannot be asked.
    """
    if draft.answers or draws:
        _check(shown.model, draft)
    numbers = steps_of(draft, shown.model) if draft.answers else []
    questions = [draft.question(examples=n) for n in numbers]
    probabilities = shown.model.probabilities_of([draft.answers] * len(numbers), questions, between=between)
    drawn: Sequence[Sample] = ()
    if draws:
        drawn = shown.model.sample(
            draft.samples, seed=draft.seed, max_new_tokens=shown.max_new_tokens, **draft.question()
        )
    return Found(shown.name, [Step(*one) for one in zip(numbers, probabilities, strict=True)], list(drawn))


def _check(model: SpectrumModel, draft: Draft) -> None:
    """Check the whole question and its longest answer, before all steps of the path are tokenized."""
    try:
        model.check_questions([draft.question()])
    except UserError as error:
        shown = (problem.removeprefix("questions[0]: question: ") for problem in error.problems)
        raise UserError(*shown) from error
    context = model.prompts.prompt(conversation(draft.question(), tokenizer=model.tokenizer))
    longest = max(map(model.prompts.answer, draft.answers), key=len, default="")
    ids = model.prompts.tokenizer(context + longest, add_special_tokens=False)["input_ids"]
    limit = getattr(model.model.config.get_text_config(), "max_position_embeddings", None)
    if limit is not None and len(ids) - 1 > limit:
        raise UserError(
            f"the question and its longest answer have {len(ids)} tokens, but the context is {limit}: "
            "shorten them, or remove examples"
        )


def steps_of(draft: Draft, model: SpectrumModel) -> list[int]:
    """Return the numbers of examples of a path, the last of which is all."""
    # A chat without a message is no question.
    first = not (draft.description or draft.input) and model.prompts.fmt == "chat" and bool(draft.examples)
    return list(range(max(int(first), len(draft.examples) - LONGEST_PATH), len(draft.examples) + 1))
