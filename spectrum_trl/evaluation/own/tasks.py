"""A user's own evaluation task: the key ``spectrum`` of a YAML file defines a task like ours.

task: cheeses
class: !function spectrum_trl.evaluation.diversity.Diversity
spectrum:
  description: A kind of cheese
  examples: [Brie, Gouda]
  validator: {file: cheeses.txt}

Errors of such files are reported before lm-eval loads them.
"""

import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from functools import cache, partial
from pathlib import Path
from typing import Any, TypeVar

from lm_eval.api.task import Task as HarnessTask
from lm_eval.tasks import TaskManager
from pydantic import BaseModel, ConfigDict, Field

from spectrum_trl.console import counted
from spectrum_trl.errors import UserError, located, refuse
from spectrum_trl.evaluation.axis_tasks import DistributionalTask, DiversityTask, Item, shares
from spectrum_trl.evaluation.judging.judge import Judge, verdicts
from spectrum_trl.evaluation.own.validators import Validator, build
from spectrum_trl.paths import bundled
from spectrum_trl.prompts.messages import check
from spectrum_trl.strict import schema
from spectrum_trl.strict.json import strict_json
from spectrum_trl.strict.yaml import read_yaml
from spectrum_trl.suite.own.table import (
    HUB,
    TITLE,
    OwnTable,
    address_problems,
    name_problems,
    on_web,
    own_task,
)
from spectrum_trl.suite.reading.files import UTF_8, reading_of, reading_problems
from spectrum_trl.suite.reading.tables import first_of, table_rows
from spectrum_trl.suite.reading.values import canonical, text
from spectrum_trl.suite.sequences.declared import columns_of
from spectrum_trl.suite.source import Source
from spectrum_trl.suite.task import OWN, Task

# Any of these keys makes a file a task of lm-eval; ours have a class.
MADE_BY = ("class", "include", "dataset_path", "custom_dataset", "group", "task_list")
CLASSES = "diversity.Diversity, distributional.Distributional or icl.Icl"
# lm-eval 0.4.13 reports this as the source of a task that was given by the path of its file.
INLINE = "inline"
# Shares may be counts; their sum must stay finite.
LARGEST_SHARE = 1e15
# Characters shown of an answer.
SHOWN = 80
SOURCE = Source(name=OWN, title=TITLE)
Parsed = TypeVar("Parsed", bound=BaseModel)


def check_folders(folders: Sequence[Path]) -> None:
    """Check every YAML file in folders of further tasks; lm-eval silently skips broken ones.

    Args:
        folders: As the user named them.

    Raises:
        UserError: With all problems at once.
    """
    problems = [f"{folder} is not a folder of tasks" for folder in folders if not folder.is_dir()]
    for folder in folders:
        for file in sorted(folder.rglob("*.yaml")):
            problems += _problems(file)
    refuse(f"--include-path: {problem}" for problem in problems)


def load(names: Sequence[str], *, manager: TaskManager) -> list[HarnessTask]:
    """Load tasks.

    Args:
        names: Names of tasks, or files.
        manager: lm-eval's index of the names.

    Raises:
        UserError: If a file of the user's is not a task.
    """
    files = [Path(name) for name in names if Path(name).suffix == ".yaml"]
    refuse(problem for file in files for problem in _problems(file))
    return [task for name in names for task in _load(name, manager)]


def _load(name: str, manager: TaskManager) -> list[HarnessTask]:
    entry = manager.task_index.get(name)
    file = Path(name) if entry is None else entry.yaml_path
    try:
        return list(manager.load([name])["tasks"].values())
    except UserError:
        raise
    except (Exception, SystemExit) as error:  # A user's file may name any code and any dataset.
        if file is None or Path(file).is_relative_to(bundled("tasks")):
            raise
        raise UserError(f"{file} cannot be loaded: {type(error).__name__}: {error}") from error


def own_file(config: Any, own: Any) -> str:
    """Return the path of the YAML file that a task was read from.

    Args:
        config: The task's configuration in lm-eval.
        own: Its key ``spectrum``.

    Raises:
        UserError: If neither lm-eval, nor the command line, nor the working directory reveals the file.
    """
    source = str((config.metadata or {}).get("config_source", ""))
    if source != INLINE:
        return source
    for file in _candidates():
        try:
            found = read_yaml(file).values
        except UserError:
            continue
        if (found.get("task"), found.get("spectrum")) == (config.task, own):
            return str(file)
    raise UserError(
        f"{config.task}: lm-eval does not report the path of its YAML file, which its data are beside: run "
        f"the command in that folder, or with `--include_path FOLDER --tasks {config.task}`"
    )


@cache
def _stock_names() -> frozenset[str]:
    return frozenset(file.stem for file in bundled("tasks").rglob("*.yaml"))


def _problems(file: Path) -> Iterator[str]:
    try:
        found = read_yaml(file)
    except UserError as error:
        yield from error.problems
        return
    yield from found.problems
    keys = found.values
    if isinstance(name := keys.get("task"), str):
        yield from (f"{file}: {problem}" for problem in name_problems(name))
        if name in _stock_names() and not file.resolve().is_relative_to(bundled("tasks").resolve()):
            yield f"{file}: task: {name} is the name of a task of this package; give another"
    if "task" in keys and not keys.keys() & set(MADE_BY):
        yield (
            f"{file}: the key class is missing; give `class: !function spectrum_trl.evaluation.` with one of "
            f"{CLASSES}"
        )


