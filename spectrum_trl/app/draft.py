"""The input of a visitor, and links that hold it."""

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Annotated, Any
from urllib.parse import urlencode

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from spectrum_trl.ask.questions import Question
from spectrum_trl.errors import UserError
from spectrum_trl.strict.json import strict_json
from spectrum_trl.strict.schema import Problem, problems_of, shown

MOST_CHARACTERS, MOST_EXAMPLES, MOST_ANSWERS, MOST_SAMPLES = 20_000, 200, 100, 128
# Of all texts of a question and its answers together.
MOST_TOGETHER = 100_000
# Browsers, mail programs and proxies cut longer links, or refuse them.
LONGEST_LINK = 8000
KEY = "ask"
Text = Annotated[str, Field(max_length=MOST_CHARACTERS)]
Filled = Annotated[Text, Field(min_length=1)]


def _line(text: str) -> str:
    # Answers stand one a line on the page.
    if not text.strip() or set(text) & {"\r", "\n"}:
        raise ValueError(f"expected a text of one line that is not blank, but it is {shown(text)}")
    return text


Answer = Annotated[Text, AfterValidator(_line)]


class Draft(BaseModel):
    """A question with its answers, as a visitor has entered it.

    Attributes:
        description: What is sampled; empty if there is none.
        examples: Earlier outputs, or pairs of an input and its output.
        input: What the next output is conditioned on; empty if there is none.
        answers: Answers whose probabilities are shown.
        samples: Number of samples, in [1, 128].
        seed: Of the samples.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    description: Text = ""
    examples: list[Filled | Annotated[list[Filled], Field(min_length=2, max_length=2)]] = Field(
        default=[], max_length=MOST_EXAMPLES
    )
    input: Text = ""
    answers: list[Answer] = Field(default=[], max_length=MOST_ANSWERS)
    samples: int = Field(default=16, ge=1, le=MOST_SAMPLES)
    seed: int = Field(default=0, ge=0, lt=2**53)

    def question(self, *, examples: int | None = None) -> Question:
        """Return the question without its empty parts.

        Args:
            examples: Number of examples that come first; by default all.
        """
        parts = {**self.model_dump(include={"description", "input"}), "examples": self.examples[:examples]}
        return Question(**{name: part for name, part in parts.items() if part})  # type: ignore[typeddict-item]


# What the page shows first: an urn, so that a few examples move the bars.
FIRST = Draft(
    description="In the urn: red, blue and green balls. One is drawn, and put back.",
    examples=["red", "red", "blue"],
    answers=["red", "blue", "green"],
)


def draft_of(parts: Mapping[str, Any]) -> Draft:
    """Check what was entered.

    Args:
        parts: The fields of a `Draft`; missing ones are empty.

    Raises:
        UserError: With every problem at once, ten at most.
    """
    given = dict(parts)
    try:
        draft = Draft.model_validate(given)
    except ValidationError as error:
        raise UserError(*map(_told, problems_of(error, given, kind=Draft, most=10))) from None
    examples = "".join(chain.from_iterable(draft.examples))
    together = sum(map(len, (draft.description, draft.input, examples, *draft.answers)))
    if together > MOST_TOGETHER:
        raise UserError(
            f"all texts together have {together:,} characters, but at most {MOST_TOGETHER:,} are accepted: "
            "shorten them, or remove some"
        )
    return draft


def read_link(query: Mapping[str, str]) -> Draft | None:
    """Return what a link holds, or None if it holds nothing.

    Args:
        query: The parameters of the page's address; others than ours are ignored.

    Raises:
        UserError: With every problem at once.
    """
    if KEY not in query:
        return None
    try:
        found = strict_json(query[KEY])
    except ValueError as error:
        raise UserError(f"this link is damaged: {error}; ask for it again") from error
    if not isinstance(found, dict):
        raise UserError("this link is damaged: expected a JSON object; ask for it again")
    return draft_of(found)


def link(draft: Draft) -> str | None:
    """Return the query of a link to a draft, from ``?`` on, or None if it would be too long."""
    text = "?" + urlencode({KEY: draft.model_dump_json(exclude_defaults=True)})
    return text if len(text) <= LONGEST_LINK else None


def examples_of(table: Sequence[Sequence[Any]]) -> list[str | list[str]]:
    """Return the examples in a table; rows without any text are left out.

    Args:
        table: Rows of an input, which may be empty, and an output.

    Raises:
        UserError: If a row has an input without an output, or another number of cells.
    """
    if not isinstance(table, Sequence):
        raise UserError("examples: expected a table: load the page again")
    found: list[str | list[str]] = []
    for number, row in enumerate(table, start=1):
        if len(row) != 2:
            raise UserError("examples: the table needs two columns, input and output: load the page again")
        input, output = ("" if cell is None else str(cell) for cell in row)
        if input and not output:
            raise UserError(f"example {number} has an input but no output: enter one, or remove the row")
        if output:
            found.append([input, output] if input else output)
    return found


def table_of(draft: Draft) -> list[list[str]]:
    """Return a draft's examples as rows of an input and an output."""
    return [["", one] if isinstance(one, str) else list(one) for one in draft.examples] or [["", ""]]


def answers_of(text: str) -> list[str]:
    """Return the answers that stand one a line; empty lines are left out.

    Raises:
        UserError: If it is no text.
    """
    if not isinstance(text, str):
        raise UserError("answers: expected a text: load the page again")
    return [line for line in text.replace("\r", "").split("\n") if line.strip()]


def _told(problem: Problem) -> str:
    """Return a problem with its place, counted from 1."""
    place = (str(part + 1 if isinstance(part, int) else part)[:80] for part in problem.path)
    return f"{'.'.join(place)}: {problem.text}"
