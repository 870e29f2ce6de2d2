"""Evaluate a model task by task through lm-eval; what is finished is kept, and an interrupted run goes on."""

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import lm_eval
import torch
from lm_eval.api.model import LM
from lm_eval.api.registry import get_model
from lm_eval.api.task import Task
from lm_eval.loggers import EvaluationTracker
from lm_eval.tasks import TaskManager
from lm_eval.utils import handle_non_serializable
from rich.console import Console

from spectrum_trl.errors import UserError, nearest
from spectrum_trl.evaluation import kept, task_files
from spectrum_trl.evaluation.harness import FILLER, HarnessTask
from spectrum_trl.evaluation.options import read_options
from spectrum_trl.files import write_json
from spectrum_trl.paths import bundled

FAST = "spectrum"
# lm-eval's own classes of transformers models, which choose a GPU even where there is none.
HF = ("hf", "hf-auto", "huggingface")
KEPT = ".finished"
# Results of tasks that are put together key by key.
BY_TASK = ("results", "configs", "versions", "n-shot", "higher_is_better", "n-samples", "samples")


class Setup(NamedTuple):
    """What is evaluated, and how.

    Attributes:
        backend: ``spectrum``, or the name of another model class of lm-eval.
        model: Arguments of that class; ``pretrained`` names the model.
        options: Our own options, as ``--metadata``.
        output: Folder of the results.
        limit: Rows a task, or None for all.
        include: Folders of further tasks.
    """

    backend: str
    model: dict[str, Any]
    options: dict[str, Any]
    output: Path
    limit: int | None
    include: tuple[Path, ...]


def task_manager(setup: Setup) -> TaskManager:
    """Return lm-eval's manager of our tasks, and of the user's own."""
    folders = [str(bundled("tasks")), *map(str, setup.include)]
    return TaskManager(
        include_path=folders, include_defaults=False, metadata={**setup.model, **setup.options}
    )


def select(patterns: Sequence[str], *, manager: TaskManager) -> list[str]:
    """Return the names or files of the tasks that names, tags, globs and YAML files reach.

    Raises:
        UserError: With every pattern that reaches none.
    """
    chosen: list[str] = []
    problems = []
    for pattern in patterns:
        file = Path(pattern)
        if file.suffix == ".yaml":
            found = [str(file)] if file.is_file() else []
        else:
            found = [name for name in manager.match_tasks([pattern]) if name in manager.all_subtasks]
            tags = [name for name in manager.match_tasks([pattern]) if name in manager.all_tags]
            found += [task for tag in tags for task in sorted(manager.task_index[tag].tags)]
        if not found:
            known = [*manager.all_subtasks, *manager.all_tags]
            problems.append(f"tasks: no task, tag or file is named {pattern!r}.{nearest(pattern, known)}")
        chosen += found
    if not patterns:
        problems.append("tasks: none is named; give names, tags, globs or YAML files")
    if problems:
        raise UserError(*problems)
    return list(dict.fromkeys(chosen))


def evaluate(setup: Setup, tasks: Sequence[str], *, manager: TaskManager, out: Console) -> dict[str, Any]:
    """Evaluate a model on tasks, one after the other.

    Args:
        setup: What is evaluated.
        tasks: Names or files, of `select`.
        manager: Of the tasks.
        out: Where progress is printed.

    Returns:
        lm-eval's results of all tasks together, with ``missing`` data and why tasks ``failed``.

    Raises:
        UserError: If the model or a task cannot be loaded.
    """
    loaded = task_files.load(tasks, manager=manager)
    _check_names(loaded)
    ready = [task for task in loaded if not getattr(task, "missing", None)]
    identity = kept.identity(setup.backend, setup.model)
    # Requests are told by their text, which holds template, format and data.
    store = setup.output / KEPT / f"answers_{identity}"
    lm: LM | None = None
    together: dict[str, Any] = {}
    failed: list[str] = []
    for number, task in enumerate(ready, start=1):
        name = str(task.config.task)
        key = kept.key(task, options=setup.options, limit=setup.limit, model=identity)
        file = setup.output / KEPT / f"{re.sub('[^A-Za-z0-9_-]', '_', name)[:80]}_{key}.json"
        if finished := kept.read(file):
            out.print(f"{number}/{len(ready)} {name}: kept from an earlier run", markup=False)
            _add(together, finished)
            continue
        if lm is None:
            lm = _load(setup, store)
            processes = f", {lm.world_size} processes" if lm.world_size > 1 else ""
            out.print(f"model {setup.model['pretrained']} ({setup.backend}{processes})", markup=False)
        n = min(len(task.eval_docs), setup.limit or len(task.eval_docs))
        rows = f"{n:,} {'row' if n == 1 else 'rows'}"
        out.print(f"{number}/{len(ready)} {name}: {', '.join((rows, *_told(task)))}", markup=False)
        try:
            results = _run(task, setup, lm=lm, manager=manager, store=store)
        except UserError as error:
            # The others are evaluated all the same.
            failed += [f"{name}: {problem.removeprefix(f'{name}: ')}" for problem in error.problems]
            continue
        if results is not None:
            # A task whose judge did not answer has no figure yet.
            if any("," in key for key in results["results"][name]):
                write_json(results, file)
            _add(together, results)
    together["failed"] = failed
    together["missing"] = {
        str(task.config.task): task.missing._asdict()
        for task in loaded
        if isinstance(task, HarnessTask) and task.missing
    }
    return together


