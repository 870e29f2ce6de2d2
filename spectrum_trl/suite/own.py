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

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Annotated, Any

import numpy as np
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from spectrum_trl.errors import UserError, nearest
from spectrum_trl.strict.yaml import repeated_keys
from spectrum_trl.suite.addresses import HUB, address_problems, on_web, source_of
from spectrum_trl.suite.builders import Length
from spectrum_trl.suite.declared import Declared
from spectrum_trl.suite.lengths import sequence_length
from spectrum_trl.suite.reading import UTF_8, reading_of, reading_problems
from spectrum_trl.suite.schema import schema_problems
from spectrum_trl.suite.slots import columns_of
from spectrum_trl.suite.task import Kind, Split, Task
from spectrum_trl.suite.values import canonical, text

# Goes into the names of files.
NAME = re.compile(r"[\w-][\w.+ -]*")
MOST_NAME_BYTES = 100
LONGEST_MEAN = 1e6
Columns = str | dict[str, str]
Candidates = Annotated[list[str] | dict[str, str], Field(min_length=1)]


@dataclass(frozen=True)
class DrawnLength:
    """A drawn length; unlike a function it is printed the same in every process.

    Attributes:
        mean: See `sequence_length`.
    """

    mean: float

    def __call__(self, rng: np.random.Generator) -> int:
        """Draw one."""
        return sequence_length(rng, mean=self.mean)


class OwnTable(BaseModel):
    """What a user says about a table of answers.

    Attributes:
        file: Path beside the YAML file, an address on the web, or ``hf://datasets/NAME[@REVISION]/FILE``
            (with ``*``, which stands for slashes too): CSV, TSV, JSON, JSON Lines or parquet, also packed.
        delimiter: What separates the cells of CSV or TSV; None for a comma, or a tab in TSV.
        encoding: Of the file's text.
        sha256: Of a file on the web; None takes what the first fetch finds.
        output: Column of the sample, or JSON keys and their columns.
        input: The same for what the sample is conditioned on, or None.
        group_by: Column or columns of the individual, or of the question; None pools all rows.
        descriptions: Texts in which ``{column}`` stands for the group's value, the same in all its rows.
        description_probability: Chance that a sequence keeps its description.
        candidates: All possible outputs, or the text in the file to the text shown; others are left out.
        length: Samples per sequence; None keeps groups whole.
        mean_length: In place of it: mean of a drawn length.
        at_least: Samples that a group must have.
        kind: What is sampled.
        test_share: Share of the groups that are for evaluation only, in [0, 1).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    file: str
    delimiter: str | None = None
    encoding: str = UTF_8
    sha256: str | None = Field(default=None, pattern="^[0-9a-f]{64}$")
    output: Columns
    input: Columns | None = None
    group_by: str | list[str] | None = None
    descriptions: list[str] = Field(min_length=1)
    description_probability: float = Field(default=1.0, ge=0, le=1)
    candidates: Candidates | None = None
    length: int | None = Field(default=None, ge=1)
    mean_length: float | None = Field(default=None, ge=2, le=LONGEST_MEAN)
    at_least: int = Field(default=1, ge=1)
    kind: Kind = "individual"
    test_share: float = Field(default=0.0, ge=0, lt=1)


def name_problems(name: str) -> Iterator[str]:
    """Yield what is wrong with the name of a user's own task, which goes into names of files, and tables."""
    if not NAME.fullmatch(name) or len(name.encode()) > MOST_NAME_BYTES:
        yield f"task: expected a short name of letters, digits, . _ and -, found {name[:60]!r}"


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
        found = yaml.load(content, Loader=Loader)
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
        parsed = OwnTable.model_validate({str(key): value for key, value in own.items()})
    except ValidationError as error:
        raise UserError(*schema_problems(OwnTable, error, file=str(file))) from error
    problems = [f"{file}: spectrum.{problem}" for problem in _problems(parsed, file=file)]
    problems += [f"{file}: {problem}" for problem in name_problems(name)]
    if problems:
        raise UserError(*problems)
    place, source = source_of(parsed.file, sha256=parsed.sha256, beside=file, name=name)
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


class Loader(yaml.SafeLoader):
    """Reads lm-eval's own tags as texts."""


Loader.add_multi_constructor("!", lambda loader, suffix, node: str(node.value))


def _texts(parsed: OwnTable) -> Iterator[tuple[str, str]]:
    """Yield the texts that may not be blank, with their places."""
    for name in ("file", "output", "input", "group_by", "descriptions", "candidates"):
        value = getattr(parsed, name)
        if isinstance(value, str):
            yield name, value
        elif isinstance(value, Mapping):
            for key, said in value.items():
                yield f"{name}.{key}", said
        else:
            for number, said in enumerate(value or ()):
                yield f"{name}.{number}", said


def _problems(parsed: OwnTable, *, file: Path) -> list[str]:
    found = [f"{place}: expected a text, it is blank" for place, said in _texts(parsed) if not said.strip()]
    if parsed.length is not None and parsed.mean_length is not None:
        found.append("mean_length: give length or mean_length, not both")
    if parsed.test_share and not parsed.group_by:
        found.append("test_share: groups are divided, so group_by is needed")
    if parsed.candidates and not isinstance(parsed.output, str):
        found.append("candidates: the output has several columns; give one column")
    names = Counter(canonical(text(name)) for name in parsed.candidates or ())
    found += [f"candidates: {name!r} is there more than once" for name, n in names.items() if n > 1]
    if not parsed.group_by and not (parsed.length or parsed.mean_length):
        found.append("group_by: rows without a group need length or mean_length")
    if parsed.sha256 and not on_web(parsed.file):
        found.append("sha256: only a file on the web is checked; leave it out")
    try:
        if (slots := columns_of(parsed.descriptions)) and not parsed.group_by:
            found.append(f"descriptions: {{{slots[0]}}} stands for the group's value, so group_by is needed")
    except UserError as error:
        found += [f"descriptions: {problem}" for problem in error.problems]
    found += reading_problems(parsed.delimiter, parsed.encoding, file=parsed.file)
    found += [f"file: {problem}" for problem in address_problems(parsed.file, beside=file)]
    return found


def _declared(parsed: OwnTable, *, place: str, name: str) -> Declared:
    candidates = parsed.candidates or {}
    shown = candidates if isinstance(candidates, dict) else {each: each for each in candidates}
    length: Length | None = parsed.length
    if parsed.mean_length is not None:
        length = DrawnLength(parsed.mean_length)
    groups = [parsed.group_by] if isinstance(parsed.group_by, str) else parsed.group_by or []
    return Declared(
        file=place,
        output=parsed.output,
        input=parsed.input,
        group_by=tuple(groups),
        descriptions=tuple(parsed.descriptions),
        # Cells are compared without white space around them.
        labels={canonical(text(key)): label for key, label in shown.items()},
        reading=reading_of(
            parsed.delimiter, parsed.encoding, web=on_web(parsed.file) or parsed.file.startswith(HUB)
        ),
        length=length,
        at_least=parsed.at_least,
        name=name,
    )
