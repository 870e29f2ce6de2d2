"""Questions with known shares of answers, from a user's own table."""

from collections import Counter
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from spectrum_trl.errors import UserError, refuse
from spectrum_trl.evaluation.axis_tasks import Item, shares
from spectrum_trl.strict.json import strict_json
from spectrum_trl.suite.reading.encoding import UTF_8, reading_of
from spectrum_trl.suite.reading.tables import table_rows
from spectrum_trl.suite.reading.values import canonical, text

# Shares may be counts; their sum must stay finite.
LARGEST_SHARE = 1e15
# Most problems of rows in one message.
MOST_PROBLEMS = 3


class OwnDistributional(BaseModel):
    """A user's definition of questions with known shares of answers.

    Attributes:
        file: CSV, TSV, JSON, JSON Lines or parquet, beside the YAML file. Each row has ``candidates`` and
            ``shares`` (lists; in CSV as JSON) and the columns that the texts name. Shares may be counts.
        delimiter: Separator of the cells in CSV or TSV; None for a comma, or a tab in TSV.
        encoding: Encoding of the file.
        description: Text in which ``{column}`` stands for the row's value, or None.
        input: The question, a text like ``description``.
        group: Column of the group, or None.
        cluster: Column with a common value for rows that are not independent, or None.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    file: str = Field(min_length=1)
    delimiter: str | None = None
    encoding: str = UTF_8
    description: str | None = None
    input: str = Field(min_length=1)
    group: str | None = None
    cluster: str | None = None


def items(
    own: OwnDistributional,
    path: Path,
    columns: tuple[str, ...],
    data_dir: Path,
    *,
    seed: int,
    dropped: Counter[str],
) -> Iterator[Item]:
    """Yield the questions of a table, one for each row; for `DistributionalTask.build`.

    Args:
        own: The user's definition.
        path: The table.
        columns: The columns ``candidates`` and ``shares``, and those that the definition names.
        data_dir: Not used, nor is ``seed``.
        seed: See there.
        dropped: Receives the number of malformed rows.

    Raises:
        UserError: With the first problems of the rows.
    """
    problems: list[str] = []
    reading = reading_of(own.delimiter, own.encoding, web=False)
    for number, row in enumerate(table_rows(path, columns, dropped=dropped, reading=reading), start=1):
        try:
            yield _item(own, row, number)
        except UserError as error:
            problems += [f"{path}, row {number}: {problem}" for problem in error.problems]
    left = len(problems) - MOST_PROBLEMS
    refuse([*problems[:MOST_PROBLEMS], *([f"… and {left} more of this kind"] if left > 0 else [])])


def _item(own: OwnDistributional, row: Mapping[str, Any], number: int) -> Item:
    candidates, numbers = _list(row["candidates"]), _list(row["shares"])
    problems = [*_candidate_problems(candidates), *_share_problems(numbers)]
    if not problems and len(candidates or ()) != len(numbers or ()):
        problems.append(f"{len(candidates or ())} candidates, but {len(numbers or ())} shares")
    values = {name: text(value) for name, value in row.items()}
    asked = own.input.format_map(values).strip()
    if not asked:
        problems.append("the input is blank")
    empty = [name for name in (own.group, own.cluster) if name is not None and not values[name]]
    refuse([*problems, *(f"column {name!r} is empty" for name in empty)])
    described = own.description.format_map(values).strip() if own.description else ""
    return Item(
        description=described or None,
        input=asked,
        candidates=tuple(map(text, candidates or ())),
        target=shares([float(share) for share in numbers or ()]),
        group=canonical(values[own.group]) if own.group else None,
        cluster=canonical(values[own.cluster]) if own.cluster else str(number),
    )


def _list(value: Any) -> list[Any] | None:
    try:
        found = strict_json(value) if isinstance(value, str) else value
    except ValueError:
        return None
    return found if isinstance(found, list) else None


def _candidate_problems(values: list[Any] | None) -> Iterator[str]:
    if values is None:
        yield "candidates: expected a list (in CSV, a JSON array)"
    elif any(isinstance(one, list | dict | bool) or not text(one) for one in values):
        yield "candidates: expected non-blank texts"
    elif len(set(map(text, values))) < max(2, len(values)):
        yield "candidates: expected two or more different texts"


def _share_problems(values: list[Any] | None) -> Iterator[str]:
    if values is None:
        yield "shares: expected a list (in CSV, a JSON array)"
    elif not all(_is_share(one) for one in values):
        yield f"shares: expected non-negative numbers up to {LARGEST_SHARE:g}"
    elif not any(values):
        yield "shares: expected at least one number above 0"


def _is_share(value: Any) -> bool:
    is_number = isinstance(value, int | float | Decimal) and not isinstance(value, bool)
    return is_number and 0 <= value <= LARGEST_SHARE
