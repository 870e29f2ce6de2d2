"""A task that is declared rather than programmed: its file or rows, and the role of each column.

Most sources use it, and so does a user's YAML file.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from string import Formatter
from typing import Any

from spectrum_trl.errors import UserError, refuse
from spectrum_trl.suite.randomness import task_seed
from spectrum_trl.suite.reading.files import PUBLISHED, Reading
from spectrum_trl.suite.reading.tables import table_rows
from spectrum_trl.suite.reading.values import canonical, group_problem
from spectrum_trl.suite.sequences.builders import (
    Data,
    Field,
    Row,
    Sequences,
    group_name,
    grouped,
    text,
)
from spectrum_trl.suite.source import Source
from spectrum_trl.suite.task import Kind, Split, Task, matches

# Maximum characters of a label in a reason.
SHOWN = 30
# Arguments of `grouped` that are passed on unchanged.
PASSED_ON = (
    *("input", "descriptions", "group_by", "name"),
    *("length", "mean_length", "permutations", "draws", "at_least"),
)


# Compared by identity: mappings have no hash, and caches need one.
@dataclass(frozen=True, kw_only=True, eq=False)
class Declared:
    """The build of a task, given the role of each column.

    Attributes:
        file: Path or glob below the data folder (or an absolute path): CSV, TSV, JSON, JSON Lines or parquet,
            by extension.
        rows: Instead of a file whose rows need no processing: yields the rows.
        output: The sample: a column, columns or a mapping from JSON keys to columns, or a function of the
            row.
        columns: Columns that a function needs; those named elsewhere need not be repeated.
        descriptions: Templates of the description; ``{column}`` stands for the group's value.
        input: What the sample is conditioned on, in the same form as `output`; None for outputs alone.
        group_by: Column or columns naming the individual or question; None pools all rows.
        keep: Allowed texts by column; other rows are counted and left out.
        labels: Output text to show, by the text in the file; others are counted and left out.
        unique: Whether to leave out rows with the same group, input and output as an earlier one.
        length: See `grouped`, as for the next five.
        mean_length: Mean of a random length.
        permutations: Number of shuffles.
        draws: Number of sequences drawn instead.
        at_least: Minimum samples of a group.
        name: Name of the group of all rows.
        most: Number of sequences to keep, from the first; None for all.
        part: Groups to take: those for training, those for evaluation, or None for all.
        test_share: Share of the groups for evaluation, in [0, 1), chosen by their names alone.
        reading: How the file is read. Cells of a user's file become the texts they would be in CSV, and
            groups and labels are compared by their `canonical` names.
    """

    file: str = ""
    rows: Callable[[Data], Iterable[Row]] | None = None
    output: Field
    descriptions: tuple[str, ...]
    columns: tuple[str, ...] = ()
    input: Field | None = None
    group_by: tuple[str, ...] = ()
    keep: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    unique: bool = False
    length: int | None = None
    mean_length: float | None = None
    permutations: int = 1
    draws: int | None = None
    at_least: int = 1
    name: str = ""
    most: int | None = None
    part: Split | None = None
    test_share: float = 0.0
    reading: Reading = PUBLISHED

    def __post_init__(self) -> None:
        """Reject strings that would be iterated letter by letter, and labels for several columns."""
        if isinstance(self.group_by, str) or isinstance(self.descriptions, str):
            raise TypeError("group_by and descriptions: expected a tuple of texts")
        if self.labels and not isinstance(self.output, str):
            raise TypeError("labels: the output must be one column")

    def __call__(self, data: Data) -> Sequences:
        """Yield the sequences."""
        rows = self.rows(data) if self.rows else self._one_value_each(self._rows(data))
        options = {name: getattr(self, name) for name in PASSED_ON}
        # Users' tables may have groups of the same names.
        seed = task_seed(data.seed, task=self.name) if self.reading.own else data.seed
        found = grouped(rows, replace(data, seed=seed), output=self._shown, **options)
        yield from islice(found, self.most)

    @property
    def _shown(self) -> Field:
        """The output with labels replaced by their shown texts."""
        if not self.labels:
            return self.output
        return lambda row: self.labels[self._label(row)]

    def _label(self, row: Row) -> str:
        label = text(row[str(self.output)])
        return canonical(label) if self.reading.own else label

    def _cells(self, rows: Iterable[Row]) -> Iterator[Row]:
        """Yield the rows; for a user's file, equal values become equal texts, whatever the format."""
        if not self.reading.own:
            yield from rows
            return
        written: dict[tuple[str, str], str] = {}
        for row in rows:
            cells = {
                name: value if isinstance(value, list | dict) else text(value) for name, value in row.items()
            }
            for name in self.group_by:
                cell = text(cells[name])
                cells[name] = group = canonical(cell)
                first = written.setdefault((name, group), cell)
                if problem := group_problem(row[name], first=first):
                    raise UserError(f"{self.file}: column {name!r} {problem}")
            yield cells

    def _rows(self, data: Data) -> Iterator[Row]:
        """Yield the rows to keep."""
        seen: set[tuple[str, ...]] = set()
        used = self._used()
        elsewhere: set[str] = set()
        some = False
        for path in matches(self.file, data_dir=data.folder) or [data.folder / self.file]:
            for row in self._cells(table_rows(path, used, dropped=data.dropped, reading=self.reading)):
                if self._elsewhere(row):
                    elsewhere.add(self._group(row))
                    continue
                some = True
                if wrong := next((c for c, kept in self.keep.items() if text(row[c]) not in kept), None):
                    data.dropped[f"another {wrong} than {' or '.join(self.keep[wrong])}"] += 1
                elif self.labels and (label := self._label(row)) not in self.labels:
                    data.dropped[f"unknown label {label[:SHOWN]!r}" if label else "empty output"] += 1
                elif self.unique and (key := tuple(text(row[column]) for column in used)) in seen:
                    data.dropped["same as an earlier row"] += 1
                else:
                    if self.unique:
                        seen.add(key)
                    yield row
        if elsewhere and not some:
            raise UserError(
                f"{path}: with test_share {self.test_share:g}, split {self.part} has no groups: by name, "
                f"all {len(elsewhere)} are in the other one. Set another test_share, or add groups"
            )

    def _one_value_each(self, rows: Iterable[Row]) -> Iterator[Row]:
        """Yield the rows, and raise if a column that descriptions name has several values in a group."""
        columns = [name for name in columns_of(self.descriptions) if name not in self.group_by]
        values: dict[tuple[str, str], str] = {}
        for row in rows:
            for column in columns:
                found, group = text(row[column]), self._group(row)
                first = values.setdefault((group, column), found) if group else found
                if first != found:
                    raise UserError(
                        f"{self.file}: descriptions name {{{column}}}, which has several values in the group "
                        f"{group[:SHOWN]!r} ({first[:SHOWN]!r}, {found[:SHOWN]!r}): name a column that is "
                        "the same in all rows of a group"
                    )
            yield row

    def _group(self, row: Row) -> str:
        return group_name([text(row[column]) for column in self.group_by])

    def _used(self) -> tuple[str, ...]:
        """Return the columns to read, without duplicates."""
        fields = (*_columns(self.output), *_columns(self.input))
        named = (*self.group_by, *fields, *self.keep, *self.columns, *columns_of(self.descriptions))
        return tuple(dict.fromkeys(named))

    def _elsewhere(self, row: Row) -> bool:
        """Return whether a row's group belongs to the other split."""
        if self.part is None:
            return False
        name = self._group(row)
        # By name alone, so tables on the same people reserve the same ones for evaluation. Not a checksum
        # such as CRC, which is not uniform for similar names.
        digest = hashlib.sha256(name.encode()).digest()
        tested = int.from_bytes(digest[:8]) < self.test_share * 2**64
        return tested != (self.part == "test")


