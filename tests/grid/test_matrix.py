"""A matrix has the combinations that GitHub documents for the same YAML."""

import pytest
import yaml

from spectrum_trl.errors import UserError
from spectrum_trl.grid.matrix import combinations

# From "Running variations of jobs in a workflow" of GitHub's documentation, with its results.
FRUIT = """
fruit: [apple, pear]
animal: [cat, dog]
include:
  - color: green
  - color: pink
    animal: cat
  - fruit: apple
    shape: circle
  - fruit: banana
  - fruit: banana
    animal: cat
"""
FRUITS = [
    {"fruit": "apple", "animal": "cat", "color": "pink", "shape": "circle"},
    {"fruit": "apple", "animal": "dog", "color": "green", "shape": "circle"},
    {"fruit": "pear", "animal": "cat", "color": "pink"},
    {"fruit": "pear", "animal": "dog", "color": "green"},
    {"fruit": "banana"},
    {"fruit": "banana", "animal": "cat"},
]
KNOWN = ("fruit", "animal", "color", "shape", "number")


def test_include_extends_and_adds_as_github_documents() -> None:
    assert combinations(yaml.safe_load(FRUIT), known=KNOWN) == FRUITS


def test_exclude_removes_every_combination_that_has_all_its_values() -> None:
    matrix = {"fruit": ["apple", "pear"], "animal": ["cat", "dog"], "number": 1}
    matrix["exclude"] = [{"fruit": "apple", "animal": "cat"}, {"animal": "dog"}]
    assert combinations(matrix, known=KNOWN) == [{"fruit": "pear", "animal": "cat", "number": 1}]


def test_true_is_another_value_than_one() -> None:
    matrix = {"number": [1, True], "exclude": [{"number": True}]}
    assert combinations(matrix, known=KNOWN) == [{"number": 1}]


def test_unknown_names_empty_axes_and_vain_exclusions_are_all_reported() -> None:
    matrix = {
        "fruits": ["apple"],
        "animal": [],
        "exclude": [{"animal": "cow"}],
        "include": [{"colour": "red"}],
    }
    with pytest.raises(UserError) as error:
        combinations(matrix, known=KNOWN)
    problems = error.value.problems
    assert len(problems) == 4
    assert "'fruits'. Did you mean 'fruit'?" in problems[0]
    assert "include 1: unknown key 'colour'. Did you mean 'color'?" in problems[1]
    assert "animal: the list is empty" in problems[2] and "exclude 1" in problems[3]


@pytest.mark.parametrize("entries", ["cat", [["cat"]], [{}]])
def test_entries_are_mappings(entries: object) -> None:
    with pytest.raises(UserError, match="expected a list of mappings"):
        combinations({"animal": ["cat"], "include": entries}, known=KNOWN)
