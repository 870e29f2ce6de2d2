"""Individuals are held out by name: wholly, in every task of their source, whatever the seed and order."""

import hashlib
from collections import Counter
from pathlib import Path

import pytest

from spectrum_trl.suite.building.held_out import held_out_sequences, is_held_out, training_sequences
from spectrum_trl.suite.own.table import read_own
from spectrum_trl.suite.synthetic.coinflip import TASKS
from spectrum_trl.suite.task import Task

SHARE = 0.3


def table(folder: Path, task: str, *keys: str) -> Task:
    """Write a table of 200 people, each with ten answers, and return its task."""
    rows = [f"person {n},film {k},{(n + k) % 5}" for n in range(200) for k in range(10)]
    (folder / "a.csv").write_text("\n".join(["user,film,stars", *rows]))
    said = ", ".join(["file: a.csv", "output: stars", "input: film", "descriptions: [x]", *keys])
    (folder / f"{task}.yaml").write_text(f"task: {task}\nspectrum: {{{said}}}\n")
    return read_own(folder / f"{task}.yaml")


def individuals(task: Task, *, held_out: bool, seed: int = 0, share: float = SHARE) -> set[str | None]:
    choose = held_out_sequences if held_out else training_sequences
    found = choose(task, data_dir=Path(), seed=seed, dropped=Counter(), share=share)
    return {each.individual for each in found}


def test_the_choice_follows_its_documented_rule() -> None:
    digest = hashlib.sha256(b'["held out", "polis", "seattle/12"]').digest()
    edge = int.from_bytes(digest[:8]) / 2**64
    assert is_held_out("seattle/12", source="polis", share=edge + 1e-9)
    assert not is_held_out("seattle/12", source="polis", share=edge - 1e-9)
    assert not is_held_out(None, source="polis", share=1)


def test_the_share_is_kept_and_grows_without_letting_anyone_go() -> None:
    people = [str(n) for n in range(20_000)]
    found = [
        {name for name in people if is_held_out(name, source="s", share=share)}
        for share in (0.0, 0.1, 0.3, 0.5)
    ]
    assert [len(each) / len(people) for each in found] == pytest.approx([0, 0.1, 0.3, 0.5], abs=0.01)
    assert found[0] < found[1] < found[2] < found[3]


def test_someone_with_several_sequences_is_wholly_in_or_out_in_all_tasks(tmp_path: Path) -> None:
    whole = table(tmp_path, "whole", "group_by: user")
    parts = table(tmp_path, "parts", "group_by: user", "length: 3")
    inside, outside = (individuals(parts, held_out=held) for held in (False, True))
    assert not inside & outside and inside | outside == {f"person {n}" for n in range(200)}
    assert 0.2 < len(outside) / 200 < 0.4
    for task, seed in ((whole, 0), (parts, 7)):
        assert individuals(task, held_out=True, seed=seed) == outside
    sequences = list(training_sequences(parts, data_dir=Path(), seed=0, dropped=Counter(), share=SHARE))
    assert len(sequences) == 4 * len(inside)


def test_those_left_out_are_counted(tmp_path: Path) -> None:
    task, dropped = table(tmp_path, "whole", "group_by: user"), Counter[str]()
    n = len(list(training_sequences(task, data_dir=Path(), seed=0, dropped=dropped, share=SHARE)))
    assert dropped == {"held out of training": 200 - n}


def test_pooled_rows_have_no_individuals(tmp_path: Path) -> None:
    task = table(tmp_path, "pooled", "length: 20")
    assert individuals(task, held_out=False) == {None} and individuals(task, held_out=True) == set()


def test_a_synthetic_task_is_trained_on_whole_and_held_out_are_other_draws() -> None:
    (task,) = TASKS
    inside, outside = (
        [each.messages for each in choose(task, data_dir=Path(), seed=0, dropped=Counter(), share=SHARE)]
        for choose in (training_sequences, held_out_sequences)
    )
    assert inside == [each.messages for each in task.sequences(Path(), seed=0)]
    assert len(outside) == len(inside) and sum(a == b for a, b in zip(inside, outside, strict=True)) < 10
