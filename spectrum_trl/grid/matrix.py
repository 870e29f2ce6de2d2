"""Combinations of a matrix, whose ``include`` and ``exclude`` work as in a workflow of GitHub Actions."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from spectrum_trl.errors import UserError, nearest

INCLUDE, EXCLUDE = "include", "exclude"
Combination = dict[str, Any]


def combinations(matrix: Mapping[str, Any], *, known: Sequence[str]) -> list[Combination]:
    """Return the combinations of a matrix.

    An entry of ``exclude`` removes every combination that has all of its values. An entry of ``include`` adds
    its values to every combination whose values in the axes it does not change; where there is none, it is a
    combination of its own.

    Args:
        matrix: Axes, each a list of values or one value, with ``include`` and ``exclude``.
        known: Names that axes and keys of the entries can have.

    Raises:
        UserError: With every unknown name, empty axis, and entry that excludes nothing.
    """
    axes = {
        name: values if isinstance(values, list) else [values]
        for name, values in matrix.items()
        if name not in (INCLUDE, EXCLUDE)
    }
    include, exclude = (_entries(matrix, key) for key in (INCLUDE, EXCLUDE))
    places = {"": axes}
    places |= {f"{INCLUDE} {number}: ": entry for number, entry in enumerate(include, start=1)}
    problems = [
        f"matrix: {place}unknown key {name[:60]!r}.{nearest(name, known)}"
        for place, entry in places.items()
        for name in entry
        if name not in known
    ]
    problems += [
        f"matrix: {name}: the list is empty; give values, or remove it" for name in axes if not axes[name]
    ]
    every = (
        [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())] if axes else []
    )
    problems += [
        f"matrix: {EXCLUDE} {number} fits no combination of the axes; correct or remove it"
        for number, entry in enumerate(exclude, start=1)
        if not any(_has(one, entry) for one in every)
    ]
    if problems:
        raise UserError(*problems)
    kept = [one for one in every if not any(_has(one, entry) for entry in exclude)]
    return _included(kept, include)


def _included(kept: Sequence[Combination], include: Sequence[Combination]) -> list[Combination]:
    extended, added = [dict(one) for one in kept], []
    for entry in include:
        fitting = [
            one
            for original, one in zip(kept, extended, strict=True)
            if _has(original, {name: value for name, value in entry.items() if name in original})
        ]
        for one in fitting:
            one.update(entry)
        if not fitting:
            added.append(dict(entry))
    return extended + added


def _entries(matrix: Mapping[str, Any], key: str) -> list[Combination]:
    entries = matrix.get(key, [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) and entry for entry in entries):
        raise UserError(f"matrix: {key}: expected a list of mappings, such as `- {{model: NAME, seed: 1}}`")
    return entries


def _has(one: Combination, part: Combination) -> bool:
    # True equals 1, but is another value of a key.
    return all(name in one and repr(one[name]) == repr(value) for name, value in part.items())
