"""Evaluate a model task by task with lm-eval; results are cached, so an interrupted run can be resumed."""

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, cast

import lm_eval
from accelerate.utils import set_seed
from lm_eval.api.model import LM
from lm_eval.api.task import Task
from rich.console import Console
from transformers import PreTrainedModel

from spectrum_trl.console import is_first_process
from spectrum_trl.errors import Interrupted, UserError
from spectrum_trl.evaluation import probe, resume, summary
from spectrum_trl.evaluation.harness import FILLER, HarnessTask
from spectrum_trl.evaluation.loading import load, precision
from spectrum_trl.evaluation.options import read_options
from spectrum_trl.evaluation.own import tasks as own
from spectrum_trl.evaluation.saving import ResultsFolder, strict
from spectrum_trl.evaluation.task_names import task_manager
from spectrum_trl.scoring.store import CannotCache

CACHE = ".finished"
# The default of lm-eval's command, for the standard errors of its own tasks.
BOOTSTRAP_ITERS = 100_000
# Keys of lm-eval's results that hold one entry per task.
BY_TASK = ("results", "configs", "versions", "n-shot", "higher_is_better", "n-samples", "samples")


class Setup(NamedTuple):
    """The model to evaluate, and the settings.

    Attributes:
        backend: ``spectrum``, or the name of another model class of lm-eval.
        model: Arguments of that class; ``pretrained`` names the model.
        options: Our own options, as in ``--metadata``.
        output: Folder of the results.
        limit: Rows per task, or None for all.
        include: Folders of further tasks.
        fresh: Whether to ignore cached results and answers of earlier runs.
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
        setup: The model and the settings.
        tasks: Names or files, from `task_names.select`.
        out: Console for progress and the table.

    Returns:
        lm-eval's results of all tasks, with ``missing`` data and the reasons why tasks ``failed``.

    Raises:
        UserError: If the model or a task cannot be loaded, or results can no longer be written.
        Interrupted: If the user interrupts it.
    """
    running = _Evaluation(setup, out=out)
    try:
        running.run(tasks)
    except KeyboardInterrupt:
        raise Interrupted("finished tasks and answers are saved; run the same command to resume") from None
    finally:
        summary.show(running.together, out=out)
        if running.written:
            out.print(f"results in {setup.output}", markup=False)
    return running.together


class _Evaluation:
    """The state of one call of `evaluate`."""

    def __init__(self, setup: Setup, *, out: Console) -> None:
        self.setup, self.out = setup, out
        self.identity = resume.identity(setup.backend, setup.model)
        # Requests are identified by their text, which includes template, format and data.
        self.store = setup.output / CACHE / f"answers_{self.identity}"
        self.together: dict[str, Any] = {"failed": [], "missing": {}}
        self.folder = ResultsFolder(setup.output, backend=setup.backend, model=setup.model)
        self.lm: LM | None = None
        self.written = False

    def run(self, tasks: Sequence[str]) -> None:
        probed = self._probe()
        metadata = {**self.setup.model, **self.setup.options}
        loaded = own.load(tasks, manager=task_manager(self.setup.include, metadata=metadata))
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
        """Add one task's results, cached or new, to those of all; return whether this process has them."""
        setup, name = self.setup, str(task.config.task)
        key = resume.key(task, options=setup.options, limit=setup.limit, model=self.identity)
        file = setup.output / CACHE / f"{re.sub('[^A-Za-z0-9_-]', '_', name)[:80]}_{key}.json"
        if not setup.fresh and (finished := resume.read(file)):
            self.out.print(f"{place} {name}: cached by an earlier run", markup=False)
            _add(self.together, finished)
            return True
        lm = self._loaded()
        n = min(len(task.eval_docs), setup.limit or len(task.eval_docs))
        rows = f"{n:,} {'row' if n == 1 else 'rows'}"
        self.out.print(f"{place} {name}: {', '.join((rows, *_details(task)))}", markup=False)
        try:
            results = run_task(task, setup, lm=lm)
        except CannotCache:
            raise
        except UserError as error:
            # The other tasks are still evaluated.
            self.together["failed"] += [
                f"{name}: {problem.removeprefix(f'{name}: ')}" for problem in error.problems
            ]
            return False
        if results is None:
            return False
        _add(self.together, results)
        # A task whose judge did not answer has no result yet.
        if any("," in key for key in results["results"][name]):
            resume.write(results, file)
            for line in summary.lines(results):
                self.out.print(f"{place} {name}: {line}", markup=False)
        return True

    def _loaded(self) -> LM:
        if self.lm is None:
            setup = self.setup
            self.lm = load(setup.backend, setup.model, store=self.store, fresh=setup.fresh)
            facts = [setup.backend, *([number] if (number := precision(self.lm)) else [])]
            facts += [f"{self.lm.world_size} processes"] if self.lm.world_size > 1 else []
            self.out.print(f"model {setup.model['pretrained']} ({', '.join(facts)})", markup=False)
        return self.lm

    def _probe(self) -> dict[str, Any]:
        """Choose a format by a probe if neither the user nor the tokenizer determines it."""
        options = read_options({**self.setup.model, **self.setup.options})
        if options.format or not probe.is_needed(options):
            return {}
        file = self.setup.output / CACHE / f"probe_{self.identity}.json"
        known = None if self.setup.fresh else resume.read(file)
        if known is None:
            model = getattr(self._loaded(), "model", None)
            # A model that lm-eval runs outside transformers is loaded just for the probe.
            found = (
                probe.probe(model, options.load_tokenizer())
                if isinstance(model, PreTrainedModel)
                else probe.probe_by_name(options)
            )
            known = found._asdict()
            if is_first_process():
                resume.write(known, file)
        answer = probe.Probe(**known)
        self.out.print(str(answer), markup=False)
        self.setup = self.setup._replace(options=self.setup.options | {"format": answer.format})
        return {"format_probe": str(answer)}


def _details(task: Task) -> Iterator[str]:
    """Yield the details of how one of our tasks is evaluated."""
    if not isinstance(task, HarnessTask):
        return
    with suppress(UserError):
        # The evaluation reports the same error.
        yield f"format {task.format}"
    metadata = task.config.metadata or {}
    if "k" in metadata:
        yield f"{metadata['k']} examples"
    if left_out := metadata.get("left_out"):
        yield f"left out: {', '.join(f'{n:,} {reason}' for reason, n in left_out.items())}"


def run_task(task: Task, setup: Setup, *, lm: LM) -> dict[str, Any] | None:
    """Evaluate one task; return None in all processes but the first."""
    seed = read_options(setup.options).seed
    set_seed(seed)
    if task.get_config("num_fewshot") is None:
        task.set_config(key="num_fewshot", value=0)
    name = str(task.config.task)
    # simple_evaluate also runs git, which may print errors, and would not use our cache.
    results: Any = lm_eval.evaluate(
        lm=lm,
        task_dict={"tasks": {name: task}, "groups": {}, "group_map": {}},
        limit=setup.limit,
        # Our tasks have intervals.
        bootstrap_iters=0 if isinstance(task, HarnessTask) else BOOTSTRAP_ITERS,
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
            f"tasks: several are named {', '.join(twice)}; give each a different name in its file"
        )


def _add(together: dict[str, Any], results: dict[str, Any]) -> None:
    for key, value in results.items():
        if key in BY_TASK:
            together.setdefault(key, {}).update(value)
        else:
            together.setdefault(key, value)
