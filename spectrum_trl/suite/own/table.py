"""A user's table as a task: the key ``spectrum`` of a YAML file gives each column's role.

task: my_ratings
class: !function spectrum_trl.evaluation.icl.Icl
spectrum:
  file: ratings.csv
  group_by: user
  input: film
  output: stars
  descriptions: ["One person rates films."]
"""

import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field

from spectrum_trl.errors import UserError, nearest, refuse
from spectrum_trl.strict import schema
from spectrum_trl.strict.yaml import read_yaml
from spectrum_trl.suite.reading.files import PACKERS, UTF_8, reading_of, reading_problems
from spectrum_trl.suite.reading.values import canonical, text
from spectrum_trl.suite.sequences.declared import Declared, columns_of
from spectrum_trl.suite.source import Download, HubFiles, Source
from spectrum_trl.suite.task import OWN, Kind, Split, Task

TITLE = "the user's own"
ENDINGS = (".csv", ".tsv", ".json", ".jsonl", ".ndjson", ".parquet")
WEB, HUB = ("https://", "http://"), "hf://datasets/"
SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
# Leaves room for what is added to a file name during a fetch.
MOST_FILE_BYTES = 200
# Task names become file names.
NAME = re.compile(r"[\w-][\w.+ -]*")
MOST_NAME_BYTES = 100
LONGEST_MEAN = 1e6
Columns = str | dict[str, str]
Candidates = Annotated[list[str] | dict[str, str], Field(min_length=1)]


def on_web(file: str) -> bool:
    """Return whether a file is on the web."""
    return file.lower().startswith(WEB)


def address_problems(file: str, *, beside: Path) -> Iterator[str]:
    """Yield the problems with a file's location.

    Args:
        file: A path, a web URL, or a Hub URL (``hf://datasets/…``).
        beside: The YAML file that names it.
    """
    if on_web(file):
        yield from _web_problems(file)
    elif SCHEME.match(file) and not file.startswith(HUB):
        yield f"expected a path, a URL with https:// or http://, or {HUB}…, found {file!r}"
    elif not _ends_well(file):
        yield f"expected one of {', '.join(ENDINGS)}, found {file!r}"
    elif file.startswith(HUB):
        if file.removeprefix(HUB).count("/") < 2:
            yield f"expected {HUB}OWNER/NAME[@REVISION]/FILE, found {file!r}"
    else:
        path = beside.parent / file
        if path.is_dir():
            yield f"{path} is a folder; expected a file"
        elif not path.is_file():
            near = nearest(path.name, [other.name for other in path.parent.glob("*")])
            yield f"{path} does not exist.{near} Paths are relative to the YAML file"


def source_of(file: str, *, sha256: str | None, beside: Path, name: str) -> tuple[str, Source]:
    """Return the path of the rows, below the data folder or absolute, and the source to fetch them from.

    Args:
        file: A location without problems.
        sha256: SHA-256 of a file on the web, if known.
        beside: The YAML file that names it.
        name: Name of the task.
    """
    title = f"{TITLE} ({file})"
    # One folder per URL, so files of different URLs are never confused.
    folder = f"{OWN}/{name}-{hashlib.sha256(f'{file} {sha256}'.encode()).hexdigest()[:8]}"
    if on_web(file):
        place = f"{folder}/{PurePosixPath(urlsplit(file).path).name}"
        download = Download(path=place, url=file, sha256=sha256)
        return place, Source(name=OWN, title=title, downloads=(download,))
    if file.startswith(HUB):
        owner, repo, *inside = file.removeprefix(HUB).split("/")
        repo, _, revision = repo.partition("@")
        if revision == "refs":
            # As in hf://datasets/OWNER/NAME@refs/convert/parquet/FILE.
            revision, inside = "/".join((revision, *inside[:2])), inside[2:]
        pattern = "/".join(inside)
        repo, revision = f"{owner}/{repo}", revision or "main"
        files = HubFiles(path=folder, repo=repo, files=(pattern,), revision=revision)
        return f"{folder}/{pattern}", Source(name=OWN, title=title, downloads=(files,))
    return str((beside.parent / file).resolve()), Source(name=OWN, title=TITLE)


def _web_problems(file: str) -> Iterator[str]:
    try:
        parts = urlsplit(file)
        host, _ = parts.hostname or "", parts.port
    except ValueError as error:
        yield f"{file!r} is not a valid URL: {error}"
        return
    name = PurePosixPath(parts.path).name
    if not host or host.startswith(".") or not name:
        yield f"{file!r} is not the URL of a file: expected https://HOST/FILE"
    elif set(name) & set("*?["):
        yield f"expected the URL of one file, without any of *?[, found {file!r}"
    elif len(name.encode()) > MOST_FILE_BYTES:
        yield f"the file name has more than {MOST_FILE_BYTES} bytes; download it by hand under a shorter name"
    elif not _ends_well(name):
        yield f"expected one of {', '.join(ENDINGS)}, found {file!r}"


def _ends_well(name: str) -> bool:
    stem = next((name.removesuffix(end) for end in PACKERS if name.endswith(end)), name)
    # Parquet has its own compression.
    return stem.lower().endswith(ENDINGS if stem == name else ENDINGS[:-1])