def _candidates() -> Iterator[Path]:
    """Yield the YAML files on the command line, then those in the working directory."""
    for argument in sys.argv[1:]:
        for word in argument.rpartition("=")[2].split(","):
            if word.endswith((".yaml", ".yml")) and Path(word).is_file():
                yield Path(word)
    yield from sorted(Path.cwd().glob("*.yaml"))


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
    refuse(first_of(problems))


def _item(own: OwnDistributional, row: Mapping[str, Any], number: int) -> Item:
    candidates, numbers = _list(row["candidates"]), _list(row["shares"])
    problems = [*_candidate_problems(candidates), *_share_problems(numbers)]
    if not problems and len(candidates or ()) != len(numbers or ()):
        problems.append(
            f"{counted(len(candidates or ()), 'candidate')}, but {counted(len(numbers or ()), 'share')}"
        )
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


class OwnDiversity(BaseModel):
    """A user's definition of a diversity task.

    Attributes:
        description: Description of the texts to generate.
        examples: Samples shown in the prompt; may be empty.
        validator: How to check an answer.
        max_new_tokens: Maximum length of an answer in tokens.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    description: str = Field(min_length=1)
    examples: list[str] = []
    validator: Validator
    max_new_tokens: int = Field(default=32, ge=1)


def own_diversity(own: Mapping[str, Any], *, file: str, name: str) -> DiversityTask:
    """Return a user's own diversity task.

    Args:
        own: The key ``spectrum`` of the YAML file.
        file: The YAML file; other paths are relative to its folder.
        name: Name of the task.

    Raises:
        UserError: With all problems at once.
    """
    parsed, folder = _parse(OwnDiversity, own, file=file), Path(file).parent
    refuse(f"{file}: {problem}" for problem in name_problems(name))
    validator, canonical = parsed.validator, parsed.validator.canonical
    with located(f"{file}: spectrum."):
        valid = build(validator, folder=folder, description=parsed.description)
        problems = _text_problems(parsed)
        # A judge is slow or paid for: ask it only about the model's answers.
        if not isinstance(valid, Judge):
            judged = zip(parsed.examples, verdicts(valid, map(canonical, parsed.examples)), strict=True)
            refused = [example for example, verdict in judged if not verdict]
            problems += [f"examples: the validator rejects {example[:SHOWN]!r}" for example in refused]
        refuse(problems)
    return DiversityTask(
        name=name,
        description=parsed.description,
        examples=tuple(parsed.examples),
        rule=valid,
        canonical=canonical,
        universe=validator.universe(folder=folder),
        max_new_tokens=parsed.max_new_tokens,
        source=SOURCE,
    )


def own_distributional(own: Mapping[str, Any], *, file: str) -> DistributionalTask:
    """Return a user's own questions with known shares; arguments and errors as for `own_diversity`."""
    parsed = _parse(OwnDistributional, own, file=file)
    templates = [template for template in (parsed.description, parsed.input) if template is not None]
    with located(f"{file}: spectrum: "):
        slots = columns_of(templates)
    named = [name for name in (parsed.group, parsed.cluster) if name is not None]
    with located(f"{file}: spectrum."):
        refuse(reading_problems(parsed.delimiter, parsed.encoding, file=parsed.file))
        path = _beside(file, parsed.file)
    build = partial(items, parsed, path, ("candidates", "shares", *dict.fromkeys((*named, *slots))))
    return DistributionalTask(name=TITLE, source=SOURCE, build=build)


def own_icl(own: Mapping[str, Any], *, file: str, name: str) -> Task:
    """Return a user's own table of answers as a task; arguments and errors as for `own_diversity`."""
    if not isinstance(own, Mapping):
        raise UserError(f"{file}: spectrum: expected keys such as {', '.join(OwnTable.model_fields)}")
    return own_task(own, file=Path(file), name=name, split="test")


def _parse(kind: type[Parsed], own: Mapping[str, Any], *, file: str) -> Parsed:
    if not isinstance(own, Mapping):
        raise UserError(f"{file}: spectrum: expected keys such as {', '.join(kind.model_fields)}")
    return schema.parsed(kind, dict(own), f"{file}: spectrum")


def _text_problems(parsed: OwnDiversity) -> list[str]:
    """Return the problems of a prompt's texts."""
    found = [
        f"examples: {one!r} has a line break, expected one line" for one in parsed.examples if "\n" in one
    ]
    found += [f"examples: {one!r} is blank" for one in parsed.examples if not one.strip()]
    messages = [{"role": "description", "content": parsed.description}]
    messages += [{"role": "output", "content": example.strip()} for example in parsed.examples]
    return found + [f"description and examples: {problem}" for problem in check(messages, trained=False)]


def _beside(file: str, name: str) -> Path:
    path = Path(file).parent / name
    if on_web(name) or name.startswith(HUB):
        raise UserError(f"file: expected a file beside the YAML file, but it is {name!r}")
    refuse(f"file: {problem}" for problem in address_problems(name, beside=Path(file)))
    return path
