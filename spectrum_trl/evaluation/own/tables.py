"""Convert rows of a user's own tables to questions with shares."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from spectrum_trl.errors import refuse
from spectrum_trl.evaluation.distributional_tasks.distributional_task import Item, shares
from spectrum_trl.strict.json import strict_json
from spectrum_trl.suite.reading.values import canonical, text

# Shares may be counts; their sum must stay finite.
LARGEST_SHARE = 1e15


def item_of(
    row: Mapping[str, Any],
    number: int,
    *,
    description: str | None,
    input: str,
    group: str | None,
    cluster: str | None,
) -> Item:
    """Convert a row to a question with shares.

    Args:
        row: A row with the columns ``candidates`` and ``shares``, and all columns that the texts name.
        number: Number of the row; the name of its cluster if ``cluster`` is None.
        description: Template of the description, or None.
        input: Template of the question.
        group: Column of the group, or None.
        cluster: Column of the cluster, or None.

    Raises:
        UserError: With all problems of the row.
    """
    problems: list[str] = []
    candidates = _texts(row["candidates"], problems)
    numbers = _numbers(row["shares"], problems)
    if not problems and len(candidates) != len(numbers):
        problems.append(f"{len(candidates)} candidates, but {len(numbers)} shares")
    values = {name: text(value) for name, value in row.items()}
    asked = input.format_map(values).strip()
    if not asked:
        problems.append("the input is blank")
    for name in (group, cluster):
        if name is not None and not values[name]:
            problems.append(f"column {name!r} is empty")
    refuse(problems)
    described = description.format_map(values).strip() if description else ""
    return Item(
        description=described or None,
        input=asked,
        candidates=candidates,
        target=shares(numbers),
        group=canonical(values[group]) if group else None,
        cluster=canonical(values[cluster]) if cluster else str(number),
    )


def _list(value: Any, name: str, problems: list[str]) -> list[Any]:
    if isinstance(value, str):
        try:
            value = strict_json(value)
        except ValueError:
            value = None
    if not isinstance(value, list):
        problems.append(f"{name}: expected a list (in CSV, a JSON array)")
        return []
    return value


def _texts(value: Any, problems: list[str]) -> tuple[str, ...]:
    before = len(problems)
    values = _list(value, "candidates", problems)
    found = tuple(text(one) for one in values)
    if len(problems) > before:
        return ()
    if any(isinstance(one, list | dict | bool) or not text(one) for one in values):
        problems.append("candidates: expected non-blank texts")
    elif len(found) < 2 or len(set(found)) < len(found):
        problems.append("candidates: expected two or more different texts")
    return found


def _numbers(value: Any, problems: list[str]) -> list[float]:
    before = len(problems)
    values = _list(value, "shares", problems)
    if len(problems) > before:
        return []
    if not all(_is_share(one) for one in values):
        problems.append(f"shares: expected non-negative numbers up to {LARGEST_SHARE:g}")
    elif not any(values):
        problems.append("shares: expected at least one number above 0")
    return [float(one) for one in values] if len(problems) == before else []


def _is_share(value: Any) -> bool:
    is_number = isinstance(value, int | float | Decimal) and not isinstance(value, bool)
    return is_number and 0 <= value <= LARGEST_SHARE
