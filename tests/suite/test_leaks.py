"""Nothing that is evaluated stands in a training task, or the task says so: neither questions nor answers."""

import hashlib
import itertools
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from spectrum_trl.evaluation.axis_tasks import DiversityTask, distributional_tasks, diversity_tasks
from spectrum_trl.evaluation.distributional_tasks.generated import STATES
from spectrum_trl.strict.json import strict_json
from spectrum_trl.suite.building.held_out import held_out_sequences, training_sequences
from spectrum_trl.suite.catalogue import suite_tasks
from spectrum_trl.suite.task import SampleSequence, Task

# Shorter texts, such as labels and numbers, occur everywhere.
LONG = 40
CHARACTERS_READ = 3_000_000
# Draws from a skewed distribution may happen to be the numbers from 1 to 10.
EVEN = 2


class Read(NamedTuple):
    """What a task's sequences hold: hashes of long texts, and the outputs without inputs, by their group."""

    long_texts: set[bytes]
    groups: dict[str, Counter[str]]


def read(task: Task, data_dir: Path) -> Read:
    found, characters = Read(set(), defaultdict(Counter)), 0
    for sequence in task.sequences(data_dir, seed=0):
        if all(message["role"] != "input" for message in sequence.messages):
            head, _, number = sequence.sequence_id.rpartition("/")
            group = head if number.isdigit() else sequence.sequence_id
            found.groups[group].update(m["content"] for m in sequence.messages if m["role"] == "output")
        if characters <= CHARACTERS_READ:
            for message in sequence.messages[1:]:
                characters += len(message["content"])
                found.long_texts.update(digests(message["content"]))
    return found


def digests(text: str) -> Iterator[bytes]:
    """Hash a text and its lines, if they are long."""
    for part in {text, *text.splitlines()}:
        content = " ".join(part.lower().split())
        if len(content) >= LONG:
            yield hashlib.blake2b(content.encode(), digest_size=12).digest()


def questions(data_dir: Path) -> dict[str, set[bytes]]:
    """Hash the long texts of the distributional tasks with data, by task."""
    found = {}
    for name, task in distributional_tasks().items():
        if not task.missing(data_dir):
            items = task.items(data_dir, seed=0, dropped=Counter())
            found[name] = {each for item in items for each in digests(item.input)}
    return found


def lists(outputs: Counter[str], evaluated: DiversityTask, universe: frozenset[str]) -> bool:
    """Return whether outputs are at least half of the answers, nothing else, and each about as often."""
    if not len(universe) / 2 <= len(outputs) or max(outputs.values()) * len(outputs) > EVEN * outputs.total():
        return False
    found = {evaluated.canonical(text) for text in outputs}
    return found <= universe and len(found) >= len(universe) / 2


def universes(data_dir: Path) -> Iterator[tuple[str, DiversityTask, frozenset[str]]]:
    for name, task in diversity_tasks().items():
        if task.universe:
            yield f"spectrum_div_{name}", task, frozenset(task.universe)
        elif task.read and not task.missing(data_dir):
            yield f"spectrum_div_{name}", task, task.read(data_dir)
    names = {state.casefold() for state in STATES}
    yield "spectrum_dist_states", diversity_tasks()["us_states_full_names"], frozenset(names)


@pytest.mark.slow
def test_no_training_task_holds_what_is_evaluated_or_it_says_so(suite_data: Path) -> None:
    """Long texts of held-out tasks and questions, and lists of an evaluation's answers."""
    there = [task for task in suite_tasks().values() if not task.missing(suite_data)]
    held_out = {task.name: read(task, suite_data).long_texts for task in there if task.split == "test"}
    # The real data beside the clone hold at least these.
    assert {"globaloqa", "chemistry_esol", "chemistry_oxidative"} <= set(held_out)
    assert all(held_out[name] for name in ("globaloqa", "chemistry_oxidative"))
    asked = questions(suite_data)
    assert asked["global_oqa"] and asked["nytimes"]
    held_out |= {f"questions of {name}": texts for name, texts in asked.items()}
    closed = list(universes(suite_data))
    assert {"spectrum_div_claude_gerunds", "spectrum_div_rng_1_10"} < {name for name, *_ in closed}
    trained = {task.name: (task, read(task, suite_data)) for task in there if task.split == "train"}
    assert {"diffuse_distribution", "geometric", "babynames"} < set(trained)
    assert len(set().union(*(found.long_texts for _, found in trained.values()))) > 10_000
    for name, (task, found) in trained.items():
        assert not {each for each, texts in held_out.items() if texts & found.long_texts}, name
        covers = {
            group: names
            for group, outputs in found.groups.items()
            if (names := tuple(each for each, own, universe in closed if lists(outputs, own, universe)))
        }
        assert covers == task.covers, name


def test_no_source_feeds_both_splits() -> None:
    splits: dict[str, set[str]] = {}
    for task in suite_tasks().values():
        if not task.synthetic:
            splits.setdefault(task.source.name, set()).add(task.split)
    assert not {name for name, found in splits.items() if len(found) > 1}


def texts(sequences: Iterable[SampleSequence]) -> set[str]:
    """Return outputs of several words, and those inside JSON."""
    outputs = {m["content"] for each in sequences for m in each.messages if m["role"] == "output"}
    inside = {
        str(value) for output in outputs if output.startswith("{") for value in strict_json(output).values()
    }
    return {text for each in outputs | inside if len(text := each.strip()) >= 12 and " " in text}


def test_a_training_task_says_which_others_have_its_outputs_whoever_is_held_out(invented_data: Path) -> None:
    def built(choose: Callable[..., Iterable[SampleSequence]], task: Task) -> set[str]:
        return texts(choose(task, data_dir=invented_data, seed=0, dropped=Counter(), share=0.5))

    tasks = [task for task in suite_tasks().values() if task.split == "train" and not task.synthetic]
    trained = {task.name: built(training_sequences, task) for task in tasks}
    # Of pooled rows nothing is held out, and all may be evaluated.
    evaluated = {task.name: built(held_out_sequences, task) or trained[task.name] for task in tasks}
    found = defaultdict(set)
    for one, other in itertools.permutations(tasks, 2):
        own = evaluated[other.name]
        if one.source == other.source and own and len(own & trained[one.name]) * 2 >= len(own):
            found[one.name].add(other.name)
    assert {"prism_prompts", "valueprism_situation", "gsm8k_question"} < found.keys()
    for task in tasks:
        assert found[task.name] <= set(task.repeats) <= set(trained), task.name
