"""Evaluate a model task by task through lm-eval; what is finished is kept, and an interrupted run goes on."""

import hashlib
import importlib.metadata
import json
from collections.abc import Iterator, Sequence
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
from spectrum_trl.evaluation.harness import HarnessTask
from spectrum_trl.files import write_json
from spectrum_trl.models.fingerprint import fingerprints
from spectrum_trl.paths import bundled

FAST = "spectrum"
# lm-eval's own classes of transformers models, which choose a GPU even where there is none.
HF = ("hf", "hf-auto", "huggingface")
KEPT = ".finished"
# Results of tasks that are put together key by key.
BY_TASK = ("results", "configs", "versions", "n-shot", "higher_is_better", "n-samples", "samples")
PACKAGES = ("spectrum-trl", "lm-eval", "transformers", "torch")


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
            problems.append(f"tasks: nothing is named {pattern!r}.{nearest(pattern, known)}")
        chosen += found
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
        lm-eval's results of all tasks together; empty in all processes but the first.

    Raises:
        UserError: If the model or a task cannot be loaded.
    """
    loaded = [task for name in tasks for task in manager.load([name])["tasks"].values()]
    ready = [task for task in loaded if not getattr(task, "missing", None)]
    identity = _identity(setup)
    # Requests are told by their text, which holds template, format and data.
    store = setup.output / KEPT / f"answers_{identity}"
    lm: LM | None = None
    together: dict[str, Any] = {}
    for number, task in enumerate(ready, start=1):
        name, file = str(task.config.task), setup.output / KEPT / f"{_key(task, setup, identity)}.json"
        if file.is_file():
            out.print(f"{number}/{len(ready)} {name}: kept from an earlier run", markup=False)
            _add(together, json.loads(file.read_text(encoding="utf-8")))
            continue
        lm = lm or _load(setup, store)
        n = min(len(task.eval_docs), setup.limit or len(task.eval_docs))
        out.print(f"{number}/{len(ready)} {name}: {n:,} {'row' if n == 1 else 'rows'}", markup=False)
        results: Any = lm_eval.simple_evaluate(
            model=lm,
            tasks=[task],
            limit=setup.limit,
            task_manager=manager,
            bootstrap_iters=0,
            log_samples=True,
            use_cache=None if setup.backend == FAST else str(store),
        )
        if results is not None:
            plain = json.loads(json.dumps(results, default=handle_non_serializable))
            # A task whose judge did not answer has no figure yet.
            if any("," in key for key in plain["results"][name]):
                write_json(plain, file)
            _add(together, plain)
    together["missing"] = {
        str(task.config.task): task.missing._asdict()
        for task in loaded
        if isinstance(task, HarnessTask) and task.missing
    }
    return together


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


def _identity(setup: Setup) -> str:
    """Return what tells the model and the libraries, in a few letters."""
    revision = str(setup.model.get("revision", "main"))
    weights = [
        fingerprints(str(setup.model[key]), revision=revision)
        for key in ("pretrained", "peft")
        if setup.model.get(key)
    ]
    versions = [importlib.metadata.version(package) for package in PACKAGES]
    return _hash([setup.backend, setup.model, weights, versions, torch.cuda.is_available()])


def _key(task: Task, setup: Setup, identity: str) -> str:
    config = {k: v for k, v in task.dump_config().items() if k != "metadata"}
    rows = list(task.eval_docs)
    return f"{task.config.task}_{_hash([identity, setup.options, setup.limit, config, rows])}"


def _hash(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _add(together: dict[str, Any], results: dict[str, Any]) -> None:
    for key, value in results.items():
        if key in BY_TASK:
            together.setdefault(key, {}).update(value)
        else:
            together.setdefault(key, value)


def headlines(results: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield task, headline metric and all figures of each task that has them."""
    for name, figures in results.get("results", {}).items():
        plain = {key.partition(",")[0]: value for key, value in figures.items() if "," in key}
        for metric in ("loss", "js_divergence", "yield_count"):
            if metric in plain:
                yield name, metric, plain
