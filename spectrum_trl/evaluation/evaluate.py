"""Evaluate a model task by task with lm-eval; results are cached, so an interrupted run can be resumed."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple, cast

import lm_eval
import torch
from accelerate.utils import set_seed
from lm_eval.api.model import LM
from lm_eval.api.registry import get_model
from lm_eval.api.task import Task
from rich.console import Console
from transformers import PreTrainedModel

from spectrum_trl.console import counted, is_first_process
from spectrum_trl.errors import Interrupted, UserError, first_line
from spectrum_trl.evaluation import probe, saving, summary
from spectrum_trl.evaluation.harness import FILLER, HarnessTask
from spectrum_trl.evaluation.options import read_options, task_manager
from spectrum_trl.evaluation.own import tasks as own
from spectrum_trl.evaluation.results import ANSWERS_TRAINED_ON, HELD_OUT_SHARE, TRAINED_ON
from spectrum_trl.evaluation.saving import ResultsFolder, strict
from spectrum_trl.evaluation.splits import answers_in
from spectrum_trl.models.folder import training_record
from spectrum_trl.models.load import is_adapter
from spectrum_trl.models.weights import check_weights, evaluation_device, evaluation_dtype
from spectrum_trl.scoring.store import AnswerStore, CannotCache, keep_answers

CACHE = ".finished"
# The default of lm-eval's command, for the standard errors of its own tasks.
BOOTSTRAP_ITERS = 100_000
# Keys of lm-eval's results that hold one entry per task.
BY_TASK = ("results", "configs", "versions", "n-shot", "higher_is_better", "n-samples", "samples")
FAST = "spectrum"
# lm-eval's own classes of transformers models, which select a GPU even if there is none.
HF = ("hf", "hf-auto", "huggingface")


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
        tasks: Names or files, from `options.select`.
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
        self.identity = saving.identity(setup.backend, setup.model)
        # Requests are identified by their text, which includes template, format and data.
        self.store = setup.output / CACHE / f"answers_{self.identity}"
        self.together: dict[str, Any] = {"failed": [], "missing": {}}
        name = str(setup.model.get("peft") or setup.model.get("pretrained"))
        if trained := training_record(name):
            self.together |= {
                TRAINED_ON: sorted(trained.counts),
                ANSWERS_TRAINED_ON: answers_in(trained.counts),
                HELD_OUT_SHARE: trained.held_out_share,
            }
        self.folder = ResultsFolder(setup.output, backend=setup.backend, model=setup.model)
        self.lm: LM | None = None
        self.written = False

    def run(self, tasks: Sequence[str]) -> None:
        probed = self._probe()
        metadata = {**self.setup.model, **self.setup.options}
        loaded = own.load(tasks, manager=task_manager(self.setup.include, metadata=metadata))
        names = [str(task.config.task) for task in loaded]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise UserError(
                f"tasks: several are named {', '.join(twice)}; give each its own name in its file"
            )
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
        key = saving.key(task, options=setup.options, limit=setup.limit, model=self.identity)
        file = setup.output / CACHE / f"{re.sub('[^A-Za-z0-9_-]', '_', name)[:80]}_{key}.json"
        if not setup.fresh and (finished := saving.read(file)):
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
            saving.write(results, file)
            answers = {ANSWERS_TRAINED_ON: self.together.get(ANSWERS_TRAINED_ON, {})}
            for line in summary.lines(results | answers):
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
        known = None if self.setup.fresh else saving.read(file)
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
                saving.write(known, file)
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
        yield f"{counted(metadata['k'], 'example')}"
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


def _add(together: dict[str, Any], results: dict[str, Any]) -> None:
    for key, value in results.items():
        if key in BY_TASK:
            together.setdefault(key, {}).update(value)
        else:
            together.setdefault(key, value)


def load(backend: str, arguments: Mapping[str, Any], *, store: Path, fresh: bool) -> LM:
    """Load a model of one of lm-eval's classes; its number type on a CPU is float32 unless an argument.

    ``store`` is the path of the cache of answers, of which each process uses a separate file.

    Raises:
        UserError: If it cannot be loaded, or its weights hold NaN or infinity.
    """
    if backend == FAST:
        from spectrum_trl.scoring.lm import SpectrumLM

        lm: LM = SpectrumLM(**arguments)
    else:
        try:
            model_class = get_model(backend)
        except ValueError as error:
            raise UserError(f"--backend: lm-eval has no model class {backend!r}: {error}") from error
        device = evaluation_device(arguments.get("device"))
        defaults = {"device": device, "dtype": evaluation_dtype(device)} if backend in HF else {}
        with _mergeable(str(arguments.get("peft") or arguments.get("pretrained"))):
            lm = model_class.create_from_arg_obj({**defaults, **arguments})
        if isinstance(model := getattr(lm, "model", None), torch.nn.Module):
            check_weights(model, name=str(arguments.get("pretrained")))
    answers = AnswerStore(store.with_name(f"{store.name}_rank{lm.rank}.db"), fresh=fresh)
    if backend == FAST:
        lm.set_cache_hook(answers)
    else:
        keep_answers(lm, answers)
    return lm


@contextmanager
def _mergeable(name: str) -> Iterator[None]:
    """Explain what to do if lm-eval cannot load an adapter with whole layers."""
    try:
        yield
    except (KeyError, RuntimeError) as error:
        if not is_adapter(name):
            raise
        raise UserError(
            f"lm-eval cannot load the adapter {name} ({first_line(error)}): merge it first (spectrum-trl "
            f"merge {name} FOLDER), or leave out --backend"
        ) from error


def precision(lm: LM) -> str | None:
    """Return the number type that a model computes in, or None if unknown."""
    found = getattr(getattr(lm, "model", None), "dtype", None)
    return str(found).removeprefix("torch.") if found is not None else None
