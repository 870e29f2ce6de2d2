"""The catalogue has all of the paper's tasks, in its splits; what is held out is never trained on."""

from collections import Counter, defaultdict
from pathlib import Path
from types import ModuleType

import pytest
import yaml

from spectrum_trl.errors import UserError
from spectrum_trl.suite import sources
from spectrum_trl.suite.catalogue import chosen_sources, chosen_tasks, suite_sources, suite_tasks, tasks_of
from spectrum_trl.suite.source import Source
from tests.messages import naming

# Beside the registered tasks: what else the research code can read of a source.
MORE = {"habermas_opinions": "test", "habermas_categorical": "test"}
# Number of the paper's tasks by split.
PAPER = {"train": 71, "test": 24}


def test_the_paper_has_a_known_number_of_tasks_and_later_ones_say_in_paper_false() -> None:
    found = Counter(task.split for task in suite_tasks().values() if task.in_paper)
    assert found == PAPER, "a task that the paper lacks says in_paper=False"


def test_it_has_the_papers_tasks_in_their_splits(suite_facts: Path) -> None:
    index = yaml.safe_load((suite_facts / "index.yaml").read_text("utf-8"))["tasks"]
    wanted = {each["task"]: each["split"] for each in index} | MORE
    found = {name: task.split for name, task in suite_tasks().items() if task.in_paper}
    assert found == wanted


def test_a_source_feeds_one_split_so_that_nobody_is_in_two() -> None:
    splits: defaultdict[str, set[str]] = defaultdict(set)
    for task in suite_tasks().values():
        if not task.synthetic:
            splits[task.source.name].add(task.split)
    assert not {name: found for name, found in splits.items() if len(found) > 1}


def test_no_file_is_read_in_two_splits() -> None:
    splits: defaultdict[str, set[str]] = defaultdict(set)
    for task in suite_tasks().values():
        for pattern in task.files:
            splits[pattern].add(task.split)
    assert not {pattern: found for pattern, found in splits.items() if len(found) > 1}


def test_no_two_sources_share_a_name_and_each_task_has_its_own() -> None:
    found: defaultdict[str, set[Source]] = defaultdict(set)
    for name, task in suite_tasks().items():
        assert task.name == name
        assert task.synthetic == (task.source.access == "generated"), name
        found[task.source.name].add(task.source)
    assert not {name: several for name, several in found.items() if len(several) > 1}
    assert list(suite_sources()) == sorted(suite_sources())


def test_a_name_of_both_a_source_and_a_task_means_one_thing() -> None:
    for name in suite_sources().keys() & suite_tasks().keys():
        assert suite_tasks()[name].source is suite_sources()[name]


def test_names_and_globs_reach_tasks_once_in_the_order_named() -> None:
    assert [task.name for task in chosen_tasks(["normal", "coin*", "normal"])] == ["normal", "coinflip"]
    assert [task.name for task in chosen_tasks(None)] == list(suite_tasks())
    with pytest.raises(UserError, match=naming("'coinflop'", "'coinflip'")) as error:
        chosen_tasks(["coinflop", "normal", "zzz*"])
    assert len(error.value.problems) == 2


def test_sources_are_reached_by_their_own_names_and_by_their_tasks() -> None:
    assert [source.name for source in chosen_sources(["polis_vote", "polis", "pol*"])] == ["polis"]
    assert {source.access for source in chosen_sources(None)} == {"fetch"}
    with pytest.raises(UserError, match=naming("'pollis'", "'polis'")):
        chosen_sources(["pollis"])


def test_two_tasks_of_one_name_are_a_mistake_of_ours() -> None:
    package: ModuleType = sources
    with pytest.raises(ValueError, match=naming("two tasks", "'ambient_premise_hypothesis'")):
        tasks_of((package, package))
