"""Measure how well a judge agrees with people, by its verdicts on labelled texts.

The package includes a small set of invented texts of four kinds; the user's own texts are more informative.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from spectrum_trl.errors import UserError
from spectrum_trl.evaluation.judging.judge import Judge, JudgeSettings
from spectrum_trl.suite.reading.files import UTF_8, reading_of
from spectrum_trl.suite.reading.tables import jsonl_rows

# Most problems of rows in one message.
SHOWN = 3
LABELLED = Path(__file__).with_name("labelled.jsonl")


class Labelled(NamedTuple):
    """A text and its label.

    Attributes:
        description: What the text should be.
        text: The text.
        valid: Whether it matches.
    """

    description: str
    text: str
    valid: bool


class Agreement(NamedTuple):
    """A judge's agreement with the labels of texts.

    Attributes:
        n: Number of texts with a verdict.
        accuracy: Share of correct verdicts, in [0, 1]; 0 if there are none.
        wrongly_valid: Number of invalid texts judged valid.
        wrongly_invalid: Number of valid texts judged invalid.
        unjudged: Number of texts without a verdict.
    """

    n: int
    accuracy: float
    wrongly_valid: int
    wrongly_invalid: int
    unjudged: int


def read_labelled(file: Path | None = None) -> list[Labelled]:
    """Read texts with labels.

    Args:
        file: JSON Lines with the keys of `Labelled`; None for the included set: ten texts of each of four
            kinds, half of them valid.

    Raises:
        UserError: If it cannot be read, or with the first rows that are not labelled texts.
    """
    file = file or LABELLED
    broken: Counter[str] = Counter()
    reading = reading_of(None, UTF_8, web=False)
    rows = list(jsonl_rows(file, Labelled._fields, dropped=broken, reading=reading))
    problems = [f"{file}: {reason}" for reason in broken] + [
        f"{file}, row {number}: expected texts in description and text, and true or false in valid"
        for number, row in enumerate(rows, start=1)
        if not (isinstance(row["description"], str) and row["description"].strip())
        or not (isinstance(row["text"], str) and isinstance(row["valid"], bool))
    ]
    if problems or not rows:
        raise UserError(*problems[:SHOWN] or [f"{file} holds no JSON objects: correct it"])
    return [Labelled(**row) for row in rows]


def agreement(settings: JudgeSettings, texts: Sequence[Labelled], *, folder: Path) -> Agreement:
    """Compare a judge with labels.

    Args:
        settings: The judge; its criterion is ignored.
        texts: The labelled texts.
        folder: Folder where an endpoint's verdicts are cached.

    Raises:
        UserError: If the judge cannot be used.
    """
    settings = settings.model_copy(update={"criterion": None})
    pairs: list[tuple[bool, bool | None]] = []
    for description in dict.fromkeys(one.description for one in texts):
        group = [one for one in texts if one.description == description]
        judge = Judge(settings, folder=folder, description=description)
        verdicts = judge.judge([one.text for one in group])
        pairs += zip((one.valid for one in group), verdicts, strict=True)
    judged = [(label, verdict) for label, verdict in pairs if verdict is not None]
    right = sum(label == verdict for label, verdict in judged)
    return Agreement(
        n=len(judged),
        accuracy=right / len(judged) if judged else 0.0,
        wrongly_valid=sum(verdict and not label for label, verdict in judged),
        wrongly_invalid=sum(label and not verdict for label, verdict in judged),
        unjudged=len(pairs) - len(judged),
    )