class OwnTable(BaseModel):
    """A user's declaration of a table of answers.

    Attributes:
        file: Path relative to the YAML file, a URL, or ``hf://datasets/NAME[@REVISION]/FILE`` (may contain
            ``*``, which also matches slashes): CSV, TSV, JSON, JSON Lines or parquet, also compressed.
        delimiter: Delimiter of CSV or TSV cells; None for a comma, or a tab in TSV.
        encoding: Encoding of the file's text.
        sha256: SHA-256 of a file on the web; None to accept that of the first fetch.
        output: Column of the sample, or JSON keys and their columns.
        input: The same for what the sample is conditioned on, or None.
        group_by: Column or columns of the individual or question; None pools all rows.
        descriptions: Templates in which ``{column}`` stands for the group's value, the same in all its rows.
        description_probability: Probability in [0, 1] that a sequence keeps its description.
        candidates: All possible outputs, or the text shown by the text in the file; others are left out.
        length: Samples per sequence; None keeps groups whole.
        mean_length: Instead of ``length``: mean of a random length.
        at_least: Minimum samples of a group.
        kind: What is sampled.
        test_share: Share of the groups reserved for evaluation, in [0, 1).
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
    """Yield the problems with the name of a user's task, which is used in file names and tables."""
    if not NAME.fullmatch(name) or len(name.encode()) > MOST_NAME_BYTES:
        yield f"task: expected a short name of letters, digits, . _ and -, found {name[:60]!r}"


def is_own(name: str) -> bool:
    """Return whether a task's name is a user's YAML file."""
    return name.endswith((".yaml", ".yml"))


def read_own(file: Path, *, split: Split | None = None) -> Task:
    """Return the task that a user's YAML file declares.

    Args:
        file: The file.
        split: The groups to take if ``test_share`` divides them; None for all.

    Raises:
        UserError: With all problems at once.
    """
    if not file.exists():
        near = nearest(file.name, [other.name for other in file.parent.glob("*.y*ml")])
        raise UserError(f"{file} does not exist.{near}")
    document = read_yaml(file)
    refuse(document.problems)
    found = document.values
    if not isinstance(found.get("spectrum"), dict):
        raise UserError(f"{file}: expected the keys task and spectrum, see docs/suite.md")
    return own_task(found["spectrum"], file=file, name=str(found.get("task") or file.stem), split=split)


def own_task(own: Mapping[str, Any], *, file: Path, name: str, split: Split | None = None) -> Task:
    """Return a user's table as a task.

    Args:
        own: The key ``spectrum`` of the YAML file.
        file: The YAML file, which paths are relative to.
        name: Name of the task.
        split: See `read_own`.

    Raises:
        UserError: With all problems at once.
    """
    given = {str(key): value for key, value in own.items()}
    parsed = schema.parsed(OwnTable, given, f"{file}: spectrum")
    problems = (f"spectrum.{problem}" for problem in _problems(parsed, file=file))
    refuse(f"{file}: {problem}" for problem in (*problems, *name_problems(name)))
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
    """Return whether a user's YAML file reserves some groups for evaluation."""
    declared = read_own(file, split="test").build
    return isinstance(declared, Declared) and declared.test_share > 0


def _texts(parsed: OwnTable) -> Iterator[tuple[str, str]]:
    """Yield the texts that must not be blank, with their keys."""
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
    found = [
        f"{place}: expected text, found only white space"
        for place, said in _texts(parsed)
        if not said.strip()
    ]
    if parsed.length is not None and parsed.mean_length is not None:
        found.append("mean_length: set length or mean_length, not both")
    if parsed.test_share and not parsed.group_by:
        found.append("test_share: it divides groups, so set group_by")
    if parsed.candidates and not isinstance(parsed.output, str):
        found.append("candidates: the output has several columns; name one column")
    names = Counter(canonical(text(name)) for name in parsed.candidates or ())
    found += [f"candidates: {name!r} is listed more than once" for name, n in names.items() if n > 1]
    if not parsed.group_by and not (parsed.length or parsed.mean_length):
        found.append("group_by: rows without a group need length or mean_length")
    if parsed.sha256 and not on_web(parsed.file):
        found.append("sha256: only files on the web are checked; leave it out")
    try:
        if (slots := columns_of(parsed.descriptions)) and not parsed.group_by:
            found.append(f"descriptions: {{{slots[0]}}} stands for the group's value, so set group_by")
    except UserError as error:
        found += [f"descriptions: {problem}" for problem in error.problems]
    found += reading_problems(parsed.delimiter, parsed.encoding, file=parsed.file)
    found += [f"file: {problem}" for problem in address_problems(parsed.file, beside=file)]
    return found


def _declared(parsed: OwnTable, *, place: str, name: str) -> Declared:
    candidates = parsed.candidates or {}
    shown = candidates if isinstance(candidates, dict) else {each: each for each in candidates}
    groups = [parsed.group_by] if isinstance(parsed.group_by, str) else parsed.group_by or []
    return Declared(
        file=place,
        output=parsed.output,
        input=parsed.input,
        group_by=tuple(groups),
        descriptions=tuple(parsed.descriptions),
        # Cells are compared without surrounding white space.
        labels={canonical(text(key)): label for key, label in shown.items()},
        reading=reading_of(
            parsed.delimiter, parsed.encoding, web=on_web(parsed.file) or parsed.file.startswith(HUB)
        ),
        length=parsed.length,
        mean_length=parsed.mean_length,
        at_least=parsed.at_least,
        name=name,
    )
