"""A user's own evaluation: the key ``spectrum`` of one YAML file becomes a task like ours.

task: cheeses
class: !function spectrum_trl.evaluation.diversity.Diversity
spectrum:
description: A kind of cheese
examples: [Brie, Gouda]
validator: {file: cheeses.txt}
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from spectrum_trl.errors import UserError, nearest
from spectrum_trl.evaluation.alignment.task import AlignmentTask, Item
from spectrum_trl.evaluation.generation.task import GenerationTask
from spectrum_trl.evaluation.generation.validators import Validator, build
from spectrum_trl.recipe.strict_json import strict_json
from spectrum_trl.suite.builders import Built, grouped, text
from spectrum_trl.suite.tables import csv_rows
from spectrum_trl.suite.task import Task

OWN = "the user's own"
Parsed = TypeVar("Parsed", bound=BaseModel)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class OwnGeneration(_Strict):
    """What a user says about a task of diversity and validity.

    Attributes:
        description: What is to be generated.
        examples: Samples that a prompt shows; may be empty.
        validator: How an answer is checked.
        max_new_tokens: Longest answer.
    """

    description: str = Field(min_length=1)
    examples: list[str] = []
    validator: Validator
    max_new_tokens: int = Field(default=32, ge=1)


class OwnAlignment(_Strict):
    """What a user says about questions with known shares of answers.

    Attributes:
        file: JSON Lines or CSV, beside the YAML file. Each row has ``candidates`` and ``shares`` (lists; in
            CSV as JSON) and the columns that the texts name.
        description: Text in which ``{column}`` stands for the row's value, or None.
        input: The same, for the question.
        group: Column of the group, or None.
        cluster: Column that names rows which are not independent, or None.
    """

    file: str
    description: str | None = None
    input: str = Field(min_length=1)
    group: str | None = None
    cluster: str | None = None


class OwnSequences(_Strict):
    """What a user says about a table of answers, for steerability.

    Attributes:
        file: CSV or JSON Lines, beside the YAML file.
        group_by: Column of the individual, or of whatever a sequence is made of.
        output: Column of the answer.
        input: Column of what the answer is to, or None.
        descriptions: Texts in which ``{column}`` stands for the group's first row.
        description_probability: Chance that a sequence keeps its description.
    """

    file: str
    group_by: str
    output: str
    input: str | None = None
    descriptions: list[str] = Field(min_length=1)
    description_probability: float = Field(default=1.0, ge=0, le=1)


def own_generation(own: Mapping[str, Any], *, file: str, name: str) -> GenerationTask:
    """Return a user's own task of diversity and validity.

    Args:
        own: The key ``spectrum`` of the YAML file.
        file: The YAML file; relative paths are beside it.
        name: Of the task.

    Raises:
        UserError: With everything that is wrong.
    """
    parsed = _parse(OwnGeneration, own, file=file)
    valid = build(parsed.validator, folder=Path(file).parent)
    if wrong := [example for example in parsed.examples if not valid(example)]:
        raise UserError(f"{file}: spectrum.examples: the validator refuses {', '.join(map(repr, wrong))}")
    return GenerationTask(
        name=name,
        description=parsed.description,
        examples=tuple(parsed.examples),
        validator=lambda _: valid,
        universe=parsed.validator.universe(folder=Path(file).parent),
        max_new_tokens=parsed.max_new_tokens,
        source=OWN,
    )


def own_alignment(own: Mapping[str, Any], *, file: str) -> AlignmentTask:
    """Return a user's own questions with known shares; arguments and errors as for `own_generation`."""
    parsed = _parse(OwnAlignment, own, file=file)
    return AlignmentTask(name=OWN, source=OWN, build=partial(_items, parsed, Path(file).parent))


def own_sequences(own: Mapping[str, Any], *, file: str, name: str) -> Task:
    """Return a user's own table of answers as a task; arguments and errors as for `own_generation`."""
    parsed = _parse(OwnSequences, own, file=file)
    return Task(
        name=name,
        source=OWN,
        kind="individual",
        split="test",
        build=partial(_sequences, parsed, Path(file).parent),
        description_probability=parsed.description_probability,
    )


def _parse(kind: type[Parsed], own: Mapping[str, Any], *, file: str) -> Parsed:
    try:
        return kind.model_validate(dict(own))
    except ValidationError as error:
        problems = []
        for detail in error.errors():
            key = ".".join(map(str, detail["loc"]))
            hint = nearest(key, kind.model_fields) if detail["type"] == "extra_forbidden" else ""
            problems.append(f"{file}: spectrum.{key}: {detail['msg']}.{hint}")
        raise UserError(*problems) from error


def _rows(file: Path, columns: tuple[str, ...]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the number and the cells of each row of a JSON Lines or CSV file."""
    if not file.is_file():
        raise UserError(f"{file} does not exist; spectrum.file is a path beside the YAML file")
    if file.suffix == ".csv":
        yield from enumerate(csv_rows(file, columns), start=2)
        return
    for number, line in enumerate(file.read_text(encoding="utf-8-sig").split("\n"), start=1):
        if line.strip():
            try:
                row = strict_json(line)
            except ValueError as error:
                raise UserError(f"{file}, line {number}: {error}") from error
            if not isinstance(row, dict) or (absent := [name for name in columns if name not in row]):
                lacks = f"lacks {', '.join(absent)}" if isinstance(row, dict) else "is no JSON object"
                raise UserError(f"{file}, line {number} {lacks}; expected {', '.join(columns)}")
            yield number, row


def _items(
    own: OwnAlignment, folder: Path, data_dir: Path, *, seed: int, dropped: Counter[str]
) -> Iterator[Item]:
    file = folder / own.file
    named = [name for name in (own.group, own.cluster) if name]
    for number, row in _rows(file, ("candidates", "shares", *named)):
        candidates, shares = (
            json.loads(row[name]) if isinstance(row[name], str) else row[name]
            for name in ("candidates", "shares")
        )
        if len(candidates) != len(shares) or len(set(candidates)) < len(candidates) or not sum(shares) > 0:
            raise UserError(
                f"{file}, row {number}: expected as many shares as different candidates, not all 0"
            )
        values = {key: text(value) for key, value in row.items()}
        try:
            yield Item(
                description=own.description.format_map(values) if own.description else None,
                input=own.input.format_map(values),
                candidates=tuple(map(str, candidates)),
                target=tuple(share / sum(shares) for share in shares),
                group=values[own.group] if own.group else None,
                cluster=values[own.cluster] if own.cluster else str(number),
            )
        except KeyError as error:
            known = ", ".join(values)
            raise UserError(f"{file}: the texts of the YAML file name {error}, a row has {known}") from error


def _sequences(own: OwnSequences, folder: Path, data_dir: Path, *, seed: int, dropped: Counter[str]) -> Built:
    columns = (own.group_by, own.output, *([own.input] if own.input else []))
    yield from grouped(
        (row for _, row in _rows(folder / own.file, columns)),
        group_by=own.group_by,
        input=own.input,
        output=own.output,
        descriptions=own.descriptions,
        seed=seed,
        dropped=dropped,
    )
