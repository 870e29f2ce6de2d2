"""Evaluate a model task by task through lm-eval; what is finished is kept, and an interrupted run goes on."""

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, cast

import lm_eval
from lm_eval.api.model import LM
from lm_eval.api.task import Task
from rich.console import Console
from transformers import PreTrainedModel, set_seed

from spectrum_trl.errors import Interrupted, UserError
from spectrum_trl.evaluation import kept, probe, table, task_files
from spectrum_trl.evaluation.harness import FILLER, HarnessTask
from spectrum_trl.evaluation.loading import is_first_process, load, precision
from spectrum_trl.evaluation.options import read_options
from spectrum_trl.evaluation.saving import ResultsFolder, strict
from spectrum_trl.evaluation.task_names import task_manager
from spectrum_trl.scoring.store import CannotKeep

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
        fresh: Whether what was kept of earlier runs is not read.
    """

    backend: str
    model: dict[str, Any]
    options: dict[str, Any]
    output: Path
    limit: int | None
    include: tuple[Path, ...]
    fresh: bool = False


def evaluate(setup: Setup, tasks: Sequence[str], *, out: Console) -> dict[str, Any]:
    """Evaluate a model on tasks, one after the other; results are written after each.

    Args:
        setup: What is evaluated.
        tasks: Names or files, of `task_names.select`.
        out: Where progress and the table are printed.

    Returns:
        lm-eval's results of all tasks together, with ``missing`` data and why tasks ``failed``.

    Raises:
        UserError: If the model or a task cannot be loaded, or nothing can be written any more.
        Interrupted: If the user stopped it.
    """
    running = _Evaluation(setup, out=out)
    try:
        running.run(tasks)
    except KeyboardInterrupt:
        raise Interrupted("what is finished is kept; the same command goes on where it stopped") from None
    finally:
        table.show(running.together, out=out)
        if running.written:
            out.print(f"results in {setup.output}", markup=False)
    return running.together


class _Evaluation:
    """What one call of `evaluate` knows."""

    def __init__(self, setup: Setup, *, out: Console) -> None:
        self.setup, self.out = setup, out
        self.identity = kept.identity(setup.backend, setup.model)
        # Requests are told by their text, which holds template, format and data.
        self.store = setup.output / KEPT / f"answers_{self.identity}"
        self.together: dict[str, Any] = {"failed": [], "missing": {}}
        self.folder = ResultsFolder(setup.output, backend=setup.backend, model=setup.model)
        self.lm: LM | None = None
        self.written = False

    def run(self, tasks: Sequence[str]) -> None:
        probed = self._probe()
        metadata = {**self.setup.model, **self.setup.options}
        loaded = task_files.load(tasks, manager=task_manager(self.setup.include, metadata=metadata))
        _check_names(loaded)
        self.together["missing"] = {
            str(task.config.task): task.missing._asdict()
            for task in loaded
            if isinstance(task, HarnessTask) and task.missing
        }
        ready = [task for task in loaded if not getattr(task, "missing", None)]
        for number, task in enumerate(ready, start=1):
            if not self._finished(task, place=f"{number}/{len(ready)}"):
                continue
            self.together["config"] |= probed
            if is_first_process():
                self.folder.write(self.together)
                self.written = True

    def _finished(self, task: Task, *, place: str) -> bool:
        """Add one task's results, kept or new, to those of all; tell whether this process has them."""
        setup, name = self.setup, str(task.config.task)
        key = kept.key(task, options=setup.options, limit=setup.limit, model=self.identity)
        file = setup.output / KEPT / f"{re.sub('[^A-Za-z0-9_-]', '_', name)[:80]}_{key}.json"
        if not setup.fresh and (finished := kept.read(file)):
            self.out.print(f"{place} {name}: kept from an earlier run", markup=False)
            _add(self.together, finished)
            return True
        lm = self._loaded()
        n = min(len(task.eval_docs), setup.limit or len(task.eval_docs))
        rows = f"{n:,} {'row' if n == 1 else 'rows'}"
        self.out.print(f"{place} {name}: {', '.join((rows, *_told(task)))}", markup=False)
        try:
            results = _run(task, setup, lm=lm)
        except CannotKeep:
            raise
        except UserError as error:
            # The others are evaluated all the same.
            self.together["failed"] += [
                f"{name}: {problem.removeprefix(f'{name}: ')}" for problem in error.problems
            ]
            return False
        if results is None:
            return False
        _add(self.together, results)
        # A task whose judge did not answer has no figure yet.
        if any("," in key for key in results["results"][name]):
            kept.write(results, file)
            for line in table.lines(results):
                self.out.print(f"{place} {name}: {line}", markup=False)
        return True

    def _loaded(self) -> LM:
        if self.lm is None:
            setup = self.setup
            self.lm = load(setup.backend, setup.model, store=self.store, fresh=setup.fresh)
            told = [setup.backend, *([number] if (number := precision(self.lm)) else [])]
            told += [f"{self.lm.world_size} processes"] if self.lm.world_size > 1 else []
            self.out.print(f"model {setup.model['pretrained']} ({', '.join(told)})", markup=False)
        return self.lm

    def _probe(self) -> dict[str, Any]:
        """Choose a format by a probe where the user names none and the tokenizer does not tell it."""
        options = read_options({**self.setup.model, **self.setup.options})
        if options.format or not probe.is_needed(options):
            return {}
        file = self.setup.output / KEPT / f"probe_{self.identity}.json"
        known = None if self.setup.fresh else kept.read(file)
        if known is None:
            model = getattr(self._loaded(), "model", None)
            # What lm-eval runs elsewhere is loaded for the probe alone.
            found = (
                probe.probe(model, options.load_tokenizer())
                if isinstance(model, PreTrainedModel)
                else probe.probe_by_name(options)
            )
            known = found._asdict()
            if is_first_process():
                kept.write(known, file)
        answer = probe.Probe(**known)
        self.out.print(str(answer), markup=False)
        self.setup = self.setup._replace(options=self.setup.options | {"format": answer.format})
        return {"format_probe": str(answer)}


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


def _run(task: Task, setup: Setup, *, lm: LM) -> dict[str, Any] | None:
    """Evaluate one task; None in all processes but the first."""
    seed = read_options(setup.options).seed
    set_seed(seed)
    if task.get_config("num_fewshot") is None:
        task.set_config(key="num_fewshot", value=0)
    name = str(task.config.task)
    # simple_evaluate is this with git's complaints, and without our store of answers.
    results: Any = lm_eval.evaluate(
        lm=lm,
        task_dict={"tasks": {name: task}, "groups": {}, "group_map": {}},
        limit=setup.limit,
        bootstrap_iters=0,
        log_samples=True,
    )
    if results is None:
        return None
    about = lm.get_model_info() if hasattr(lm, "get_model_info") else {}
    results["config"] = {
        "model": setup.backend,
        "model_args": setup.model,
        **about,
        "dtype": precision(lm),
        "limit": setup.limit,
        "seed": seed,
        "metadata": setup.options,
    }
    for task_name, rows in results["samples"].items():
        results["samples"][task_name] = [row for row in rows if FILLER not in row["doc"]]
    return cast(dict[str, Any], strict(results))


def _check_names(loaded: Sequence[Task]) -> None:
    names = [str(task.config.task) for task in loaded]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UserError(
            f"tasks: several are named {', '.join(twice)}; give each a name of its own in its file"
        )


def _add(together: dict[str, Any], results: dict[str, Any]) -> None:
    for key, value in results.items():
        if key in BY_TASK:
            together.setdefault(key, {}).update(value)
        else:
            together.setdefault(key, value)
