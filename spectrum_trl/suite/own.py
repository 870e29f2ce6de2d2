"""A user's own table as a task: the key ``spectrum`` of one YAML file says which columns are what.

task: my_ratings
class: !function spectrum_trl.evaluation.icl.Icl
spectrum:
  file: ratings.csv
  group_by: user
  input: film
  output: stars
  descriptions: ["One person rates films."]
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from spectrum_trl.errors import UserError, nearest
from spectrum_trl.strict_yaml import repeated_keys
from spectrum_trl.suite.builders import Length
from spectrum_trl.suite.declared import Declared
from spectrum_trl.suite.lengths import sequence_length
from spectrum_trl.suite.slots import columns_of
from spectrum_trl.suite.source import Download, HubFiles, Source
from spectrum_trl.suite.task import OWN, Kind, Split, Task

TITLE = "the user's own"
ENDINGS = (".csv", ".tsv", ".json", ".jsonl", ".ndjson", ".parquet")
PACKED = (".gz", ".bz2", ".xz")
WEB, HUB = ("https://", "http://"), "hf://datasets/"
Columns = str | dict[str, str]


class OwnTable(BaseModel):
    """What a user says about a table of answers.

    Attributes:
        file: Path beside the YAML file, an address on the web, or ``hf://datasets/NAME[@REVISION]/FILE``
            (patterns with ``*`` allowed): CSV, TSV, JSON, JSON Lines or parquet, also packed.
        sha256: Of a file on the web; None takes what the first fetch finds.
        output: Column of the sample, or JSON keys and their columns.
        input: The same for what the sample is conditioned on, or None.
        group_by: Column or columns of the individual, or of the question; None pools all rows.
        descriptions: Texts in which ``{column}`` stands for the group's value.
        description_probability: Chance that a sequence keeps its description.
        candidates: All possible outputs, or the text in the file to the text shown; others are left out.
        length: Samples per sequence; None keeps groups whole.
        mean_length: In place of it: mean of a drawn length.
        at_least: Samples that a group must have.
        kind: What is sampled.
        test_share: Share of the groups that are for evaluation only, in [0, 1).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    file: str = Field(min_length=1)
    sha256: str | None = Field(default=None, pattern="^[0-9a-f]{64}$")
    output: Columns
    input: Columns | None = None
    group_by: str | list[str] | None = None
    descriptions: list[str] = Field(min_length=1)
    description_probability: float = Field(default=1.0, ge=0, le=1)
    candidates: list[str] | dict[str, str] | None = None
    length: int | None = Field(default=None, ge=1)
    mean_length: float | None = Field(default=None, ge=2)
    at_least: int = Field(default=1, ge=1)
    kind: Kind = "individual"
    test_share: float = Field(default=0.0, ge=0, lt=1)


def is_own(name: str) -> bool:
    """Tell whether a task's name is a YAML file of the user's."""
    return name.endswith((".yaml", ".yml"))


def read_own(file: Path, *, split: Split | None = None) -> Task:
    """Return the task that a user's YAML file declares.

    Args:
        file: The file.
        split: The part of the groups to take where ``test_share`` divides them; None for all.

    Raises:
        UserError: With everything that is wrong with it.
    """
    try:
        content = file.read_bytes()
        node = yaml.compose(content)
        problems = list(repeated_keys(node))
        found = yaml.load(content, Loader=_Loader)
    except FileNotFoundError:
        near = nearest(file.name, [other.name for other in file.parent.glob("*.y*ml")])
        raise UserError(f"{file} does not exist.{near}") from None
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UserError(f"{file} is not valid YAML: {' '.join(str(error).split())[:300]}") from None
    if problems:
        raise UserError(*(f"{file}, {problem}" for problem in problems))
    if not isinstance(found, dict) or not isinstance(found.get("spectrum"), dict):
        raise UserError(f"{file}: expected the keys task and spectrum, see docs/suite.md")
    return own_task(found["spectrum"], file=file, name=str(found.get("task") or file.stem), split=split)


def own_task(own: Mapping[str, Any], *, file: Path, name: str, split: Split | None = None) -> Task:
    """Return a user's own table as a task.

    Args:
        own: The key ``spectrum`` of the YAML file.
        file: The YAML file; relative paths are beside it.
        name: Of the task.
        split: See `read_own`.

    Raises:
        UserError: With everything that is wrong.
    """
    try:
        parsed = OwnTable.model_validate(dict(own))
    except ValidationError as error:
        raise UserError(*(problem_of(OwnTable, dict(e), file=str(file)) for e in error.errors())) from error
    problems = _problems(parsed, file=file)
    if problems:
        raise UserError(*(f"{file}: spectrum.{problem}" for problem in problems))
    place, source = _place(parsed, file=file, name=name)
    declared = _declared(parsed, place=place, name=name)
    if split is not None and parsed.test_share:
        declared = replace(declared, part=split, test_share=parsed.test_share)
    return Task(
        name=name,
        source=source,
        kind=parsed.kind,
        split=split or "test",
        build=declared,
        files=(place,),
        description_probability=parsed.description_probability,
        summary=f"rows of {PurePosixPath(parsed.file).name}",
    )