def _columns(field: Field | None) -> Iterable[str]:
    if isinstance(field, str | tuple):
        return [field] if isinstance(field, str) else field
    return field.values() if isinstance(field, Mapping) else ()


def declared_task(
    task: str,
    /,
    *,
    source: Source,
    kind: Kind,
    summary: str,
    split: Split = "train",
    files: tuple[str, ...] = (),
    paper: Mapping[str, Any] | None = None,
    in_paper: bool = True,
    covers: Mapping[str, tuple[str, ...]] | None = None,
    repeats: tuple[str, ...] = (),
    description_probability: float = Task.description_probability,
    **roles: Any,
) -> Task:
    """Return a declared task; arguments as for `Task`, with the roles of `Declared`.

    By default, ``files`` is the declared one. ``paper`` holds what the paper's sampling changes of the roles,
    such as ``draws``.
    """
    build = Declared(**roles)
    return Task(
        name=task,
        source=source,
        kind=kind,
        summary=summary,
        split=split,
        files=files or (build.file,),
        build=build,
        paper=replace(build, **paper) if paper else None,
        in_paper=in_paper,
        covers=covers or {},
        repeats=repeats,
        description_probability=description_probability,
    )


def columns_of(templates: Sequence[str]) -> list[str]:
    """Return the columns that templates name as ``{column}``, without duplicates.

    Raises:
        UserError: If braces do not match, or hold something other than a column's name.
    """
    found, problems = dict[str, None](), []
    for template in templates:
        try:
            slots = [slot for slot in Formatter().parse(template) if slot[1] is not None]
        except ValueError as error:
            problems.append(f"{template!r}: {error}; write {{{{ and }}}} for braces that name no column")
            continue
        for _, name, form, conversion in slots:
            if not name or form or conversion or set(name) & set(".[]"):
                problems.append(
                    f"{template!r}: expected a column's name in braces, without any of .[]!:, found {name!r}"
                )
            else:
                found[name] = None
    refuse(problems)
    return list(found)