def _told(task: Task) -> Iterator[str]:
    """Yield how a task of ours is evaluated."""
    if not isinstance(task, HarnessTask):
        return
    with suppress(UserError):
        # Told by the evaluation, which makes the same mistake.
        yield f"format {task.format}"
    metadata = task.config.metadata or {}
    if "k" in metadata:
        yield f"{metadata['k']} examples"
    if left_out := metadata.get("left_out"):
        yield f"left out: {', '.join(f'{n:,} {reason}' for reason, n in left_out.items())}"


def _run(task: Task, setup: Setup, *, lm: LM, manager: TaskManager, store: Path) -> dict[str, Any] | None:
    """Evaluate one task; None in all processes but the first."""
    results: Any = lm_eval.simple_evaluate(
        model=lm,
        tasks=[task],
        limit=setup.limit,
        task_manager=manager,
        bootstrap_iters=0,
        log_samples=True,
        torch_random_seed=read_options(setup.options).seed,
        use_cache=None if setup.backend == FAST else str(store),
    )
    if results is None:
        return None
    for name, rows in results["samples"].items():
        results["samples"][name] = [row for row in rows if FILLER not in row["doc"]]
    return json.loads(json.dumps(results, default=handle_non_serializable))


def _check_names(loaded: Sequence[Task]) -> None:
    names = [str(task.config.task) for task in loaded]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UserError(
            f"tasks: several are named {', '.join(twice)}; give each a name of its own in its file"
        )


def save(results: dict[str, Any], setup: Setup) -> None:
    """Write results and samples in lm-eval's own format.

    Args:
        results: Of `evaluate`.
        setup: What was evaluated.
    """
    tracker = EvaluationTracker(output_path=str(setup.output))
    tracker.general_config_tracker.log_experiment_args(
        model_source=setup.backend,
        model_args=setup.model,
        system_instruction=None,
        chat_template=None,
        fewshot_as_multiturn=False,
    )
    samples = results.pop("samples", {})
    results["config"] |= {"model": setup.backend, "model_args": setup.model, "metadata": setup.options}
    tracker.save_results_aggregated(results=results, samples=samples)
    for name, rows in samples.items():
        tracker.save_results_samples(task_name=name, samples=rows)
    # lm-eval only logs it where it cannot write.
    date = getattr(tracker, "date_id", "")
    found = [file for name in ("results", "samples") for file in setup.output.glob(f"*/{name}_*{date}.json*")]
    if not date or len(found) < 1 + len(samples):
        raise UserError(f"{setup.output}: the results could not be written; name another --output")


def _load(setup: Setup, store: Path) -> LM:
    if setup.backend == FAST:
        from spectrum_trl.scoring.lm import SpectrumLM
        from spectrum_trl.scoring.store import AnswerStore

        lm: LM = SpectrumLM(**setup.model)
        lm.set_cache_hook(AnswerStore(store.with_name(f"{store.name}_rank{lm.rank}.db")))
    else:
        device = {"device": "cuda" if torch.cuda.is_available() else "cpu"} if setup.backend in HF else {}
        lm = get_model(setup.backend).create_from_arg_obj(device | setup.model)
    return lm


def _add(together: dict[str, Any], results: dict[str, Any]) -> None:
    for key, value in results.items():
        if key in BY_TASK:
            together.setdefault(key, {}).update(value)
        else:
            together.setdefault(key, value)