def has_parts(file: Path) -> bool:
    """Tell whether a user's YAML file keeps some groups for evaluation."""
    declared = read_own(file, split="test").build
    return isinstance(declared, Declared) and declared.test_share > 0


class _Loader(yaml.SafeLoader):
    """Reads lm-eval's own tags as texts."""


_Loader.add_multi_constructor("!", lambda loader, suffix, node: str(node.value))


def _problems(parsed: OwnTable, *, file: Path) -> list[str]:
    found = []
    if parsed.length is not None and parsed.mean_length is not None:
        found.append("mean_length: give length or mean_length, not both")
    if parsed.test_share and not parsed.group_by:
        found.append("test_share: groups are divided, so group_by is needed")
    if parsed.candidates and not isinstance(parsed.output, str):
        found.append("candidates: the output has several columns; give one column")
    if not parsed.group_by and not (parsed.length or parsed.mean_length):
        found.append("group_by: rows without a group need length or mean_length")
    try:
        columns_of(parsed.descriptions)
    except UserError as error:
        found += [f"descriptions: {problem}" for problem in error.problems]
    if not _ends_well(parsed.file):
        found.append(f"file: expected one of {', '.join(ENDINGS)}, but it is {parsed.file!r}")
    elif not parsed.file.startswith((*WEB, HUB)):
        path = file.parent / parsed.file
        if not path.is_file():
            near = nearest(path.name, [other.name for other in path.parent.glob("*")])
            found.append(f"file: {path} does not exist.{near} The path is beside the YAML file")
    return found


def _ends_well(name: str) -> bool:
    stem = next((name.removesuffix(end) for end in PACKED if name.endswith(end)), name)
    return stem.lower().endswith(ENDINGS)


def _place(parsed: OwnTable, *, file: Path, name: str) -> tuple[str, Source]:
    """Return where the rows are, below the data folder or as an absolute path, and how they are fetched."""
    title = f"{TITLE} ({parsed.file})"
    if parsed.file.startswith(WEB):
        place = f"own/{name}/{PurePosixPath(parsed.file).name}"
        download = Download(path=place, url=parsed.file, sha256=parsed.sha256)
        return place, Source(name=OWN, title=title, downloads=(download,))
    if parsed.file.startswith(HUB):
        owner, repo, *inside = parsed.file.removeprefix(HUB).split("/")
        repo, _, revision = repo.partition("@")
        pattern = "/".join(inside)
        files = HubFiles(
            path=f"own/{name}", repo=f"{owner}/{repo}", files=(pattern,), revision=revision or "main"
        )
        return f"own/{name}/{pattern}", Source(name=OWN, title=title, downloads=(files,))
    return str((file.parent / parsed.file).resolve()), Source(name=OWN, title=TITLE)


def _declared(parsed: OwnTable, *, place: str, name: str) -> Declared:
    candidates = parsed.candidates or {}
    length: Length | None = parsed.length
    if parsed.mean_length is not None:
        length = partial(sequence_length, mean=parsed.mean_length)
    groups = [parsed.group_by] if isinstance(parsed.group_by, str) else parsed.group_by or []
    return Declared(
        file=place,
        output=parsed.output,
        input=parsed.input,
        group_by=tuple(groups),
        descriptions=tuple(parsed.descriptions),
        labels={each: each for each in candidates} if isinstance(candidates, list) else candidates,
        length=length,
        at_least=parsed.at_least,
        name=name,
    )


def problem_of(kind: type[BaseModel], detail: Mapping[str, Any], *, file: str) -> str:
    """Return what pydantic found wrong with the key ``spectrum`` of a file, in our words."""
    place = f"{file}: spectrum.{'.'.join(map(str, detail['loc']))}"
    if detail["type"] == "missing":
        return f"{place}: this key is missing"
    if detail["type"] == "extra_forbidden":
        *outer, key = detail["loc"]
        fields = _fields(kind, outer)
        return f"{place}: unknown key, expected {', '.join(fields)}.{nearest(str(key), fields)}"
    message = str(detail["msg"]).removeprefix("Value error, ").removeprefix("Input should be ")
    if detail["type"] == "value_error":
        return f"{place}: {message}"
    hint = "; put it between quotation marks" if detail["type"] == "string_type" else ""
    return f"{place}: expected {message}, found {str(detail['input'])[:60]!r}{hint}"


def _fields(kind: type[BaseModel], outer: list[Any]) -> list[str]:
    """Return the keys of a nested model, found by the names of the keys around it."""
    for name in outer:
        annotation: Any = kind.model_fields[name].annotation
        options = getattr(annotation, "__args__", (annotation,))
        kind = next(one for one in options if isinstance(one, type) and issubclass(one, BaseModel))
    return list(kind.model_fields)
