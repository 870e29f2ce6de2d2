"""Whether a model was trained on what it is evaluated on: the task, its source, individuals, or answers."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from spectrum_trl.evaluation.results import Results
from spectrum_trl.known_tasks import tasks
from spectrum_trl.suite.task import EVALUATED, OWN

HELD_OUT, TRAINED, OWN_TASKS = "held out", "trained on", "own tasks"
HELD_OUT_INDIVIDUALS = "held-out individuals"
SPLITS = (HELD_OUT, HELD_OUT_INDIVIDUALS, TRAINED, OWN_TASKS)


def answers_in(trained: Mapping[str, Mapping[str, Any]]) -> dict[str, list[str]]:
    """Return the evaluated tasks whose answers a model's training tasks list, with the names of these.

    Args:
        trained: The counts of each task that the model was trained on, by name.
    """
    found: dict[str, list[str]] = {}
    for name, count in sorted(trained.items()):
        dropped = count.get("dropped")
        if name in tasks() and not (isinstance(dropped, dict) and EVALUATED in dropped):
            for evaluated in {each for covered in tasks()[name].covers.values() for each in covered}:
                found.setdefault(evaluated, []).append(name)
    return dict(sorted(found.items()))


def answers_note(names: Iterable[str]) -> str:
    """Return that these training tasks list the answers of an evaluation; empty if there are none."""
    listed = ", ".join(names)
    return f"answers in the training data: {listed}" if listed else ""


def marks_of(evaluations: Iterable[Results]) -> Callable[[str], str]:
    """Return a function that says how any of the models was trained on a task; empty if it was not."""
    every = list(evaluations)
    split = splits_of(every)

    def mark(task: str) -> str:
        listed = {name for one in every for name in one.answers_trained_on.get(task, ())}
        known = split(task)
        return answers_note(sorted(listed)) or known * (known in (TRAINED, HELD_OUT_INDIVIDUALS))

    return mark


def splits_of(evaluations: Iterable[Results]) -> Callable[[str], str]:
    """Return a function that says of a task whether any of the models was trained on its data or answers.

    Tasks of one real source share rows, so training on one is training on all. Where nothing is known of any
    model's training, the Suite's training tasks count as trained on. A task whose evaluated individuals every
    model's training held out is set apart, unless another task that it was trained on has their outputs.

    Returns:
        From a task's name to one of ``SPLITS``.
    """
    every = list(evaluations)
    known = [one for one in every if one.trained_on is not None]
    train = {name for name, task in tasks().items() if task.split == "train"}
    data = {task: name for one in every for task, name in one.data_of.items()}
    listed = {task for one in every for task in one.answers_trained_on}
    names = {name for one in known for name in one.trained_on or () if name in tasks()}
    repeated = {each for name in names for each in tasks()[name].repeats}

    def split(task: str) -> str:
        if data.get(task) == OWN:
            return OWN_TASKS
        if task in listed or data.get(task) in repeated:
            return TRAINED
        source = _source(data.get(task))
        trained = [one for one in known if source in map(_source, one.trained_on or ())]
        if not (trained if known else data.get(task) in train):
            return HELD_OUT
        # Everyone is evaluated where no share is named.
        share = max(one.held_out.get(task, 1.0) for one in every if task in one.rows)
        unseen = trained and all(share <= one.held_out_in_training for one in trained)
        return HELD_OUT_INDIVIDUALS if unseen else TRAINED

    return split


def _source(task: str | None) -> Any:
    """Return what tasks on the same rows share: their real source. Generated tasks share none."""
    found = tasks().get(task or "")
    return task if found is None or found.synthetic else found.source
