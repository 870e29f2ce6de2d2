"""Every task whose source is ``synthetic``, found by itself; and the catalogue, where it is at hand."""

import os
import re
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest
import yaml

from spectrum_trl.known_tasks import tasks
from spectrum_trl.suite.task import Data

SYNTHETIC = [name for name, task in tasks().items() if task.synthetic]
DISTRIBUTIONS = {"coinflip": 1000, "cards": 100, "normal": 1000, "flight": 200} | dict.fromkeys(
    ("poisson", "geometric", "geometric_beta", "binomial", "negative_binomial", "categorical")
    + ("multinomial", "hypergeometric", "zipfian"),
    500,
)


def first(name, n, *, seed=0):
    return list(islice(tasks()[name].sequences(Path("nowhere"), seed=seed), n))


@pytest.mark.parametrize("name", SYNTHETIC)
def test_a_seed_repeats_and_another_differs(name):
    assert first(name, 10) == first(name, 10)
    assert [s.messages for s in first(name, 10)] != [s.messages for s in first(name, 10, seed=1)]


@pytest.mark.parametrize("name", SYNTHETIC)
def test_sequences_come_one_by_one_and_the_first_do_not_depend_on_how_many_are_taken(name):
    built = tasks()[name].build(Data(Path("nowhere"), 0, Counter()))
    assert isinstance(built, Iterator)
    assert first(name, 3) == first(name, 20)[:3]


# Written as plain text, where the white space between contents is theirs.
PLAIN = ("tiny_records", "tiny_lines", "tiny_facts")


@pytest.mark.parametrize("name", SYNTHETIC)
def test_sequences_are_described_in_several_ways_and_have_unique_ids(name):
    sequences = first(name, 80)
    assert len({s.sequence_id for s in sequences}) == len(sequences)
    assert len({s.messages[0]["content"] for s in sequences}) > 1
    for sequence in sequences:
        roles = [message["role"] for message in sequence.messages]
        assert roles[0] == "description"
        assert roles[1:] in (["output"] * sequence.n_outputs, ["input", "output"] * sequence.n_outputs)
        assert sequence.n_outputs >= 1
        texts = [message["content"] for message in sequence.messages]
        assert all(texts) and (name in PLAIN or all(text.strip() == text for text in texts))
        assert not any(mark in sequence.messages[0]["content"] for mark in "{}") or name == "coinflip"


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_a_task_has_the_catalogued_number_of_distributions_and_drops_nothing(name):
    dropped: Counter[str] = Counter()
    assert (
        sum(1 for _ in tasks()[name].sequences(Path("nowhere"), seed=0, dropped=dropped))
        == DISTRIBUTIONS[name]
    )
    assert not dropped


def test_geometric_beta_draws_other_numbers_than_geometric_and_prints_three_decimals():
    assert [s.messages for s in first("geometric", 5)] != [s.messages for s in first("geometric_beta", 5)]
    printed = [re.findall(r"[01]\.(\d+)", s.messages[0]["content"]) for s in first("geometric_beta", 60)]
    told = [decimals for found in printed for decimals in found]
    assert told
    assert {len(decimals) for decimals in told} == {3}


def catalogue():
    shared = Path(os.environ.get("SPECTRUM_SHARED") or Path(__file__).parents[4] / "shared")
    path = shared / "suite" / "tasks_numeric.yaml"
    if not path.is_file():
        pytest.skip("the catalogue tasks_numeric.yaml is not beside the repository (or in SPECTRUM_SHARED)")
    return [
        entry for entry in yaml.safe_load(path.read_text("utf-8")) if entry.get("upstream") == "synthetic"
    ]


def test_every_catalogued_synthetic_task_is_there_with_its_split_and_kind():
    entries = catalogue()
    assert {entry["task"] for entry in entries} == set(DISTRIBUTIONS)
    for entry in entries:
        task = tasks()[entry["task"]]
        assert (task.synthetic, task.split, task.kind) == (True, entry["split"], entry["kind"])
        expected = 0.4 if task.name == "normal" else 0.6
        assert task.description_probability == expected
